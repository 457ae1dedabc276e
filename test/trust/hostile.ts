// SPDX-License-Identifier: GPL-2.0-only
/**
 * Hostile images: what the mutator makes is probed, mounted, walked, read, mapped, described, changed where it is writable, checked and
 * unmounted. All of that must end, with an answer, an errno or a refusal that names structure, block and field, within a budget of
 * requests and of memory, and without a request that leaves the image.
 */
import { HostError, SECTOR_BYTES, Sfc32, type Result } from '../../engine/base/index.ts';
import type { DeviceRequest } from '../../engine/block/index.ts';
import { probeFileSystem } from '../../engine/filesystems/index.ts';
import type { Inode, MountedFileSystem } from '../../engine/vfs/index.ts';
import { FileSystemLab, stamped } from '../support/file-system-lab.ts';
import type { ImageVariant, TrustAdapter } from './adapters/index.ts';
import { freshImage, isWritable } from './images.ts';
import { Mutator } from './mutator.ts';
import { Watchdog } from './watchdog.ts';

/** Operations on one image: more would be a walk without end. */
const ENTRIES_MAX = 300;
/** Requests to the disk that one image may cost. */
const REQUESTS_MAX = 400_000;
/** A machine of two cores that eight share; a hang is for ever. */
const IMAGE_MS_MAX = 60_000;
const ARENA_PAGES = 2048;
const DESCRIBED_MAX = 40;

export interface HostileOptions {
  readonly adapter: TrustAdapter;
  readonly variant: ImageVariant;
  readonly seed: number;
  readonly images: number;
  /** Where a tool makes its image. */
  readonly path: string;
  readonly untilMs?: number;
  /** Begin at this image: repeats one. */
  readonly from?: number;
}
export interface HostileReport {
  images: number;
  mounted: number;
  refused: number;
  slowestMs: number;
  requestsMax: number;
  /** Growth of the process above where it began, MiB. */
  memoryMib: number;
}

export function hostileSuite(options: HostileOptions): HostileReport {
  const { adapter, variant, seed } = options;
  const image = specimen(adapter, variant, options.path);
  const structures = adapter.structures(image, new Sfc32(seed));
  if (structures.length < 4) throw new Error(`${adapter.moduleId}: too few structures`);
  const mutator = new Mutator(image, structures, adapter.blockBytes(image));
  const report = { images: 0, mounted: 0, refused: 0, slowestMs: 0, requestsMax: 0, memoryMib: 0 };
  const rssBefore = process.memoryUsage.rss() / 2 ** 20;
  const name = `${adapter.moduleId}, ${variant.name}, seed ${String(seed)}`;
  const watchdog = new Watchdog(name, IMAGE_MS_MAX);
  try {
    for (let index = options.from ?? 0; report.images < options.images; index++) {
      if (Date.now() > (options.untilMs ?? Infinity)) break;
      watchdog.at(index);
      const startedMs = Date.now();
      const { bytes, what } = mutator.damage(new Sfc32(seed, index));
      const visit = new Visit(adapter, bytes, index);
      try {
        visit.run(report);
      } catch (error) {
        throw new Error(`${name}, image ${String(index)}: ${what}`, { cause: error });
      }
      report.images++;
      report.slowestMs = Math.max(report.slowestMs, Date.now() - startedMs);
      report.requestsMax = Math.max(report.requestsMax, visit.requestCount);
    }
  } finally {
    watchdog.stop();
  }
  report.memoryMib = Math.max(0, Math.round(watchdog.rssMibMax - rssBefore));
  return report;
}

/** A sound image with every structure in it. */
function specimen(adapter: TrustAdapter, variant: ImageVariant, path: string): Uint8Array {
  const image = freshImage(adapter, variant, path);
  if (!isWritable(adapter)) return image;
  const lab = new FileSystemLab(image);
  const fileSystem = lab.mount(adapter.moduleId);
  for (const name of ['a', 'folder/b', 'folder/c', 'folder/deeper/d', 'a name that is long']) {
    const file = lab.openPath(fileSystem, name);
    expectWritten(lab.write(file, 0, stamped(1, 0, 40_000)), 40_000);
  }
  const far = lab.openPath(fileSystem, 'far');
  const one = lab.openPath(fileSystem, 'one');
  // Blocks of the two by turns: many extents, and indirect blocks, even where there are no holes.
  for (let turn = 0; turn < 24; turn++) {
    for (const file of [far, one]) {
      const at = file === far && fileSystem.dioProfile.skipHoles ? turn * 17_408 : turn * 4096;
      expectWritten(lab.write(file, at, stamped(2, at, 4096)), 4096);
      lab.run(file.fsync(false));
    }
  }
  lab.unmount(fileSystem);
  return image;
}

function expectWritten(result: number, lengthBytes: number): void {
  if (result !== lengthBytes) throw new Error(`the specimen: a write gave ${String(result)}`);
}

class Visit {
  requestCount = 0;
  private readonly lab: FileSystemLab;

  constructor(
    private readonly adapter: TrustAdapter,
    bytes: Uint8Array,
    index: number,
  ) {
    const lab = new FileSystemLab(bytes, { arenaPages: ARENA_PAGES });
    this.lab = lab;
    // Read only: no check at mount, so that more damage is met on the way.
    lab.disk.isReadOnly = index % 3 === 0 || !isWritable(adapter);
    lab.disk.intercept = (request) => this.look(request);
  }

  /** Every request lies inside the image; too many are a hang. */
  private look(request: DeviceRequest): number {
    const end = request.sectorStart * SECTOR_BYTES + request.sizeBytes;
    const isInside = request.sectorStart >= 0 && end <= this.lab.disk.bytes.length;
    if (!isInside) throw new Error(`request for sector ${String(request.sectorStart)} of no disk`);
    if (++this.requestCount > REQUESTS_MAX) throw new Error('more requests than the budget');
    return 0;
  }

  run(report: HostileReport): void {
    const { lab, adapter } = this;
    lab.run(probeFileSystem(lab.kernel, lab.device));
    let fileSystem: MountedFileSystem;
    try {
      fileSystem = lab.mount(adapter.moduleId);
    } catch (error) {
      expectRefusal(error);
      report.refused++;
      return;
    }
    report.mounted++;
    try {
      this.exercise(fileSystem);
      lab.run(fileSystem.unmount());
    } catch (error) {
      expectRefusal(error);
      report.refused++;
    }
  }

  /** Looks at and changes everything that can be reached. */
  private exercise(fileSystem: MountedFileSystem): void {
    const { lab } = this;
    fileSystem.statfs();
    const queue: number[] = [fileSystem.rootInodeNumber];
    const seen = new Set<number>();
    for (let number = queue.shift(); number !== undefined; number = queue.shift()) {
      if (seen.has(number) || seen.size > ENTRIES_MAX) continue;
      seen.add(number);
      if (fileSystem.stat !== undefined) lab.run(fileSystem.stat(number));
      if (fileSystem.facts !== undefined) expectAnswer(lab.run(fileSystem.facts(number)));
      const inode = lab.run(fileSystem.readInode(number));
      if (!inode.ok) continue;
      if (inode.value.kind === 'directory') {
        lab.run(fileSystem.lookup(inode.value, 'a name that is not there'));
        const entries = lab.run(fileSystem.readDirectory(inode.value));
        if (!entries.ok) continue;
        for (const entry of entries.value.slice(0, ENTRIES_MAX)) queue.push(entry.inodeNumber);
      } else if (inode.value.kind === 'file') this.exerciseFile(fileSystem, inode.value);
    }
    this.describe(fileSystem);
    lab.run(fileSystem.checkInvariants());
    if (!lab.disk.isReadOnly) this.change(fileSystem);
  }

  private describe(fileSystem: MountedFileSystem): void {
    const { lab } = this;
    if (fileSystem.facts !== undefined) expectAnswer(lab.run(fileSystem.facts(null)));
    const layout = fileSystem.layout === undefined ? null : lab.run(fileSystem.layout());
    if (layout?.ok !== true || fileSystem.describeBlock === undefined) return;
    for (const { deviceBlock } of layout.value.slice(0, DESCRIBED_MAX)) {
      expectAnswer(lab.run(fileSystem.describeBlock(deviceBlock)));
    }
  }

  private exerciseFile(fileSystem: MountedFileSystem, inode: Inode): void {
    const { lab } = this;
    const opened = lab.run(fileSystem.open(inode));
    if (!opened.ok) return;
    const file = opened.value;
    lab.run(file.extents());
    const last = Math.max(0, Math.floor(inode.sizeBytes / 512) * 512 - 4096);
    for (const isDirect of [true, false]) {
      lab.read(file, 0, 65536, { isDirect });
      if (Number.isSafeInteger(last)) lab.read(file, last, 8192, { isDirect });
      if (lab.disk.isReadOnly) continue;
      lab.write(file, 8192, stamped(3, 0, 4096), { isDirect });
      lab.write(file, 49_152, stamped(4, 0, 16_384), { isDirect, isDsync: true });
    }
    if (lab.disk.isReadOnly) return;
    if (fileSystem.fallocate !== undefined) {
      lab.run(fileSystem.fallocate(inode, 'allocate', 60_000, 20_000));
      lab.run(fileSystem.fallocate(inode, 'punch', 4096, 9000));
    }
    lab.run(file.fsync(false));
    lab.run(fileSystem.truncate(inode, 5000));
  }

  private change(fileSystem: MountedFileSystem): void {
    const { lab } = this;
    const root = lab.run(fileSystem.readInode(fileSystem.rootInodeNumber));
    if (!root.ok) return;
    lab.run(fileSystem.create(root.value, 'new', 'file'));
    lab.run(fileSystem.create(root.value, 'new folder', 'directory'));
    if (fileSystem.rename !== undefined) {
      lab.run(fileSystem.rename(root.value, 'one', root.value, 'another'));
    }
    if (fileSystem.removeDirectory !== undefined) {
      lab.run(fileSystem.removeDirectory(root.value, 'new folder'));
    }
    for (const name of ['a', 'far', 'folder', 'new']) lab.run(fileSystem.unlink(root.value, name));
    lab.run(fileSystem.sync());
  }
}

/** A refusal says where (structure and block), what (the field, in its message) and what would be right. */
function expectRefusal(error: unknown): void {
  if (!(error instanceof HostError)) throw error;
  const { where, hint, message, code } = error;
  if (where && hint && message && code) return;
  throw new Error(`a refusal without place or hint: ${JSON.stringify(error)}`, { cause: error });
}
function expectAnswer(result: Result<unknown>): void {
  if (!result.ok && result.error.length === 0) throw new Error('an error without a name');
}
