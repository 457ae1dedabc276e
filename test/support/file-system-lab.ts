// SPDX-License-Identifier: GPL-2.0-only
/**
 * A kernel and a disk in memory for tests of file systems: format, mount, read and write without a host. The disk's bytes are an
 * array that a test can hand to e2fsck, damage, or fill from an image.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  Scheduler,
  SECTOR_BYTES,
  VirtualClock,
  type KernelReturn,
  type Result,
  type Task,
} from '../../engine/base/index.ts';
import type { BioOp, BlockDevice, DeviceRequest, QueueLimits } from '../../engine/block/index.ts';
import { DEFAULT_LIMITS } from '../../engine/block/index.ts';
import { findRevision, openDirectIo } from '../../engine/dio/index.ts';
import { fileSystemById } from '../../engine/filesystems/index.ts';
import { RunKernel } from '../../engine/lab/kernel.ts';
import { IovIter, Memory, plainArena } from '../../engine/memory/index.ts';
import type { Inode, Kiocb, MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';

const VECTOR_WORDS = 3;
const PAGE = 4096;
const SCRATCH_PAGES = 260;

/** A disk over an array; requests end at the next `wait`, in the order they came or, with `shuffle`, in another. */
export class ArrayDisk implements BlockDevice {
  readonly name = 'array disk';
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  isReadOnly = false;
  /** Sees every request before it is done; a number is its error. */
  intercept: ((request: DeviceRequest) => number) | null = null;
  private queued: DeviceRequest[] = [];

  constructor(
    readonly memory: Memory,
    readonly bytes: Uint8Array,
    private readonly inline: boolean,
    private readonly shuffle: (() => number) | null = null,
  ) {
    this.capacitySectors = Math.floor(bytes.length / SECTOR_BYTES);
    this.limits = { ...DEFAULT_LIMITS, hasVolatileCache: true };
  }
  get inFlightCount(): number {
    return this.queued.length;
  }
  submit(request: DeviceRequest): 'queued' | 'busy' {
    if (this.inline) this.finish(request);
    else this.queued.push(request);
    return 'queued';
  }
  commit(): void {
    // Nothing is batched.
  }
  wait(): number {
    const batch = this.queued;
    this.queued = [];
    if (this.shuffle !== null) {
      for (let at = batch.length - 1; at > 0; at--) {
        const other = this.shuffle() % (at + 1);
        [batch[at], batch[other]] = [batch[other] as DeviceRequest, batch[at] as DeviceRequest];
      }
    }
    for (const request of batch) this.finish(request);
    return batch.length;
  }
  close(): void {
    this.wait();
  }

  private finish(request: DeviceRequest): void {
    const error = this.intercept?.(request) ?? 0;
    if (error === 0 && request.op !== 'flush') this.transfer(request);
    request.onEnd(request, error);
  }

  private transfer(request: DeviceRequest): void {
    let at = request.sectorStart * SECTOR_BYTES;
    if (at + request.sizeBytes > this.bytes.length) throw new Error('request beyond the disk');
    for (let index = 0; index < request.bioCount; index++) {
      const bio = request.bios[index];
      if (bio === undefined) throw new Error('request without its bios');
      for (let vector = 0; vector < bio.vectorCount * VECTOR_WORDS; vector += VECTOR_WORDS) {
        const page = bio.vectors[vector] as number;
        const offset = bio.vectors[vector + 1] as number;
        const length = bio.vectors[vector + 2] as number;
        const from = page * PAGE + offset;
        const memory = this.memory.bytes.subarray(from, from + length);
        if (request.op === 'read') memory.set(this.bytes.subarray(at, at + length));
        else this.bytes.set(memory, at);
        at += length;
      }
    }
  }
}

export interface LabOptions {
  readonly arenaPages?: number;
  readonly inline?: boolean;
  readonly shuffle?: () => number;
  readonly revision?: string;
  /** Reads and writes follow the rules of the kernel around the revision, as in a run. */
  readonly withCallers?: boolean;
  /** Puts another device over the disk: a recorder, faults. */
  readonly wrap?: (disk: BlockDevice, memory: Memory) => BlockDevice;
}

/** One kernel with one disk. */
export class FileSystemLab {
  readonly memory: Memory;
  readonly kernel: RunKernel;
  readonly disk: ArrayDisk;
  /** What file systems are mounted on: the disk, or what was put over it. */
  readonly device: BlockDevice;
  private readonly revision: string;
  private readonly withCallers: boolean;
  private nextIocb = 0;
  /** For the buffers of single requests, so that they do not compete with the caches. */
  private readonly scratchPage: number;

  constructor(bytes: Uint8Array, options: LabOptions = {}) {
    this.memory = new Memory(plainArena(options.arenaPages ?? 8192), false);
    const scheduler = new Scheduler();
    const clock = new VirtualClock();
    this.kernel = new RunKernel({ clock, scheduler, memory: this.memory, trace: null });
    const { inline = true, shuffle = null } = options;
    this.disk = new ArrayDisk(this.memory, bytes, inline, shuffle);
    this.device = options.wrap?.(this.disk, this.memory) ?? this.disk;
    this.revision = options.revision ?? '6.4';
    this.withCallers = options.withCallers === true;
    this.scratchPage = this.memory.allocatePages(SCRATCH_PAGES);
  }

  static blank(sizeBytes: number, options: LabOptions = {}): FileSystemLab {
    return new FileSystemLab(new Uint8Array(sizeBytes).fill(0xa5), options);
  }
  static fromFile(path: string, options: LabOptions = {}): FileSystemLab {
    return new FileSystemLab(new Uint8Array(readFileSync(path)), options);
  }
  save(path: string): void {
    writeFileSync(path, this.disk.bytes);
  }

  run<T>(task: Task<T>): T {
    return this.kernel.runTask('test', task);
  }

  format(id: string, options: Readonly<Record<string, unknown>> = {}): void {
    const module = fileSystemById(id);
    if (module.format === undefined) throw new Error(`${id} cannot be formatted`);
    const defaults = Object.fromEntries(
      Object.entries(module.options).map(([name, field]) => [name, field.default]),
    );
    const chosen = { ...defaults, ...options };
    expectOk(this.run(module.format(this.kernel, this.device, chosen as never)));
  }

  mount(id: string): MountedFileSystem {
    const { directIo } = openDirectIo(findRevision(this.revision), this.withCallers);
    return this.run(fileSystemById(id).mount(this.kernel, this.device, directIo));
  }

  /** Pages of user memory; freed by `release`. */
  buffer(lengthBytes: number): { readonly address: number; readonly release: () => void } {
    const pages = Math.ceil(lengthBytes / PAGE) + 1;
    if (pages <= SCRATCH_PAGES) {
      return { address: this.scratchPage * PAGE, release: () => undefined };
    }
    const first = this.memory.allocatePages(pages);
    if (first < 0) throw new Error('no memory for a buffer');
    return {
      address: first * PAGE,
      release: () => {
        this.memory.freePages(first, pages);
      },
    };
  }

  iocb(inode: Inode, positionBytes: number, options: Partial<Kiocb> = {}): Kiocb {
    return {
      id: this.nextIocb++,
      inode,
      isDirect: false,
      isNowait: false,
      isDsync: false,
      isAppend: false,
      positionBytes,
      onComplete: null,
      ...options,
    };
  }

  /** pwrite; the kernel's return. */
  write(
    file: OpenFile,
    positionBytes: number,
    data: Uint8Array,
    options: Partial<Kiocb> = {},
  ): KernelReturn {
    const buffer = this.buffer(data.length);
    this.memory.bytes.set(data, buffer.address);
    const segments = [{ addressBytes: buffer.address, lengthBytes: data.length }];
    const iter = new IovIter(this.memory, 'write', 'user', segments);
    const result = this.call(() => file.write(this.iocb(file.inode, positionBytes, options), iter));
    buffer.release();
    return result;
  }

  /** pread; the bytes that came, or minus an errno. */
  read(
    file: OpenFile,
    positionBytes: number,
    lengthBytes: number,
    options: Partial<Kiocb> = {},
  ): Uint8Array | number {
    const buffer = this.buffer(lengthBytes);
    const segments = [{ addressBytes: buffer.address, lengthBytes }];
    const iter = new IovIter(this.memory, 'read', 'user', segments);
    const result = this.call(() => file.read(this.iocb(file.inode, positionBytes, options), iter));
    const bytes =
      result < 0 ? result : this.memory.bytes.slice(buffer.address, buffer.address + result);
    buffer.release();
    return bytes;
  }

  private call(start: () => KernelReturn | Task<KernelReturn>): KernelReturn {
    return this.run(
      (function* () {
        const result = start();
        return typeof result === 'number' ? result : yield* result;
      })(),
    );
  }

  /** The file at a path below the root, made where it is absent. */
  openPath(fileSystem: MountedFileSystem, path: string): OpenFile {
    return expectOk(this.run(fileSystem.open(this.inodeAt(fileSystem, path, 'file'))));
  }

  inodeAt(fileSystem: MountedFileSystem, path: string, make: 'file' | 'directory' | null): Inode {
    let inode = expectOk(this.run(fileSystem.readInode(fileSystem.rootInodeNumber)));
    const names = path.split('/').filter((name) => name !== '');
    for (const [index, name] of names.entries()) {
      const found = this.run(fileSystem.lookup(inode, name));
      if (found.ok) inode = expectOk(this.run(fileSystem.readInode(found.value)));
      else {
        if (make === null) throw new Error(`${path}: ${found.error}`);
        const kind = index === names.length - 1 ? make : 'directory';
        inode = expectOk(this.run(fileSystem.create(inode, name, kind)));
      }
    }
    return inode;
  }

  unmount(fileSystem: MountedFileSystem): void {
    const status = this.run(fileSystem.unmount());
    if (status !== 0) throw new Error(`unmount gave ${String(status)}`);
    this.kernel.drain();
  }

  /** Pages still allocated, the lab's own aside: 0 once everything was given back. */
  get pagesInUse(): number {
    let count = -SCRATCH_PAGES;
    for (let page = 1; page < this.memory.pageCount; page++) {
      if (((this.memory.state[page] as number) & 8) !== 0) count++;
    }
    return count;
  }
}

export function expectOk<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(`unexpected ${result.error}: ${result.detail ?? ''}`);
}

/** Bytes that say where they belong: each 4-byte word is a mix of `seed` and its place in the file. */
export function stamped(seed: number, positionBytes: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let at = 0; at < lengthBytes; at++) {
    const byte = positionBytes + at;
    const word = (Math.imul(byte >>> 2, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)) >>> 0;
    bytes[at] = (word >>> ((byte & 3) * 8)) & 0xff || 1;
  }
  return bytes;
}
