// SPDX-License-Identifier: GPL-2.0-only
/**
 * Damaged and hostile ext2 images: a mutator that knows where the structures are changes superblock, descriptors, bitmaps, inodes,
 * indirect blocks and directories; mounting, walking, reading, writing and checking must end, with an answer or a refusal by name,
 * and never touch a byte beyond the disk (the array disk throws there).
 */
import { describe, expect, it } from 'vitest';
import { below, HostError, Sfc32, type Random } from '../../engine/base/index.ts';
import type { Inode, MountedFileSystem } from '../../engine/vfs/index.ts';
import { FileSystemLab, stamped } from '../support/file-system-lab.ts';

const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const IMAGES = Number(process.env['DIOLAB_HOSTILE_IMAGES'] ?? 300);
const DISK_BYTES = 2 * 1024 * 1024;
/** Operations on one image: more would be a walk without end. */
const ENTRIES_MAX = 400;

interface Specimen {
  readonly bytes: Uint8Array;
  /** Byte ranges worth changing: name, first byte, length. */
  readonly targets: readonly (readonly [string, number, number])[];
}

/** A sound image with every structure in it, and where they are. */
function specimen(blockBytes: number): Specimen {
  const lab = FileSystemLab.blank(DISK_BYTES);
  lab.format('ext2', { blockSize: String(blockBytes) });
  const fileSystem = lab.mount('ext2');
  for (const path of ['a', 'folder/b', 'folder/c', 'folder/deeper/d']) {
    const file = lab.openPath(fileSystem, path);
    expect(lab.write(file, 0, stamped(1, 0, 40_000))).toBe(40_000);
  }
  const far = lab.openPath(fileSystem, 'far');
  for (const block of [0, 13, 300, 1100, 70_000])
    lab.write(far, block * blockBytes, stamped(2, 0, 512));
  lab.unmount(fileSystem);
  const { bytes } = lab.disk;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const descriptors = (blockBytes === 1024 ? 2 : 1) * blockBytes;
  const blockBitmap = view.getUint32(descriptors, true) * blockBytes;
  const inodeBitmap = view.getUint32(descriptors + 4, true) * blockBytes;
  const inodeTable = view.getUint32(descriptors + 8, true) * blockBytes;
  const targets: (readonly [string, number, number])[] = [
    ['superblock', 1024, 272],
    ['descriptors', descriptors, 32],
    ['block bitmap', blockBitmap, 64],
    ['inode bitmap', inodeBitmap, 16],
  ];
  for (const number of [2, 11, 12, 13, 14, 15, 16, 17, 18]) {
    const at = inodeTable + (number - 1) * 256;
    targets.push([`inode ${String(number)}`, at, 128]);
    for (let index = 0; index < 15; index++) {
      const pointer = view.getUint32(at + 40 + index * 4, true);
      if (pointer !== 0 && (index === 0 || index >= 12)) {
        targets.push([
          `block ${String(index)} of inode ${String(number)}`,
          pointer * blockBytes,
          96,
        ]);
      }
    }
  }
  return { bytes, targets };
}

/** Changes one to eight fields, with values that are likely to hurt. */
function mutate(
  image: Specimen,
  random: Random,
): { readonly bytes: Uint8Array; readonly what: string } {
  const bytes = image.bytes.slice();
  const view = new DataView(bytes.buffer);
  const what: string[] = [];
  for (let left = 1 + below(random, 8); left > 0; left--) {
    const [name, first, length] = image.targets[below(random, image.targets.length)] as readonly [
      string,
      number,
      number,
    ];
    const at = first + below(random, length / 4) * 4;
    const old = view.getUint32(at, true);
    const value = [
      0,
      0xffffffff,
      0x7fffffff,
      0x80000000,
      old + 1,
      old - 1,
      old ^ (1 << below(random, 32)),
      random.next32(),
      below(random, DISK_BYTES / 1024),
      Math.floor(first / 1024),
      old << 16,
      0x00010001 * below(random, 65536),
    ][below(random, 12)] as number;
    if (random.next32() % 3 === 0) view.setUint16(at + (random.next32() & 2), value & 0xffff, true);
    else view.setUint32(at, value >>> 0, true);
    what.push(`${name} + ${String(at - first)}`);
  }
  return { bytes, what: what.join(', ') };
}

/** Looks at and changes everything that can be reached. */
function exercise(lab: FileSystemLab, fileSystem: MountedFileSystem): void {
  const queue: number[] = [fileSystem.rootInodeNumber];
  const seen = new Set<number>();
  for (let number = queue.shift(); number !== undefined; number = queue.shift()) {
    if (seen.has(number) || seen.size > ENTRIES_MAX) continue;
    seen.add(number);
    const inode = lab.run(fileSystem.readInode(number));
    if (!inode.ok) continue;
    if (inode.value.kind === 'directory') {
      const entries = lab.run(fileSystem.readDirectory(inode.value));
      if (!entries.ok) continue;
      for (const entry of entries.value.slice(0, ENTRIES_MAX)) queue.push(entry.inodeNumber);
    } else if (inode.value.kind === 'file') exerciseFile(lab, fileSystem, inode.value);
  }
  lab.run(fileSystem.checkInvariants());
  const root = lab.run(fileSystem.readInode(fileSystem.rootInodeNumber));
  if (!root.ok) return;
  lab.run(fileSystem.create(root.value, 'new', 'file'));
  lab.run(fileSystem.create(root.value, 'new folder', 'directory'));
  for (const name of ['a', 'far', 'folder', 'new']) lab.run(fileSystem.unlink(root.value, name));
}

function exerciseFile(lab: FileSystemLab, fileSystem: MountedFileSystem, inode: Inode): void {
  const opened = lab.run(fileSystem.open(inode));
  if (!opened.ok) return;
  const file = opened.value;
  lab.run(file.extents());
  for (const isDirect of [true, false]) {
    lab.read(file, 0, 65536, { isDirect });
    lab.read(file, Math.max(0, Math.floor(inode.sizeBytes / 512) * 512 - 4096), 8192, { isDirect });
    lab.write(file, 8192, stamped(3, 0, 4096), { isDirect });
    lab.write(file, 49_152, stamped(4, 0, 16_384), { isDirect, isDsync: true });
  }
  lab.run(file.fsync(false));
  lab.run(fileSystem.truncate(inode, 5000));
}

describe(`hostile images, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const blockBytes of [1024, 2048, 4096]) {
    it(`${String(IMAGES)} mutations with blocks of ${String(blockBytes)}: an answer or a refusal by name`, () => {
      const image = specimen(blockBytes);
      const random = new Sfc32(SEED, blockBytes);
      let mounted = 0;
      let refused = 0;
      for (let index = 0; index < IMAGES; index++) {
        const { bytes, what } = mutate(image, random);
        const lab = new FileSystemLab(bytes, { arenaPages: 2048 });
        // Read only: no check at mount, so that more damage is met on the way.
        lab.disk.isReadOnly = index % 3 === 0;
        const where = `image ${String(index)}: ${what}`;
        try {
          const fileSystem = lab.mount('ext2');
          mounted++;
          exercise(lab, fileSystem);
          lab.run(fileSystem.unmount());
        } catch (error) {
          if (!(error instanceof HostError)) throw new Error(where, { cause: error });
          expect(error.where, where).toBeTruthy();
          expect(error.hint, where).toBeTruthy();
          refused++;
        }
      }
      expect(mounted).toBeGreaterThan(IMAGES / 10);
      expect(refused).toBeGreaterThan(IMAGES / 20);
    });
  }
});
