// SPDX-License-Identifier: GPL-2.0-only
/**
 * Opens an image for the tools: memory, kernel, device, file system. Each call opens the image, does one thing, unmounts and closes,
 * whatever happens in between. The arena goes back to the host afterwards, so that many questions take the memory of one.
 */
import { HostError, Scheduler, Sfc32, type Task } from '../../base/index.ts';
import { openDevice, type OpenDevice } from '../../devices/index.ts';
import { DEFAULT_REVISION_ID, findRevision, openDirectIo } from '../../dio/index.ts';
import { describeForeign, ownModule } from '../../filesystems/foreign.ts';
import { FILE_SYSTEMS } from '../../filesystems/index.ts';
import { Memory } from '../../memory/index.ts';
import type { DirectIo, MountedFileSystem } from '../../vfs/index.ts';
import type { LabPorts } from '../door.ts';
import { withHostFault } from '../host-fault.ts';
import { RunKernel } from '../kernel.ts';
import { openPartition, probeWhole, refuseUnchosen } from '../partitions/index.ts';
import { ioError } from './paths.ts';

/** 64 MiB: metadata, page cache, and the piece of data under way. */
const ARENA_PAGES = 16384;

export interface OpenImage {
  readonly kernel: RunKernel;
  readonly opened: OpenDevice;
  readonly path: string;
}

/** Opens the image, or a partition of it, hands it to `work`, and closes it, whatever happens. */
export function withImage<T>(
  ports: LabPorts,
  path: string,
  readOnly: boolean,
  work: (image: OpenImage) => T,
  /** As in `Target`; null: the whole image. */
  partition: number | null = null,
): T {
  const arena = ports.makeArena(ARENA_PAGES);
  const memory = new Memory(arena, true);
  const scheduler = new Scheduler();
  const { clock, unixMs } = ports;
  const random = new Sfc32(clock.nowNs() % 2 ** 31, unixMs() % 2 ** 31);
  const kernel = new RunKernel({ clock, scheduler, memory, trace: null, unixMs, random });
  const opened = openDevice(
    'image-file',
    { path },
    {
      clock,
      memory,
      scheduler,
      ...(ports.imageFiles !== undefined && { imageFiles: ports.imageFiles }),
      ...(ports.executors !== undefined && { executors: ports.executors }),
      io: { ioEngine: 'sync', depth: 8, submitBatch: 8, direct: true, readOnly },
    },
  );
  try {
    const result = work({ kernel, opened: inPartition(kernel, opened, path, partition), path });
    kernel.drain();
    return result;
  } catch (error) {
    throw withHostFault(error, opened);
  } finally {
    opened.device.close();
    // Where something is still in flight, the kernel may write to it: then it is not used again.
    if (kernel.inFlightCount === 0) ports.releaseArena?.(arena);
  }
}

/** The opened image with the partition as its device. */
function inPartition(
  kernel: RunKernel,
  opened: OpenDevice,
  path: string,
  partition: number | null,
): OpenDevice {
  if (partition === null) return opened;
  try {
    const device = kernel.runTask('partition', openPartition(kernel, opened.device, partition));
    return { ...opened, device };
  } catch (error) {
    throw error instanceof HostError ? named(error, path) : error;
  }
}

const directIo = (): DirectIo => openDirectIo(findRevision(DEFAULT_REVISION_ID)).directIo;

export function* mountAny(image: OpenImage): Task<MountedFileSystem> {
  const { kernel, opened } = image;
  const found = yield* probeWhole(kernel, opened.device);
  if (found !== null) return yield* found.module.mount(kernel, opened.device, directIo());
  throw yield* refusal(image);
}

/** Why no module wants it: a disk lists its partitions, a format of ours says so itself, anything else by its signature. */
export function* refusal(image: OpenImage): Task<HostError> {
  const { kernel, opened, path } = image;
  const unchosen = yield* refuseUnchosen(kernel, opened.device);
  if (unchosen !== null) return named(unchosen, path);
  const ownId = yield* ownModule(kernel, opened.device);
  const module = FILE_SYSTEMS.find(({ id }) => id === ownId);
  try {
    if (module !== undefined) yield* module.mount(kernel, opened.device, directIo());
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return named(error, path);
  }
  return named(yield* describeForeign(kernel, opened.device, path), path);
}

/** The error with the image's path in front of where it happened. */
export function named(error: HostError, path: string): HostError {
  const { where } = error;
  if (where?.startsWith(path) === true) return error;
  return new HostError({
    ...error.toJSON(),
    where: where === undefined ? path : `${path}: ${where}`,
  });
}

/** Mounts, works, unmounts. What the work throws comes out after the unmount. */
export function withFiles<T>(
  ports: LabPorts,
  path: string,
  readOnly: boolean,
  work: (fileSystem: MountedFileSystem, kernel: RunKernel) => T,
  partition: number | null = null,
): T {
  const inImage = (image: OpenImage): T => {
    const { kernel } = image;
    let fileSystem: MountedFileSystem;
    try {
      fileSystem = kernel.runTask('mount', mountAny(image));
    } catch (error) {
      throw error instanceof HostError ? named(error, path) : error;
    }
    let status = 0;
    let result: T;
    try {
      result = work(fileSystem, kernel);
    } finally {
      status = kernel.runTask('unmount', fileSystem.unmount());
    }
    if (status < 0) throw ioError(path, 'the image cannot be unmounted', status);
    return result;
  };
  return withImage(ports, path, readOnly, inImage, partition);
}
