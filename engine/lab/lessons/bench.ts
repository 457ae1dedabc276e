// SPDX-License-Identifier: GPL-2.0-only
/**
 * The bench of the lessons: makes an image in memory, and runs on copies of it.
 *
 *   const disk = makeDisk(ports, { fileSystemId: 'ext4', sizeBytes, options, fill });   // format, fill, unmount
 *   onDisk(ports, disk, (open) => open.examine('/data.bin', request));                   // mounts a copy; the disk stays as it is
 *
 * Rules: 1. The clock is virtual and there is no randomness of the host, so the same recipe gives the same bytes everywhere. 2. What is
 * run on a disk is run on a copy of its bytes. 3. What does not go as a lesson's recipe expects is a broken invariant, not an answer.
 */
import {
  assert,
  errnoName,
  isTask,
  Scheduler,
  SECTOR_BYTES,
  Trace,
  VirtualClock,
  resolveOptions,
  type MaybeTask,
  type Result,
  type Task,
} from '../../base/index.ts';
import type { BlockDevice } from '../../block/index.ts';
import { DEFAULT_REVISION_ID, findRevision, openDirectIo } from '../../dio/index.ts';
import { fileSystemById } from '../../filesystems/index.ts';
import { Memory } from '../../memory/index.ts';
import type { FileExtent, MountedFileSystem, OpenFile } from '../../vfs/index.ts';
import type { LabPorts } from '../door.ts';
import { examineFile, type Examined } from '../explain.ts';
import { kiocb, Piece, PIECE_BYTES } from '../image/content.ts';
import { openFile } from '../image/paths.ts';
import { RunKernel } from '../kernel.ts';
import type { LessonRequest } from '../lesson.ts';
import type { FileRecipe } from '../workbench.ts';
import { layOutRecipe } from '../workbench/lay-out.ts';
import { BytesDevice } from './bytes-device.ts';

/** 16 MiB: caches, buffers of requests, and the piece of data under way. */
const ARENA_PAGES = 4096;
const TRACE_ROWS_MAX = 100_000;
const IMAGE_NAME = 'lesson image';

export interface DiskRecipe {
  readonly fileSystemId: string;
  readonly sizeBytes: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** Puts the files in. */
  readonly fill: (open: OpenDisk) => void;
}

/** An image in memory. */
export interface LessonDisk {
  readonly fileSystemId: string;
  readonly bytes: Uint8Array;
}

export interface DiskHow {
  /** Smallest unit of the disk; 512 where absent. */
  readonly logicalBlockBytes?: number;
  /** Puts another device over the disk: a recorder. */
  readonly wrap?: (device: BlockDevice, memory: Memory) => BlockDevice;
}

/** A mounted copy of a disk. */
export class OpenDisk {
  private readonly piece: Piece;
  private readonly files = new Map<string, OpenFile>();

  constructor(
    readonly kernel: RunKernel,
    readonly device: BlockDevice,
    readonly fileSystem: MountedFileSystem,
    readonly trace: Trace,
    /** What the disk holds now, flushed or not. */
    readonly bytes: Uint8Array,
  ) {
    this.piece = new Piece(kernel.memory);
  }

  get blockBytes(): number {
    return this.fileSystem.blockSizeBytes;
  }

  run<T>(label: string, task: Task<T>): T {
    return this.kernel.runTask(label, task);
  }

  /** The file at a path of the root folder; the same one until `forget`. */
  file(path: string): OpenFile {
    const known = this.files.get(path);
    if (known !== undefined) return known;
    const opened = this.run('open', openFile(this.fileSystem, IMAGE_NAME, path));
    this.files.set(path, opened);
    return opened;
  }

  create(path: string): OpenFile {
    const { fileSystem } = this;
    const root = value(this.run('root', fileSystem.readInode(fileSystem.rootInodeNumber)));
    value(this.run('create', fileSystem.create(root, path.slice(1), 'file')));
    return this.file(path);
  }

  remove(path: string): void {
    const { fileSystem } = this;
    this.files.delete(path);
    const root = value(this.run('root', fileSystem.readInode(fileSystem.rootInodeNumber)));
    value(this.run('remove', fileSystem.unlink(root, path.slice(1))));
  }

  /** Lays files out as a recipe of the image workbench wants them. */
  layOut(files: readonly FileRecipe[], seed: number): void {
    const { kernel, fileSystem } = this;
    const recipe = { files, freePieceBytes: 0, seed };
    const place = { kernel, fileSystem, image: IMAGE_NAME };
    this.run(
      'lay out',
      layOutRecipe(place, recipe, () => undefined),
    );
  }

  truncate(path: string, sizeBytes: number): void {
    const status = this.run('truncate', this.fileSystem.truncate(this.file(path).inode, sizeBytes));
    assert(status === 0, 'truncate of a lesson', { status });
  }

  /** Takes blocks for a range without writing them. */
  allocate(path: string, offsetBytes: number, lengthBytes: number): void {
    const { fileSystem } = this;
    assert(fileSystem.fallocate !== undefined, 'the lesson needs fallocate', {});
    const { inode } = this.file(path);
    const status = this.run(
      'allocate',
      fileSystem.fallocate(inode, 'allocate', offsetBytes, lengthBytes),
    );
    assert(status === 0, 'fallocate of a lesson', { status });
  }

  /** pwrite; the kernel's return. At most 1 MiB. */
  write(
    path: string,
    offsetBytes: number,
    bytes: Uint8Array,
    how: { readonly direct: boolean; readonly dsync?: boolean },
  ): number {
    assert(bytes.length <= PIECE_BYTES, 'a write of a lesson is 1 MiB at most', {});
    const file = this.file(path);
    this.piece.bytes.set(bytes);
    const iocb = { ...kiocb(file.inode, offsetBytes, how.direct), isDsync: how.dsync === true };
    const done = this.call('write', file.write(iocb, this.piece.iter('write', bytes.length)));
    this.kernel.drain();
    return done;
  }

  /** pread; what came. */
  read(path: string, offsetBytes: number, lengthBytes: number, direct: boolean): Uint8Array {
    assert(lengthBytes <= PIECE_BYTES, 'a read of a lesson is 1 MiB at most', {});
    const file = this.file(path);
    const iocb = kiocb(file.inode, offsetBytes, direct);
    const done = this.call('read', file.read(iocb, this.piece.iter('read', lengthBytes)));
    assert(done >= 0, 'read of a lesson', { errno: errnoName(done) ?? done });
    this.kernel.drain();
    return this.piece.bytes.slice(0, done);
  }

  fsync(path: string): void {
    const status = this.run('fsync', this.file(path).fsync(false));
    assert(status === 0, 'fsync of a lesson', { status });
  }

  extents(path: string): FileExtent[] {
    return value(this.run('map', this.file(path).extents()));
  }

  sizeOf(path: string): number {
    return this.file(path).inode.sizeBytes;
  }

  /** Runs one direct request with a full trace. */
  examine(path: string, request: LessonRequest): Examined {
    const { kernel, trace, device } = this;
    const asked = { ...request, revision: DEFAULT_REVISION_ID };
    return examineFile(asked, { kernel, file: this.file(path), trace, device });
  }

  private call(label: string, started: MaybeTask<number>): number {
    return isTask(started) ? this.run(label, started) : started;
  }
}

function value<T>(result: Result<T>): T {
  assert(result.ok, 'a step of a lesson failed', { error: result.ok ? '' : result.error });
  return result.value;
}

interface Powered {
  readonly kernel: RunKernel;
  readonly device: BlockDevice;
  readonly trace: Trace;
}

/** A kernel with the disk, for one piece of work. */
function withKernel<T>(
  ports: LabPorts,
  bytes: Uint8Array,
  how: DiskHow,
  work: (powered: Powered) => T,
): T {
  const arena = ports.makeArena(ARENA_PAGES);
  const memory = new Memory(arena, true);
  const clock = new VirtualClock();
  const trace = new Trace(clock, TRACE_ROWS_MAX);
  const kernel = new RunKernel({ clock, scheduler: new Scheduler(), memory, trace });
  const disk = new BytesDevice(memory, bytes, how.logicalBlockBytes ?? SECTOR_BYTES);
  const device = how.wrap?.(disk, memory) ?? disk;
  try {
    const result = work({ kernel, device, trace });
    kernel.drain();
    return result;
  } finally {
    device.close();
    if (kernel.inFlightCount === 0) ports.releaseArena?.(arena);
  }
}

function mounted(powered: Powered, fileSystemId: string, bytes: Uint8Array): OpenDisk {
  const { kernel, device, trace } = powered;
  const { directIo } = openDirectIo(findRevision(DEFAULT_REVISION_ID));
  const module = fileSystemById(fileSystemId);
  const fileSystem = kernel.runTask('mount', module.mount(kernel, device, directIo));
  return new OpenDisk(kernel, device, fileSystem, trace, bytes);
}

/** Formats a disk in memory, fills it, and unmounts. */
export function makeDisk(ports: LabPorts, recipe: DiskRecipe): LessonDisk {
  const { fileSystemId, sizeBytes, fill } = recipe;
  const bytes = new Uint8Array(sizeBytes);
  withKernel(ports, bytes, {}, (powered) => {
    const { kernel, device } = powered;
    const module = fileSystemById(fileSystemId);
    assert(module.format !== undefined, 'a lesson formats its disk', { fileSystemId });
    const options = resolveOptions(module.options, recipe.options, `file system ${fileSystemId}`);
    value(kernel.runTask('format', module.format(kernel, device, options)));
    const open = mounted(powered, fileSystemId, bytes);
    fill(open);
    const status = kernel.runTask('unmount', open.fileSystem.unmount());
    assert(status === 0, 'unmount of a lesson', { status });
  });
  return { fileSystemId, bytes };
}

/** Mounts a copy of the disk, works on it, and lets it go as it is. */
export function onDisk<T>(
  ports: LabPorts,
  disk: LessonDisk,
  work: (open: OpenDisk) => T,
  how: DiskHow = {},
): T {
  const bytes = disk.bytes.slice();
  return withKernel(ports, bytes, how, (powered) =>
    work(mounted(powered, disk.fileSystemId, bytes)),
  );
}
