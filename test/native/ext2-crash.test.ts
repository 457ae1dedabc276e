// SPDX-License-Identifier: GPL-2.0-only
/**
 * Power cuts under ext2: every write is kept with its flush epoch; states of the disk are made in which everything before an epoch is
 * there, any subset of the epoch's writes came through, and the last sector may be torn. Each must be repaired by e2fsck (a second
 * pass is clean), hold every byte that fsync or O_DSYNC acknowledged, and show no byte in a file that was never that file's.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, HostError, SECTOR_BYTES, Sfc32, type Random } from '../../engine/base/index.ts';
import type { DeviceRequest } from '../../engine/block/index.ts';
import type { MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const STATES = Number(process.env['DIOLAB_CRASH_STATES'] ?? 60);
/** Small, so that freed blocks are soon used again. */
const DISK_BYTES = 1024 * 1024;
/** Less free space than this: a file is removed instead of written. */
const FREE_BYTES_MIN = 140 * 1024;
const STEPS = 120;
const PAGE = 4096;
/** Each 8-byte word of a file: its file's number, a generation, and its own place, so that every foreign byte shows. */
const WORD = 8;

interface KeptWrite {
  readonly epoch: number;
  readonly byte: number;
  readonly data: Uint8Array;
}
/** At this point of the list of writes the content of a file was acknowledged. */
interface Acknowledged {
  readonly writeCount: number;
  readonly file: number;
  /** Generation of each word; 0: a hole or zeros. Null: it was removed. */
  readonly words: Uint32Array;
  readonly sizeBytes: number;
}

class Recorder {
  readonly writes: KeptWrite[] = [];
  readonly acknowledged: Acknowledged[] = [];
  epoch = 0;
  constructor(private readonly lab: FileSystemLab) {
    lab.disk.intercept = (request) => {
      this.keep(request);
      return 0;
    };
  }
  private keep(request: DeviceRequest): void {
    if (request.op === 'flush') {
      this.epoch++;
      return;
    }
    if (request.op !== 'write') return;
    let byte = request.sectorStart * SECTOR_BYTES;
    for (const bio of request.bios.slice(0, request.bioCount)) {
      for (let at = 0; at < bio.vectorCount * 3; at += 3) {
        const from = (bio.vectors[at] as number) * PAGE + (bio.vectors[at + 1] as number);
        const data = this.lab.memory.bytes.slice(from, from + (bio.vectors[at + 2] as number));
        this.writes.push({ epoch: this.epoch, byte, data });
        byte += data.length;
      }
    }
  }
}

/** What a file should hold; every generation that a word ever had is allowed, since unsynced writes may or may not be there. */
class TrackedFile {
  words = new Uint32Array(0);
  sizeBytes = 0;
  /** Newest generation given out. */
  generation = 0;
  /** Generations from here on were written since the last acknowledgement. */
  acknowledgedGeneration = 0;
  constructor(readonly number: number) {}
}

function fill(file: TrackedFile, at: number, length: number): Uint8Array {
  file.generation++;
  const data = new Uint8Array(length);
  const view = new DataView(data.buffer);
  for (let offset = 0; offset < length; offset += WORD) {
    view.setUint32(offset, ((file.number << 16) | file.generation) >>> 0, true);
    view.setUint32(offset + 4, (at + offset) / WORD, true);
  }
  const words = new Uint32Array(Math.max(file.words.length, (at + length) / WORD));
  words.set(file.words);
  words.fill(file.generation, at / WORD, (at + length) / WORD);
  file.words = words;
  file.sizeBytes = Math.max(file.sizeBytes, at + length);
  return data;
}

function run(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  recorder: Recorder,
  random: Random,
): void {
  const files = new Map<string, { tracked: TrackedFile; opened: OpenFile }>();
  let nextNumber = 1;
  const acknowledge = (tracked: TrackedFile): void => {
    recorder.acknowledged.push({
      writeCount: recorder.writes.length,
      file: tracked.number,
      words: tracked.words.slice(),
      sizeBytes: tracked.sizeBytes,
    });
  };
  const root = lab.inodeAt(fileSystem, '/', null);
  for (let step = 0; step < STEPS; step++) {
    const slot = below(random, 6);
    let name = [...files.keys()][slot];
    const entry = name === undefined ? undefined : files.get(name);
    if (entry === undefined) {
      name = `file ${String(nextNumber)}`;
      files.set(name, {
        tracked: new TrackedFile(nextNumber++),
        opened: lab.openPath(fileSystem, name),
      });
      continue;
    }
    const { tracked, opened } = entry;
    const isFull = fileSystem.statfs().freeBytes < FREE_BYTES_MIN;
    const choice = isFull ? 16 : below(random, 20);
    if (choice < 11) {
      const at =
        Math.floor(below(random, tracked.sizeBytes + (step % 4 === 0 ? 400_000 : 20_000)) / 512) *
        512;
      const length = 512 * (1 + below(random, 100));
      const isDsync = choice < 3;
      const result = lab.write(opened, at, fill(tracked, at, length), {
        isDirect: choice % 2 === 0,
        isDsync,
      });
      expect(result).toBe(length);
      // O_DSYNC acknowledges its own range; the whole file counts only after fsync.
    } else if (choice < 14) {
      expect(lab.run(opened.fsync(false))).toBe(0);
      acknowledge(tracked);
    } else if (choice < 16) {
      const size = Math.floor(below(random, tracked.sizeBytes + 1) / WORD) * WORD;
      expect(lab.run(fileSystem.truncate(opened.inode, size))).toBe(0);
      tracked.words = tracked.words.slice(0, size / WORD);
      tracked.sizeBytes = size;
      recorder.acknowledged.push({
        writeCount: recorder.writes.length,
        file: tracked.number,
        words: new Uint32Array(0),
        sizeBytes: -1,
      });
    } else if (choice < 18) {
      expectOk(lab.run(fileSystem.unlink(root, name as string)));
      files.delete(name as string);
      recorder.acknowledged.push({
        writeCount: recorder.writes.length,
        file: tracked.number,
        words: new Uint32Array(0),
        sizeBytes: -1,
      });
    } else {
      expect(lab.run(fileSystem.sync())).toBe(0);
      for (const { tracked: each } of files.values()) acknowledge(each);
    }
  }
}

/** The disk after a cut in the middle of `cut`'s epoch. */
function crashState(
  start: Uint8Array,
  writes: readonly KeptWrite[],
  cut: number,
  random: Random,
): Uint8Array {
  const bytes = start.slice();
  const { epoch } = writes[cut] as KeptWrite;
  const inEpoch: KeptWrite[] = [];
  for (const write of writes.slice(0, cut + 1)) {
    if (write.epoch < epoch) bytes.set(write.data, write.byte);
    else inEpoch.push(write);
  }
  const mode = below(random, 3);
  const chosen = inEpoch.filter(() => mode === 0 || random.next32() % 2 === 0);
  if (mode === 2) chosen.reverse();
  for (const [index, write] of chosen.entries()) {
    const isTorn = index === chosen.length - 1 && random.next32() % 2 === 0;
    if (!isTorn) {
      bytes.set(write.data, write.byte);
      continue;
    }
    // Whole sectors, then a part of the next one.
    const sectors = below(random, write.data.length / SECTOR_BYTES);
    const kept = sectors * SECTOR_BYTES + below(random, SECTOR_BYTES / WORD) * WORD;
    bytes.set(write.data.subarray(0, kept), write.byte);
  }
  return bytes;
}

describeUnless(missingReason(['e2fsprogs']), `ext2 and power cuts, seed ${String(SEED)}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'diolab-crash-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const fsck = (path: string, ...args: string[]): { status: number; text: string } => {
    const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', [...args, path], {
      encoding: 'utf8',
    });
    return { status: found.status ?? -1, text: `${found.stdout}${found.stderr}` };
  };

  /** Our own mount refuses the state, or mends it so that e2fsck has nothing left to say. True: it mended it. */
  function mountsAgain(crashed: Uint8Array, path: string): boolean {
    const lab = new FileSystemLab(crashed.slice());
    let fileSystem: MountedFileSystem;
    try {
      fileSystem = lab.mount('ext2');
    } catch (error) {
      expect(error).toBeInstanceOf(HostError);
      return false;
    }
    lab.unmount(fileSystem);
    lab.save(path);
    const found = fsck(path, '-fn');
    expect(found.status, found.text).toBe(0);
    return true;
  }

  /** Files by number, wherever fsck put them, with their content. */
  function contents(path: string): Map<number, Uint8Array> {
    const lab = FileSystemLab.fromFile(path);
    const fileSystem = lab.mount('ext2');
    const found = new Map<number, Uint8Array>();
    for (const folderName of ['/', 'lost+found']) {
      const directory = lab.inodeAt(fileSystem, folderName, null);
      for (const { name, inodeNumber } of expectOk(lab.run(fileSystem.readDirectory(directory)))) {
        const inode = expectOk(lab.run(fileSystem.readInode(inodeNumber)));
        if (inode.kind !== 'file') continue;
        const opened = expectOk(lab.run(fileSystem.open(inode)));
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < inode.sizeBytes; at += 1024 * 1024) {
          const piece = lab.read(opened, at, Math.min(1024 * 1024, inode.sizeBytes - at));
          if (typeof piece === 'number') expect.fail(`${name}: errno ${String(piece)}`);
          pieces.push(piece);
        }
        const bytes = Buffer.concat(pieces);
        const number = checkOwner(bytes, name);
        if (number !== 0) found.set(number, bytes);
      }
    }
    return found;
  }

  /** Every word is zero or says one and the same file, and its own place. Returns that file; 0: all zeros. */
  function checkOwner(bytes: Buffer, name: string): number {
    let owner = Number(/^file (\d+)$/.exec(name)?.[1] ?? 0);
    for (let at = 0; at + WORD <= bytes.length; at += WORD) {
      const low = bytes.readUInt32LE(at);
      const place = bytes.readUInt32LE(at + 4);
      if (low === 0 && place === 0) continue;
      if (owner === 0) owner = low >>> 16;
      if (low >>> 16 !== owner || place !== at / WORD) {
        expect.fail(
          `${name} (file ${String(owner)}) holds at byte ${String(at)} word ${String(place)} of file ${String(low >>> 16)}`,
        );
      }
    }
    return owner;
  }

  for (const blockSize of ['1024', '4096']) {
    it(`${String(STATES)} states with blocks of ${blockSize}`, () => {
      const random = new Sfc32(SEED, Number(blockSize));
      const lab = FileSystemLab.blank(DISK_BYTES);
      lab.format('ext2', { blockSize, bytesPerInode: 8192 });
      const fileSystem = lab.mount('ext2');
      const start = lab.disk.bytes.slice();
      const recorder = new Recorder(lab);
      run(lab, fileSystem, recorder, random);
      lab.unmount(fileSystem);
      const path = join(folder, 'crash.img');
      let mended = 0;
      for (let state = 0; state < STATES; state++) {
        const cut = below(random, recorder.writes.length);
        const where = `state ${String(state)}, cut after write ${String(cut)}`;
        const crashed = crashState(start, recorder.writes, cut, random);
        if (mountsAgain(crashed, path)) mended++;
        writeFileSync(path, crashed);
        const repaired = fsck(path, '-fy');
        expect(repaired.status, `${where}\n${repaired.text}`).toBeLessThanOrEqual(1);
        const again = fsck(path, '-fn');
        expect(again.status, `${where}\n${again.text}`).toBe(0);
        const found = contents(path);
        const { epoch } = recorder.writes[cut] as KeptWrite;
        checkAcknowledged(recorder, cut, epoch, found, where);
      }
      expect(mended).toBeGreaterThan(0);
    });
  }

  /** The last acknowledgement of each file before the cut holds: at least that generation in every word. */
  function checkAcknowledged(
    recorder: Recorder,
    cut: number,
    epoch: number,
    found: ReadonlyMap<number, Uint8Array>,
    where: string,
  ): void {
    const last = new Map<number, Acknowledged>();
    for (const one of recorder.acknowledged) {
      // What comes after the cut, or undoes without having been synced, may or may not show.
      const isBefore = one.writeCount <= cut && epochAt(recorder, one.writeCount) <= epoch;
      if (isBefore || (one.sizeBytes < 0 && one.writeCount <= cut + 1)) last.set(one.file, one);
    }
    for (const { file, words, sizeBytes } of last.values()) {
      if (sizeBytes <= 0 || words.every((word) => word === 0)) continue;
      const bytes = found.get(file);
      if (bytes === undefined) expect.fail(`${where}: file ${String(file)} is gone`);
      if (bytes.length < sizeBytes) expect.fail(`${where}: file ${String(file)} is short`);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let word = 0; word < words.length; word++) {
        const generation = view.getUint32(word * WORD, true) & 0xffff;
        if (generation < (words[word] as number)) {
          expect.fail(
            `${where}: file ${String(file)}, byte ${String(word * WORD)} is older than what fsync promised`,
          );
        }
      }
    }
  }

  function epochAt(recorder: Recorder, writeCount: number): number {
    return recorder.writes[writeCount]?.epoch ?? recorder.epoch;
  }
});
