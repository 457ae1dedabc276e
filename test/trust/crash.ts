// SPDX-License-Identifier: GPL-2.0-only
/**
 * Power cuts: a workload over a recorder, then states of the disk in which a cut may leave it (crash-log.ts). Each must be repaired by
 * the file system's own checker (a second pass is clean), hold every byte that fsync or O_DSYNC acknowledged, and show no byte in a
 * file that was never that file's. Every eighth state is mounted by our engine, too: it refuses by name, or leaves it sound.
 *
 *   const report = crashSuite({ adapter, variant, seed, states, folder });      // throws at the first state that does not hold
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { below, HostError, Sfc32, type Random } from '../../engine/base/index.ts';
import { RecorderDevice } from '../../engine/devices/recorder/index.ts';
import type { Inode, MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import type { ImageVariant, OrderMutant, TrustAdapter } from './adapters/index.ts';
import {
  loggedWrites,
  nameOf,
  pointsOf,
  STATE_KINDS,
  StateMaker,
  type CrashPoint,
  type CrashState,
  type LoggedWrite,
} from './crash-log.ts';
import { freshImage } from './images.ts';
import { olderThan, ownerOf, TrackedFile, WORD } from './tracked.ts';

/** Operations of one workload, and states made of its log. */
const STEPS = 110;
const STATES_PER_WORKLOAD = 400;
/** Less free space than this share: a file is removed instead of written. */
const FREE_SHARE_MIN = 0.14;
const MOUNT_EVERY = 8;
const FILES_MAX = 6;
const ENTRIES_MAX = 4096;

export interface CrashOptions {
  readonly adapter: TrustAdapter;
  readonly variant: ImageVariant;
  readonly seed: number;
  /** Different states to look at. */
  readonly states: number;
  /** For images. */
  readonly folder: string;
  /** Breaks the order of the log. */
  readonly mutant?: OrderMutant;
  /** Unix time in ms at which to stop, whatever is left. */
  readonly untilMs?: number;
}
export interface CrashReport {
  /** States that were looked at, and of those different from all before. */
  states: number;
  distinct: number;
  workloads: number;
  writes: number;
  /** Repaired by the checker; mounted, and mended, by our engine. */
  repaired: number;
  mounted: number;
  mended: number;
}

/** What was promised of a file at a point of the log. */
interface Promised {
  readonly point: CrashPoint;
  readonly file: number;
  readonly durable: Uint32Array;
}

/** One workload: the log, and what it promised when. */
class Recording {
  readonly promises: Promised[] = [];
  readonly start: Uint8Array;
  readonly recorder: RecorderDevice;
  private readonly lab: FileSystemLab;
  private readonly files = new Map<string, { tracked: TrackedFile; opened: OpenFile }>();
  private readonly fileSystem: MountedFileSystem;
  private readonly root: Inode;
  private nextNumber = 1;

  constructor(
    adapter: TrustAdapter,
    private readonly image: Uint8Array,
    private readonly random: Random,
  ) {
    let recorder: RecorderDevice | null = null;
    this.start = image.slice();
    this.lab = new FileSystemLab(image, {
      wrap: (disk, memory) => (recorder = new RecorderDevice(disk, memory)),
    });
    this.recorder = recorder as unknown as RecorderDevice;
    this.fileSystem = this.lab.mount(adapter.moduleId);
    this.root = this.lab.inodeAt(this.fileSystem, '/', null);
    for (let step = 0; step < STEPS; step++) this.step(step);
    this.lab.unmount(this.fileSystem);
  }

  private get now(): CrashPoint {
    return { writes: this.recorder.writes.length, flushes: this.recorder.flushedAt.length };
  }
  private promise(tracked: TrackedFile): void {
    this.promises.push({
      point: this.now,
      file: tracked.number,
      durable: tracked.durable.slice(),
    });
  }

  private step(step: number): void {
    const { files, random, fileSystem } = this;
    const name = [...files.keys()][below(random, FILES_MAX)];
    const entry = name === undefined ? undefined : files.get(name);
    if (name === undefined || entry === undefined) {
      const number = this.nextNumber++;
      const path = number % 4 === 0 ? `folder/file ${String(number)}` : `file ${String(number)}`;
      const opened = this.lab.openPath(fileSystem, path);
      files.set(path, { tracked: new TrackedFile(number), opened });
      return;
    }
    const isFull = fileSystem.statfs().freeBytes < this.image.length * FREE_SHARE_MIN;
    const choice = isFull ? 18 : below(random, 21);
    const { tracked, opened } = entry;
    if (choice < 11) this.write(tracked, opened, step, choice);
    else if (choice < 14) {
      succeeded(this.lab.run(opened.fsync(choice === 12)), 'fsync');
      tracked.acknowledgeAll();
      this.promise(tracked);
    } else if (choice < 16) this.truncate(tracked, opened);
    else if (choice === 16) this.punch(tracked, opened);
    else if (choice === 17) this.rename(name);
    else if (choice < 20) {
      tracked.forget();
      this.promise(tracked);
      const folder = this.lab.inodeAt(fileSystem, name.includes('/') ? 'folder' : '/', null);
      expectOk(this.lab.run(fileSystem.unlink(folder, name.replace(/^.*\//, ''))));
      files.delete(name);
    } else {
      succeeded(this.lab.run(fileSystem.sync()), 'sync');
      for (const { tracked: each } of files.values()) {
        each.acknowledgeAll();
        this.promise(each);
      }
    }
  }

  private write(tracked: TrackedFile, opened: OpenFile, step: number, choice: number): void {
    const { random } = this;
    // Where there are no holes a gap takes room, too.
    const room = Math.max(0, this.fileSystem.statfs().freeBytes - 80_000);
    const reach = tracked.sizeBytes + Math.min(room, step % 4 === 0 ? 200_000 : 20_000);
    const at = Math.floor(below(random, reach) / 512) * 512;
    const length = 512 * (1 + below(random, 100));
    const data = tracked.fill(at, length);
    const isDsync = choice < 3;
    const result = this.lab.write(opened, at, data, { isDirect: choice % 2 === 0, isDsync });
    if (result !== length) throw new Error(`write gave ${String(result)} of ${String(length)}`);
    if (!isDsync) return;
    tracked.acknowledge(at, length);
    this.promise(tracked);
  }

  private truncate(tracked: TrackedFile, opened: OpenFile): void {
    const size = Math.floor(below(this.random, tracked.sizeBytes + 1) / WORD) * WORD;
    tracked.forget();
    this.promise(tracked);
    succeeded(this.lab.run(this.fileSystem.truncate(opened.inode, size)), 'truncate');
    tracked.cut(size);
  }

  private punch(tracked: TrackedFile, opened: OpenFile): void {
    const { fileSystem } = this;
    if (fileSystem.fallocate === undefined) return;
    const at = Math.floor(below(this.random, tracked.sizeBytes + 1) / WORD) * WORD;
    const length = WORD * (1 + below(this.random, 8000));
    tracked.forget();
    this.promise(tracked);
    const mode = this.random.next32() % 2 === 0 ? 'punch' : 'keep-size';
    const result = this.lab.run(fileSystem.fallocate(opened.inode, mode, at, length));
    if (result === 0 && mode === 'punch') tracked.zero(at, length);
    else if (result !== 0 && result !== -95) throw new Error(`${mode} gave ${String(result)}`);
  }

  private rename(name: string): void {
    const { fileSystem, files, root } = this;
    const entry = files.get(name);
    if (fileSystem.rename === undefined || entry === undefined || name.includes('/')) return;
    const to = name.startsWith('moved ') ? name.slice(6) : `moved ${name}`;
    expectOk(this.lab.run(fileSystem.rename(root, name, root, to)));
    files.delete(name);
    files.set(to, entry);
  }
}

function succeeded(status: number, what: string): void {
  if (status !== 0) throw new Error(`${what} gave ${String(status)}`);
}

/** What holds at a point: of each file its last promise before it, nothing where it was taken back since. */
function promisedAt(promises: readonly Promised[], { writes, flushes }: CrashPoint) {
  const last = new Map<number, Uint32Array>();
  for (const { point, file, durable } of promises) {
    const isBefore = point.writes <= writes && point.flushes <= flushes;
    const isTakenBack = durable.length === 0 && (point.writes < writes || point.flushes < flushes);
    if (durable.length === 0 ? isTakenBack : isBefore) last.set(file, durable);
  }
  return last;
}

/** The structure that a write lies in: the first byte's, by the image as the workload left it; `data` where it is none. */
function structureOf(adapter: TrustAdapter, image: Uint8Array): (byte: number) => string {
  const structures = adapter.structures(image, new Sfc32(1));
  const blockBytes = adapter.blockBytes(image);
  const byBlock = new Map<number, string>();
  for (const { name, byte } of structures) {
    const block = Math.floor(byte / blockBytes);
    // Inodes share their block; anything else is alone in it, superblock and descriptors aside.
    if (!byBlock.has(block)) byBlock.set(block, name);
  }
  // A FAT begins anywhere in a block of the size of its clusters, and goes on.
  const long = structures.filter(({ lengthBytes }) => lengthBytes > blockBytes);
  return (byte) =>
    long.find((one) => byte >= one.byte && byte < one.byte + one.lengthBytes)?.name ??
    byBlock.get(Math.floor(byte / blockBytes)) ??
    'data';
}

/** The log as a file system would have written it that gets the order wrong. */
export function mutated(
  mutant: OrderMutant,
  log: readonly LoggedWrite[],
  flushedAt: readonly number[],
  structure: (byte: number) => string,
): LoggedWrite[] {
  const names = (epoch: number): Set<string> =>
    new Set(log.filter((write) => write.epoch === epoch).map((write) => structure(write.byte)));
  const dropped = new Set(
    flushedAt.flatMap((_, flush) =>
      mutant.dropsFlush?.(names(flush), names(flush + 1)) === true ? [flush] : [],
    ),
  );
  const found: LoggedWrite[] = [];
  for (const write of log) {
    let { epoch, submittedAt } = write;
    while (dropped.has(epoch)) epoch++;
    const move = mutant.moves?.(structure(write.byte)) ?? null;
    if (move === 'lost') continue;
    if (move === 'late') epoch++;
    if (move === 'early' && epoch > 0) {
      submittedAt = Math.min(submittedAt, flushedAt[epoch - 2] ?? 0);
    }
    found.push({ ...write, epoch, submittedAt });
  }
  return found;
}

class CrashRun {
  readonly report: CrashReport = {
    states: 0,
    distinct: 0,
    workloads: 0,
    writes: 0,
    repaired: 0,
    mounted: 0,
    mended: 0,
  };
  private readonly seen = new Set<string>();
  private readonly path: string;
  private readonly random: Random;
  private readonly fresh: Uint8Array;

  constructor(private readonly options: CrashOptions) {
    this.path = join(options.folder, 'crash.img');
    this.random = new Sfc32(options.seed, options.variant.sizeBytes);
    this.fresh = freshImage(options.adapter, options.variant, this.path);
  }

  run(): CrashReport {
    const { report, options } = this;
    while (report.distinct < options.states && !this.isLate()) this.workload();
    return report;
  }
  private isLate(): boolean {
    return Date.now() > (this.options.untilMs ?? Infinity);
  }

  private workload(): void {
    const { options, report, random } = this;
    const image = this.fresh.slice();
    const recording = new Recording(options.adapter, image, random);
    const { recorder, promises, start } = recording;
    let log = loggedWrites(recorder.writes);
    if (options.mutant !== undefined) {
      const structure = structureOf(options.adapter, image);
      log = mutated(options.mutant, log, recorder.flushedAt, structure);
    }
    const maker = new StateMaker(start, log);
    report.workloads++;
    report.writes += recorder.writes.length;
    for (const state of this.statesOf(pointsOf(recorder.writes.length, recorder.flushedAt))) {
      if (report.distinct >= options.states || this.isLate()) return;
      report.states++;
      const bytes = maker.make(state);
      const digest = createHash('sha1').update(bytes).digest('base64');
      const promised = promisedAt(promises, state.point);
      if (this.seen.has(digest)) continue;
      this.seen.add(digest);
      report.distinct++;
      this.check(bytes, promised, `workload ${String(report.workloads)}, ${nameOf(state)}`);
    }
    // What was seen in one workload is not seen in another: each has its own content.
    this.seen.clear();
  }

  /** Small runs: points by chance. Large ones: every prefix, and the other kinds by turns. */
  private statesOf(points: readonly CrashPoint[]): readonly CrashState[] {
    const { random, options } = this;
    const count = Math.min(STATES_PER_WORKLOAD, Math.ceil(options.states / 2));
    const states: CrashState[] = [];
    const isEvery = count >= points.length / 2;
    for (let index = 0; states.length < count || (isEvery && index < points.length); index++) {
      const point = points[isEvery && index < points.length ? index : below(random, points.length)];
      const kind = isEvery && index < points.length ? 'prefix' : STATE_KINDS[index % 6];
      if (point !== undefined && kind !== undefined) {
        states.push({ point, kind, seed: random.next32() });
      }
    }
    return states.sort((a, b) => a.point.flushes - b.point.flushes);
  }

  private check(crashed: Uint8Array, promised: Map<number, Uint32Array>, where: string): void {
    const { adapter, seed, variant } = this.options;
    const failed = (what: string): Error =>
      new Error(`${adapter.moduleId}, ${variant.name}, seed ${String(seed)}, ${where}: ${what}`);
    if (this.report.distinct % MOUNT_EVERY === 0) this.mount(crashed, failed);
    writeFileSync(this.path, crashed);
    const repaired = adapter.repair?.(this.path);
    if (repaired !== undefined && !repaired.isRepaired) throw failed(repaired.text);
    if (repaired?.isClean !== true) {
      this.report.repaired++;
      const again = adapter.fsck(this.path);
      if (!again.isClean)
        throw failed(`second pass: ${again.text}\nfirst: ${repaired?.text ?? ''}`);
    }
    const found = this.contents(failed);
    for (const [file, durable] of promised) {
      const wrong = olderThan(found.get(file), durable);
      if (wrong !== null) throw failed(`file ${String(file)} ${wrong}`);
    }
  }

  /** Our own mount refuses the state, or mends it so that the checker has nothing left to say. */
  private mount(crashed: Uint8Array, failed: (what: string) => Error): void {
    const { adapter } = this.options;
    const lab = new FileSystemLab(crashed.slice());
    this.report.mounted++;
    try {
      lab.unmount(lab.mount(adapter.moduleId));
    } catch (error) {
      if (error instanceof HostError && error.hint !== undefined) return;
      throw failed(`our mount: ${String(error)}`);
    }
    lab.save(this.path);
    const verdict = adapter.fsck(this.path);
    if (!verdict.isClean) throw failed(`after our mount: ${verdict.text}`);
    this.report.mended++;
  }

  /** Files by number, wherever the checker put them, with their content. */
  private contents(failed: (what: string) => Error): Map<number, Uint8Array> {
    const lab = new FileSystemLab(new Uint8Array(readFileSync(this.path)));
    const fileSystem = lab.mount(this.options.adapter.moduleId);
    const found = new Map<number, Uint8Array>();
    for (const { path, inode } of walk(lab, fileSystem)) {
      const bytes = contentOf(lab, fileSystem, inode);
      if (typeof bytes === 'number') throw failed(`${path}: errno ${String(bytes)}`);
      const owner = ownerOf(bytes, Number(/file (\d+)$/.exec(path)?.[1] ?? 0));
      if (typeof owner === 'string') throw failed(`${path}: ${owner}`);
      // Without a journal a file on its way to another name may be there under both, once without its content.
      const isLonger = bytes.length > (found.get(owner)?.length ?? -1);
      if (owner !== 0 && isLonger) found.set(owner, bytes);
    }
    return found;
  }
}

/** Every file below the root. */
export function walk(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
): readonly { readonly path: string; readonly inode: Inode }[] {
  const found: { path: string; inode: Inode }[] = [];
  const folders = [{ path: '', number: fileSystem.rootInodeNumber }];
  const seen = new Set<number>();
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    if (seen.has(folder.number) || seen.size > ENTRIES_MAX) continue;
    seen.add(folder.number);
    const directory = expectOk(lab.run(fileSystem.readInode(folder.number)));
    for (const entry of expectOk(lab.run(fileSystem.readDirectory(directory)))) {
      if (entry.name === '.' || entry.name === '..') continue;
      const path = `${folder.path}${entry.name}`;
      const inode = expectOk(lab.run(fileSystem.readInode(entry.inodeNumber)));
      if (inode.kind === 'directory') folders.push({ path: `${path}/`, number: entry.inodeNumber });
      else if (inode.kind === 'file') found.push({ path, inode });
    }
  }
  return found;
}

export function contentOf(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  inode: Inode,
): Uint8Array | number {
  const opened = expectOk(lab.run(fileSystem.open(inode)));
  const bytes = new Uint8Array(inode.sizeBytes);
  for (let at = 0; at < bytes.length; at += 1 << 19) {
    const piece = lab.read(opened, at, Math.min(1 << 19, bytes.length - at));
    if (typeof piece === 'number') return piece;
    bytes.set(piece, at);
  }
  return bytes;
}

export function crashSuite(options: CrashOptions): CrashReport {
  return new CrashRun(options).run();
}
