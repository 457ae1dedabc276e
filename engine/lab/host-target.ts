// SPDX-License-Identifier: GPL-2.0-only
/**
 * From a target whose file the host's kernel serves to an open file: the other grounds that a run of the engine is measured against.
 *
 *   image-file  a plain file of the host beside the image, as large as the file in it, made and written for this run
 *   loop        the file in the image, through the kernel's own mount of a loop device over it: read-only, detached
 */
import { HostError, Scheduler } from '../base/index.ts';
import type { OpenDevice, OpenImage } from '../devices/index.ts';
import { Memory } from '../memory/index.ts';
import { newIoCounters, type DirectIoEffects } from '../vfs/index.ts';
import type { LabPorts } from './door.ts';
import { HostFile } from './host-file.ts';
import { RunKernel } from './kernel.ts';
import type { PrepareControl, RunTarget, TargetOptions } from './open-target.ts';

/** Beside the buffers of the load there is little: no page cache, no metadata. */
const KERNEL_PAGES = 256;

const refuse = (code: string, message: string, hint: string): HostError =>
  new HostError({ code, message, where: 'target.by', hint, exitCode: 65 });

/** Opens the file. Throws `HostError` where the ground is not there or cannot take the load. */
export function openHostTarget(
  options: TargetOptions,
  ports: LabPorts,
  control: PrepareControl,
): RunTarget {
  const { executors, clock } = ports;
  if (executors === undefined) {
    throw refuse('target.no-host', 'this host has no executors', 'Run by the engine.');
  }
  const memory = new Memory(ports.makeArena(options.userPages + KERNEL_PAGES), true);
  const kernel = new RunKernel({ clock, scheduler: new Scheduler(), memory, trace: null });
  const image = openImage(options, ports, control);
  let file: HostFile | null = null;
  try {
    const asked = { depth: options.depth, submitBatch: options.submitBatch, polled: false };
    const { executor, choice } = executors.open(options.ioEngine, asked, memory.arena);
    file = new HostFile(kernel, image, executor);
    kernel.addSource(file);
    const openDevice: OpenDevice = { device: file, executorChoice: choice, image };
    const notes = [`No engine: the host's own kernel does the I/O of ${image.path}.`];
    return runTarget(kernel, file, openDevice, notes);
  } catch (error) {
    if (file === null) image.close();
    else file.close();
    throw error;
  }
}

function runTarget(
  kernel: RunKernel,
  file: HostFile,
  openDevice: OpenDevice,
  notes: string[],
): RunTarget {
  const close = (): void => {
    file.close();
  };
  return {
    kernel,
    clock: kernel.clock,
    trace: null,
    openDevice,
    device: file,
    virtualTime: false,
    counters: newIoCounters(),
    deviceCounters: file.counters,
    blockSizeBytes: 2 ** file.inode.blockBits,
    file,
    directIoEffects: noEffects(),
    notes,
    close,
    abandon: close,
  };
}

function openImage(options: TargetOptions, ports: LabPorts, control: PrepareControl): OpenImage {
  const { device } = options.target;
  const path = device.options['path'];
  if (typeof path !== 'string' || path === '') {
    throw refuse(
      'target.no-image',
      `the device ${device.id} has no file of the host under it`,
      'Name an image file, or a loop device over one.',
    );
  }
  if (device.id === 'image-file') return makePlainFile(path, options, ports, control);
  if (device.id === 'loop') return openThroughMount(path, options, ports);
  throw refuse(
    'target.no-ground',
    `the device ${device.id} has no ground of the host`,
    'Choose image-file or loop.',
  );
}

function makePlainFile(
  imagePath: string,
  options: TargetOptions,
  ports: LabPorts,
  control: PrepareControl,
): OpenImage {
  const { plainFiles } = ports;
  const { fileSizeBytes } = options.target;
  if (plainFiles === undefined) {
    throw refuse('target.no-host', 'this host brings no plain files', 'Run by the engine.');
  }
  if (fileSizeBytes === null) {
    throw refuse(
      'target.size-needed',
      'a plain file of the host needs a size',
      'Give the target a file size (file_size), as large as the file in the image.',
    );
  }
  control.onPhase('Writing a plain file beside the image', null);
  return plainFiles.make(imagePath, fileSizeBytes, {
    direct: options.direct,
    isStopRequested: () => control.isStopRequested(),
  });
}

function openThroughMount(path: string, options: TargetOptions, ports: LabPorts): OpenImage {
  const { loops } = ports;
  const { filePath, device } = options.target;
  if (loops === undefined) {
    throw refuse('target.no-loop', 'this host brings no loop devices', 'Run by the engine.');
  }
  if (options.writes || filePath === null) {
    throw refuse(
      'target.mount-reads',
      'the kernel’s own mount of the image is read-only, and of files',
      'Run a reading load on a file in the image.',
    );
  }
  const sectorBytes = Number(device.options['sectorBytes'] ?? 512);
  const directIo = device.options['directIo'] !== false;
  const ask = { sectorBytes, readOnly: true, directIo, direct: options.direct };
  return loops.openThroughMount(path, ask, filePath);
}

const noEffects = (): DirectIoEffects => ({
  extendingWaits: 0,
  extendingInFlight: 0,
  sizeAheadOfData: 0,
  shortReadWaits: 0,
  answeredTwice: 0,
  unheldUnlocks: 0,
  syncedInFlight: 0,
  misplacedBuffers: 0,
});
