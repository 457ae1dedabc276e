// SPDX-License-Identifier: GPL-2.0-only
/**
 * From a target to an open file: arena, memory, kernel, device, file system, file. Formats and lays out where the experiment asks for
 * it. Everything that is opened is closed again by `close`, in the stop order.
 *
 * When an image is formatted: never, unless the target says `create` (or the device is one in memory, which is empty at every start),
 * no file system is found, and its first 64 KiB are zero: a fresh file of the caller's. Anything else in it is refused.
 */
import {
  errnoName,
  HostError,
  InvariantError,
  isTask,
  PAGE_BYTES,
  resolveOptions,
  Scheduler,
  Sfc32,
  SECTOR_BYTES,
  Trace,
  VirtualClock,
  WaitQueue,
  type Clock,
  type MaybeTask,
  type Result,
  type Task,
} from '../base/index.ts';
import type { BlockDevice, QueueCounters } from '../block/index.ts';
import {
  deviceModule,
  isOnHost,
  openDevice as openDeviceModule,
  type OpenDevice,
} from '../devices/index.ts';
import { findRevision, openDirectIo } from '../dio/index.ts';
import type { ExecutorId } from '../executor/contract.ts';
import { describeForeign } from '../filesystems/foreign.ts';
import { FILE_SYSTEMS } from '../filesystems/index.ts';
import { Memory } from '../memory/index.ts';
import type {
  DirectIoEffects,
  FileSystemModule,
  Inode,
  IoCounters,
  MountedFileSystem,
  OpenFile,
} from '../vfs/index.ts';
import type { LabPorts } from './door.ts';
import type { Target } from './experiment.ts';
import { withHostFault } from './host-fault.ts';
import { RunKernel } from './kernel.ts';
import { attachInner, lowerTarget, upperTarget, type NestedLoop } from './nested.ts';
import { layOut } from './lay-out.ts';
import { openPartition, refuseUnchosen } from './partitions/index.ts';

/** Pages for the page cache, metadata and the layout, beside the buffers of the load. */
const KERNEL_PAGES = 16384;
/** A buffered load gets a page cache worth the name. */
const BUFFERED_PAGES = 49152;
/** For a task of preparing to end after a stop. */
const STOP_GRACE_NS = 1e9;
/** Looked at before an image is formatted. */
const ZERO_CHECK_BYTES = 65536;

/** Asked from the run: how preparing goes on, and whether to stop. */
export interface PrepareControl {
  isStopRequested(): boolean;
  /** Real time. */
  nowNs(): number;
  onPhase(text: string, fraction: number | null): void;
}

export interface TargetOptions {
  readonly target: Target;
  readonly revision: string;
  readonly traceRowsMax: number;
  /** Buffers of the load. */
  readonly userPages: number;
  readonly ioEngine: ExecutorId;
  /** Slots of the executor. */
  readonly depth: number;
  readonly submitBatch: number;
  readonly direct: boolean;
  /** The load changes data. */
  readonly writes: boolean;
  /** Reads and writes follow the rules of the kernel around the revision; absent: they show what its direct I/O alone answers. */
  readonly withCallers?: boolean;
  /** Half of a nested target: the lower one, whose file is laid out with zeros for an image, or the inner one. Absent: it is whole. */
  readonly half?: 'lower' | 'inner';
  /** Puts another device over the one that was opened: explain keeps writes out of the image with it. */
  readonly wrapDevice?: (device: BlockDevice, memory: Memory) => BlockDevice;
}

/** An open file with all that a run asks of what is under it. */
export interface RunTarget {
  /** Where the image lies in a file of the lower image; absent: it does not. */
  readonly loop?: NestedLoop;
  readonly kernel: RunKernel;
  readonly clock: Clock;
  readonly trace: Trace | null;
  readonly openDevice: OpenDevice;
  readonly device: BlockDevice;
  readonly virtualTime: boolean;
  /** What the path through the file system counts; goes on counting. */
  readonly counters: IoCounters;
  /** What the device was asked for; goes on counting. */
  readonly deviceCounters: QueueCounters;
  readonly blockSizeBytes: number;
  readonly file: OpenFile;
  /** Counts on, from the layout to the end. */
  readonly directIoEffects: DirectIoEffects;
  readonly notes: readonly string[];
  /** Unmounts (the file system is marked clean) and closes the device. */
  close(): void;
  /** Closes the device without unmounting: after a broken invariant. */
  abandon(): void;
}

/** A target whose file is in a file system of the engine's. */
export interface OpenTarget extends RunTarget {
  readonly fileSystem: MountedFileSystem;
}

/** Thrown inside preparing when the person cancelled. */
export class RunCancelled extends Error {
  override readonly name = 'RunCancelled';
}

/** Opens everything. Throws `HostError` for what the host or the input refuses, `RunCancelled` on a stop; then all is closed. */
export function openTarget(
  options: TargetOptions,
  ports: LabPorts,
  control: PrepareControl,
): OpenTarget {
  const { target } = options;
  const module = deviceModule(target.device.id);
  const clock = module.virtualTime ? new VirtualClock() : ports.clock;
  const cachePages = options.direct && target.inner === undefined ? KERNEL_PAGES : BUFFERED_PAGES;
  const arena = ports.makeArena(options.userPages + cachePages);
  const memory = new Memory(arena, true);
  const scheduler = new Scheduler();
  const trace = options.traceRowsMax > 0 ? new Trace(clock, options.traceRowsMax) : null;
  // Model runs are repeatable to the bit: no time of day, no randomness of the host.
  const ofHost = module.virtualTime
    ? {}
    : {
        unixMs: ports.unixMs,
        random: new Sfc32(ports.clock.nowNs() % 2 ** 31, ports.unixMs() % 2 ** 31),
      };
  const kernel = new RunKernel({ clock, scheduler, memory, trace, ...ofHost });
  // A device without a file of the host is empty at every start: it is written at least to format it.
  const isOfHost = isOnHost(target.device.id, target.device.options);
  const readOnly =
    isOfHost &&
    !options.writes &&
    target.create === null &&
    target.fileSizeBytes === null &&
    (target.inner?.fileSizeBytes ?? null) === null;
  const opened = openDeviceModule(target.device.id, target.device.options, {
    clock,
    memory,
    scheduler,
    ...(ports.imageFiles !== undefined && { imageFiles: ports.imageFiles }),
    ...(ports.executors !== undefined && { executors: ports.executors }),
    ...(ports.loops !== undefined && { loops: ports.loops }),
    io: {
      ioEngine: options.ioEngine,
      depth: options.depth,
      submitBatch: options.submitBatch,
      direct: options.direct,
      readOnly,
      traced: options.traceRowsMax > 0,
      // A trace shows the submitter's sleep, which the kernel has; without one it is only time lost.
      endsInSubmit: options.traceRowsMax === 0,
    },
  });
  const { wrapDevice } = options;
  let openDevice =
    wrapDevice === undefined ? opened : { ...opened, device: wrapDevice(opened.device, memory) };
  try {
    if (target.partition !== undefined) {
      const slice = openPartition(kernel, openDevice.device, target.partition);
      openDevice = { ...openDevice, device: runStoppable(kernel, 'partition', slice, control) };
    }
    const open = target.inner === undefined ? openOn : openNested;
    return open(options, kernel, openDevice, control, module.virtualTime, trace);
  } catch (error) {
    openDevice.device.close();
    throw withHostFault(error, openDevice);
  }
}

/** Format where asked for, mount, open, lay out. */
function openOn(
  options: TargetOptions,
  kernel: RunKernel,
  openDevice: OpenDevice,
  control: PrepareControl,
  virtualTime: boolean,
  trace: Trace | null,
): OpenTarget {
  return new Opening(options, kernel, openDevice, control).finish(virtualTime, trace);
}

/** The lower file system and the file in it, the loop device over that, and everything again on the loop device. */
function openNested(
  ...[options, kernel, openDevice, control, ...rest]: Parameters<typeof openOn>
): OpenTarget {
  const { target } = options;
  const below = { ...options, target: lowerTarget(target), half: 'lower' as const };
  const lower = openOn(below, kernel, openDevice, control, ...rest);
  let isUpperOpen = false;
  try {
    const loop = attachInner(kernel, target, options.revision, lower);
    const above = { ...options, target: upperTarget(target), half: 'inner' as const };
    const onLoop = { ...openDevice, device: loop.device };
    const upper = openOn(above, kernel, onLoop, control, ...rest);
    isUpperOpen = true;
    const notes = [...lower.notes, ...loop.notes, ...upper.notes];
    const told = [lower.notes.length, upper.notes.length] as const;
    return {
      ...upper,
      openDevice,
      deviceCounters: lower.deviceCounters,
      notes,
      loop,
      close: () => {
        try {
          upper.close();
        } finally {
          lower.close();
          notes.push(...upper.notes.slice(told[1]), ...lower.notes.slice(told[0]));
        }
      },
      abandon: () => {
        lower.abandon();
      },
    };
  } catch (error) {
    const isIdle = kernel.scheduler.liveCount === 0 && kernel.inFlightCount === 0;
    if (!isUpperOpen && isIdle && !(error instanceof InvariantError)) {
      kernel.runTask('unmount', lower.fileSystem.unmount());
    }
    throw error;
  }
}

/** The file system module of that id; an unknown one is a `HostError` that lists those there are. */
function fileSystemModule(id: string): FileSystemModule {
  const found = FILE_SYSTEMS.find((module) => module.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'file-system.unknown',
    message: `there is no file system ${id}`,
    where: 'target.fileSystem',
    hint: `There are auto, ${FILE_SYSTEMS.map((module) => module.id).join(', ')}.`,
    exitCode: 65,
  });
}

/**
 * Runs a task to its end. After a stop it has a second to come to an end (the layout does at its next piece); then it is
 * `RunCancelled`, and what it waits for is left to the device's close.
 */
export function runStoppable<T>(
  kernel: RunKernel,
  label: string,
  task: MaybeTask<T>,
  control: PrepareControl,
): T {
  if (!isTask(task)) return task;
  if (control.isStopRequested()) throw new RunCancelled();
  let ended: { readonly value: T } | null = null;
  let failed: { readonly error: unknown } | null = null;
  kernel.scheduler.spawn(
    label,
    task,
    (value) => (ended = { value }),
    (error) => (failed = { error }),
  );
  let stopSeenNs = Infinity;
  kernel.runUntil(() => {
    if (ended !== null || failed !== null) return true;
    if (control.isStopRequested()) stopSeenNs = Math.min(stopSeenNs, control.nowNs());
    return control.nowNs() - stopSeenNs > STOP_GRACE_NS;
  });
  if (failed !== null) throw (failed as { readonly error: unknown }).error;
  if (ended === null) throw new RunCancelled();
  return (ended as { readonly value: T }).value;
}

/** A module that only reads is no place for a load that writes. */
function assertWritable(module: FileSystemModule): void {
  if (module.supports.write === true) return;
  throw new HostError({
    code: 'file-system.read-only',
    message: `${module.title} is mapped and read here, not written, and the load writes`,
    where: 'target.fileSystem',
    hint: 'Let the load read, or copy the file into an image of a file system that is written.',
    exitCode: 65,
  });
}

class Opening {
  private readonly notes: string[] = [];
  private readonly target: Target;
  private readonly device: BlockDevice;

  constructor(
    private readonly options: TargetOptions,
    private readonly kernel: RunKernel,
    private readonly openDevice: OpenDevice,
    private readonly control: PrepareControl,
  ) {
    this.target = options.target;
    this.device = openDevice.device;
  }

  finish(virtualTime: boolean, trace: Trace | null): OpenTarget {
    const { kernel, device, openDevice } = this;
    if (this.options.writes) this.assertConsent('the load writes');
    const module = this.chooseFileSystem();
    if (this.options.writes) assertWritable(module);
    this.control.onPhase(`Mounting ${module.title}`, null);
    const spec = findRevision(this.options.revision);
    const { directIo, pool } = openDirectIo(spec, this.options.withCallers === true);
    const fileSystem = this.run('mount', module.mount(kernel, device, directIo));
    const file = this.openFileOrUnmount(fileSystem);
    const sizeAtOpen = file.inode.sizeBytes;
    const closeDevice = (): void => {
      device.close();
    };
    return {
      kernel,
      clock: kernel.clock,
      trace,
      openDevice,
      device,
      virtualTime,
      counters: fileSystem.counters,
      deviceCounters: kernel.queueOf(device).counters,
      blockSizeBytes: fileSystem.blockSizeBytes,
      fileSystem,
      file,
      directIoEffects: pool.effects,
      notes: this.notes,
      close: () => {
        try {
          this.cutBackAfterFault(fileSystem, file, sizeAtOpen);
          assertDone(kernel.runTask('unmount', fileSystem.unmount()), 'unmounting', module.title);
          kernel.drain();
        } catch (error) {
          throw withHostFault(error, openDevice);
        } finally {
          closeDevice();
        }
      },
      abandon: closeDevice,
    };
  }

  /** What was mounted is left clean also where the file cannot be had. */
  private openFileOrUnmount(fileSystem: MountedFileSystem): OpenFile {
    try {
      return this.openFile(fileSystem);
    } catch (error) {
      const { kernel } = this;
      const isIdle = kernel.scheduler.liveCount === 0 && kernel.inFlightCount === 0;
      if (isIdle && !(error instanceof InvariantError)) {
        kernel.runTask('unmount', fileSystem.unmount());
      }
      throw error;
    }
  }

  private run<T>(label: string, task: MaybeTask<T>): T {
    return runStoppable(this.kernel, label, task, this.control);
  }

  /** Which file system; formats a fresh image. */
  private chooseFileSystem(): FileSystemModule {
    const { target, device, kernel } = this;
    if (target.fileSystem.id === 'auto') return this.detectFileSystem();
    const module = fileSystemModule(target.fileSystem.id);
    if (module.id === 'raw') return module;
    this.assertChosen();
    const probe = this.run('probe', module.probe(kernel, device));
    if (probe !== null) return module;
    if (target.create === null && this.openDevice.image !== null) throw this.noFileSystem(module);
    if (module.format === undefined) throw this.noFileSystem(module);
    if (!this.run('check for zeros', this.startsWithZeros())) {
      throw new HostError({
        code: 'image.not-empty',
        message: `the image holds something that is not ${module.title}, and is not empty`,
        where: this.openDevice.image?.path ?? device.name,
        hint: 'Name another image, or format this one yourself with diolab mkfs --force.',
        exitCode: 73,
      });
    }
    this.control.onPhase(`Formatting ${module.title}`, null);
    const options = resolveOptions(module.options, target.fileSystem.options, module.title);
    const formatted = this.run('format', module.format(kernel, device, options));
    if (!formatted.ok) throw refusedBy(module.title, 'formatting', formatted.error);
    const { half } = this.options;
    const image = half === undefined ? 'image' : `${half} image`;
    this.notes.push(`The ${image} was empty and was formatted as ${module.title}.`);
    return module;
  }

  /** A disk with partitions is no file system: the person has to choose one. Devices without an image hold what the lab made. */
  private assertChosen(): void {
    const { kernel, device, openDevice } = this;
    if (openDevice.image === null) return;
    const refused = this.run('partitions', refuseUnchosen(kernel, device));
    if (refused !== null) throw refused;
  }

  private detectFileSystem(): FileSystemModule {
    this.assertChosen();
    for (const module of FILE_SYSTEMS) {
      if (module.id === 'raw') continue;
      if (this.run('probe', module.probe(this.kernel, this.device)) !== null) return module;
    }
    if (this.target.filePath === null) return fileSystemModule('raw');
    const path = this.openDevice.image?.path ?? this.device.name;
    const told = this.run('signature', describeForeign(this.kernel, this.device, path));
    throw new HostError({
      code: 'image.no-file-system',
      message: `${told.message}, so there is no file ${this.target.filePath}`,
      where: path,
      hint: told.hint ?? 'Use file system raw without a file path.',
      exitCode: 65,
    });
  }

  private noFileSystem(module: FileSystemModule): HostError {
    return new HostError({
      code: 'image.no-file-system',
      message: `the image does not hold ${module.title}`,
      where: this.openDevice.image?.path ?? this.device.name,
      hint: `diolab mkfs makes one; or let the experiment create its own image, or use file system auto or raw.`,
      exitCode: 65,
    });
  }

  private *startsWithZeros(): Task<boolean> {
    const { kernel, device } = this;
    const lengthBytes = Math.min(ZERO_CHECK_BYTES, device.capacitySectors * SECTOR_BYTES);
    const pageCount = Math.ceil(lengthBytes / PAGE_BYTES);
    const page = kernel.memory.allocatePages(pageCount);
    const bio = kernel.allocateBio(pageCount);
    bio.id = kernel.nextBioId();
    bio.op = 'read';
    bio.device = device;
    bio.sectorStart = 0;
    for (let index = 0; index < pageCount; index++) {
      bio.pushVector(page + index, 0, Math.min(PAGE_BYTES, lengthBytes - index * PAGE_BYTES));
    }
    const ended = new WaitQueue('bio', 'the first sectors of the image');
    let isEnded = false;
    bio.onEnd = (): void => {
      isEnded = true;
      kernel.scheduler.wakeAll(ended);
    };
    kernel.submitBio(bio);
    while (!isEnded) yield ended;
    const isGood = bio.status === 0;
    const bytes = kernel.memory.bytes.subarray(page * PAGE_BYTES, page * PAGE_BYTES + lengthBytes);
    const isZero = isGood && bytes.every((value) => value === 0);
    kernel.releaseBio(bio);
    kernel.memory.freePages(page, pageCount);
    return isZero;
  }

  private openFile(fileSystem: MountedFileSystem): OpenFile {
    const { target } = this;
    if (target.filePath === null) {
      if (fileSystem.moduleId !== 'raw') {
        throw new HostError({
          code: 'target.file-required',
          message: `the image holds ${fileSystem.moduleId}, so the target needs the path of a file`,
          where: 'target.file',
          hint: 'For example /data; or use file system raw for the whole device.',
          exitCode: 65,
        });
      }
      const root = this.run('open', fileSystem.readInode(fileSystem.rootInodeNumber));
      if (!root.ok) throw refusedBy('the device', 'opening', root.error);
      return this.openInode(fileSystem, root.value, 'the device');
    }
    const inode = this.findOrCreate(fileSystem, target.filePath);
    const file = this.openInode(fileSystem, inode, target.filePath);
    const { fileSizeBytes } = target;
    if (fileSizeBytes !== null && inode.sizeBytes < fileSizeBytes) {
      this.assertConsent(`${target.filePath} has to be laid out to ${String(fileSizeBytes)} bytes`);
      this.layOut(fileSystem, file, target.filePath, fileSizeBytes);
    }
    return file;
  }

  /** What a layout that failed has written goes again: half a file is of no use, and a full disk may not keep its map. */
  private layOut(
    fileSystem: MountedFileSystem,
    file: OpenFile,
    path: string,
    sizeBytes: number,
  ): void {
    const { kernel, control } = this;
    const { inode } = file;
    const fill = this.options.half === 'lower' ? 'zeros' : 'random';
    const before = inode.sizeBytes;
    try {
      this.run('lay out', layOut(kernel, file, path, sizeBytes, control, fill));
    } catch (error) {
      if (error instanceof HostError) this.run('cut back', fileSystem.truncate(inode, before));
      throw error;
    }
  }

  /** Where the host has refused a write and takes no metadata either, what the run appended goes, so that the image stays sound. */
  private cutBackAfterFault(
    fileSystem: MountedFileSystem,
    file: OpenFile,
    sizeBytes: number,
  ): void {
    const { kernel, openDevice } = this;
    const fault = openDevice.firstFault?.() ?? null;
    if (fault === null || fault.op === 'read' || file.inode.sizeBytes <= sizeBytes) return;
    if (kernel.runTask('sync', fileSystem.sync()) >= 0) return;
    kernel.runTask('cut back', fileSystem.truncate(file.inode, sizeBytes));
    this.notes.push(
      `The host refused to take the map of what the run appended: the file is cut back to ${String(sizeBytes)} bytes.`,
    );
  }

  private openInode(fileSystem: MountedFileSystem, inode: Inode, path: string): OpenFile {
    if (inode.kind !== 'file' && inode.kind !== 'block-device') {
      throw new HostError({
        code: 'target.not-a-file',
        message: `${path} is a ${inode.kind}`,
        where: path,
        hint: 'Name a regular file.',
        exitCode: 66,
      });
    }
    const opened = this.run('open', fileSystem.open(inode));
    if (!opened.ok) throw refusedBy(path, 'opening', opened.error);
    return opened.value;
  }

  /** Walks the path; makes what is missing where the target gives the file a size. */
  private findOrCreate(fileSystem: MountedFileSystem, path: string): Inode {
    const names = path.slice(1).split('/');
    const root = this.run('open', fileSystem.readInode(fileSystem.rootInodeNumber));
    if (!root.ok) throw refusedBy('/', 'reading', root.error);
    let inode = root.value;
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1;
      const soFar = `/${names.slice(0, index + 1).join('/')}`;
      const found = this.run('look up', fileSystem.lookup(inode, name));
      const next = found.ok
        ? this.run('read inode', fileSystem.readInode(found.value))
        : this.create(fileSystem, inode, name, isLast ? 'file' : 'directory', soFar, found.error);
      if (!next.ok) throw refusedBy(soFar, 'opening', next.error);
      inode = next.value;
    }
    return inode;
  }

  private create(
    fileSystem: MountedFileSystem,
    folder: Inode,
    name: string,
    kind: 'file' | 'directory',
    path: string,
    error: string,
  ): Result<Inode> {
    if (error !== 'ENOENT') throw refusedBy(path, 'looking up', error);
    if (this.target.fileSizeBytes === null && !this.options.writes) {
      throw new HostError({
        code: 'target.no-file',
        message: `there is no ${path} in the image`,
        where: path,
        hint: 'Give the target a file size to have it made, or list the image with diolab ls.',
        exitCode: 66,
      });
    }
    this.assertConsent(`${path} has to be made`);
    const made = this.run('create', fileSystem.create(folder, name, kind));
    if (!made.ok) throw refusedBy(path, 'making', made.error);
    return made;
  }

  /** No image that the lab did not make is written without consent. */
  private assertConsent(why: string): void {
    const { target, openDevice } = this;
    if (openDevice.image === null || target.create !== null || target.consentToWrite) return;
    throw new HostError({
      code: 'target.no-consent',
      message: `${why}, and nobody has agreed to that for ${openDevice.image.path}`,
      where: openDevice.image.path,
      hint: 'Say so with consentToWrite, or let the experiment create an image of its own.',
      exitCode: 77,
    });
  }
}

/** A file system's refusal while preparing, as an error of the host road. */
export function refusedBy(what: string, doing: string, errno: string): HostError {
  const isFull = errno === 'ENOSPC';
  return new HostError({
    code: isFull ? 'image.full' : 'image.refused',
    message: `${doing} ${what} ended with ${errno}`,
    where: what,
    hint: isFull
      ? 'The file system in the image is full: a smaller file or a larger image.'
      : 'diolab ls and e2fsck -fn say more about the image.',
    exitCode: 74,
  });
}

function assertDone(returned: number, doing: string, what: string): void {
  if (returned < 0)
    throw refusedBy(what, doing, errnoName(returned) ?? `errno ${String(-returned)}`);
}
