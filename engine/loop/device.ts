// SPDX-License-Identifier: GPL-2.0-only
/**
 * A block device over a file of a file system of the engine's: the loop driver (drivers/block/loop.c), so that an image can lie in a
 * file of an image.
 *
 *   upper file system --bios--> request queue --submit--> list --worker--> transfer of each bio --> the file --> lower file system
 *                                                  request's onEnd <--'
 *
 * Rules: 1. One worker (the loopN thread, a task of the run) takes requests in their order, one at a time, bio by bio; it is there only
 * while there is work, so that a run can see that nothing is left. 2. `submit` never sleeps and `wait` has nothing to wait for: whoever
 * waits for the devices under the file drives the worker (`isServedByTasks`). 3. The size is that of the file when it is attached, in
 * whole logical blocks. 4. Direct: 32 segments a request at most (LOOP_MAX_DIRECT_SEGMENTS), each of a page at most where pages are
 * handed down. 5. A flush is an fsync of the file. 6. Where the modelled kernel stops in the worker, the bio it served ends with EIO, and
 * the stop goes on to whoever runs the tasks.
 */
import {
  assert,
  ERRNO,
  PAGE_BYTES,
  SECTOR_BYTES,
  TRACE,
  TRACE_OP,
  type KernelReturn,
  type Task,
} from '../base/index.ts';
import {
  DEFAULT_LIMITS,
  type Bio,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../block/index.ts';
import type { Kernel, OpenFile } from '../vfs/index.ts';
import { LoopCounters } from './counters.ts';
import {
  referenceBook,
  transferBuffered,
  transferPages,
  transferVectors,
  type LoopBacking,
  type Transfer,
} from './transfer.ts';

/** LOOP_MAX_DIRECT_SEGMENTS */
export const DIRECT_SEGMENTS_MAX = 32;

/** How data goes between bio and file. */
export type LoopRoad = 'buffered' | 'pages' | 'vectors';
const TRANSFERS: Readonly<Record<LoopRoad, Transfer>> = {
  buffered: transferBuffered,
  pages: transferPages,
  vectors: transferVectors,
};

export interface LoopSettings {
  /** On a lower file system that stays mounted as long as the device is used. */
  readonly file: OpenFile;
  /** Under the lower file system. */
  readonly lowerDevice: BlockDevice;
  /** Wanted; what it becomes is `road`. */
  readonly transfer: 'buffered' | 'direct';
  /** How direct I/O of the revision takes memory of the kernel's; 'none' cannot be used with direct transfer. */
  readonly kernelMemory: 'vectors' | 'pages' | 'none';
  /** Logical block: 512, 1024, 2048 or 4096 bytes. */
  readonly sectorBytes: number;
  readonly isReadOnly: boolean;
  /** Size of the device where it is not the file's: a file that is shorter grows with the writes. */
  readonly capacityBytes?: number;
}

export class LoopDevice implements BlockDevice {
  readonly name: string;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  readonly isServedByTasks = true;
  readonly isReadOnly: boolean;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly counters = new LoopCounters();
  readonly road: LoopRoad;
  /** Direct transfer was wanted and cannot be: why, in words. */
  readonly fellBackWhy: string | null;
  inFlightCount = 0;
  readonly file: OpenFile;
  private readonly transfer: Transfer;
  private readonly backing: LoopBacking;
  private readonly queued: DeviceRequest[] = [];
  private isWorking = false;

  /** loop_set_fd. */
  constructor(
    private readonly kernel: Kernel,
    settings: LoopSettings,
  ) {
    const { file, sectorBytes } = settings;
    assert(
      settings.transfer === 'buffered' || settings.kernelMemory !== 'none',
      'direct transfer with a revision whose direct I/O takes no kernel memory',
    );
    this.file = file;
    this.name = `loop over inode ${String(file.inode.inodeNumber)}`;
    this.isReadOnly = settings.isReadOnly;
    const sizeBytes = settings.capacityBytes ?? file.inode.sizeBytes;
    this.capacitySectors = Math.floor(sizeBytes / sectorBytes) * (sectorBytes / SECTOR_BYTES);
    this.fellBackWhy = whyNotDirect(settings);
    const isDirect = settings.transfer === 'direct' && this.fellBackWhy === null;
    this.road = !isDirect || settings.kernelMemory === 'none' ? 'buffered' : settings.kernelMemory;
    this.transfer = TRANSFERS[this.road];
    const { counters } = this;
    const book = this.road === 'pages' ? referenceBook(kernel.memory) : kernel.memory;
    this.backing = { kernel, file, counters, book };
    this.limits = {
      ...DEFAULT_LIMITS,
      logicalBlockBytes: sectorBytes,
      physicalBlockBytes: sectorBytes,
      hasVolatileCache: true,
      ...(isDirect && { segmentCountMax: DIRECT_SEGMENTS_MAX }),
      ...(this.road === 'pages' && { segmentSizeBytesMax: PAGE_BYTES }),
    };
  }

  submit(request: DeviceRequest): 'queued' {
    this.inFlightCount++;
    this.queued.push(request);
    this.startWorker();
    return 'queued';
  }

  commit(): void {
    // The worker was started in `submit`.
  }

  /** Nothing ends here: see rule 2. */
  wait(): number {
    return 0;
  }

  /** loop_clr_fd; the file stays open. Whoever closes has waited for all requests (the kernel's drain). */
  close(): void {
    this.queued.length = 0;
  }

  private startWorker(): void {
    if (this.isWorking) return;
    this.isWorking = true;
    this.kernel.scheduler.spawn(this.name, this.work());
  }

  /** loop_thread */
  private *work(): Task<void> {
    try {
      for (;;) {
        const request = this.queued.shift();
        if (request === undefined) return;
        let status: KernelReturn = -ERRNO.EIO;
        try {
          status = yield* this.serve(request);
        } finally {
          this.inFlightCount--;
          request.onEnd(request, status);
        }
      }
    } finally {
      this.isWorking = false;
      if (this.queued.length > 0) this.startWorker();
    }
  }

  /** loop_handle_bio for each; the first error is the request's, and what comes after it is not tried. */
  private *serve(request: DeviceRequest): Task<KernelReturn> {
    if (request.op === 'flush') {
      this.counters.flushes++;
      const synced = yield* this.file.fsync(false);
      return synced < 0 ? -ERRNO.EIO : 0;
    }
    for (let index = 0; index < request.bioCount; index++) {
      const status = yield* this.serveBio(request.bios[index] as Bio);
      if (status !== 0) return status;
    }
    return 0;
  }

  /** do_bio_filebacked: any error is EIO above. */
  private *serveBio(bio: Bio): Task<KernelReturn> {
    const { counters, kernel, file } = this;
    const { trace } = kernel;
    const positionBytes = bio.sectorStart * SECTOR_BYTES;
    const op = TRACE_OP[bio.op];
    const { sectorStart, sizeBytes, vectorCount } = bio;
    if (trace !== null) {
      const isDirect = this.road === 'buffered' ? 0 : 1;
      // prettier-ignore
      trace.add(TRACE['loop-begin'], 0, bio.id, sectorStart, sizeBytes, op, vectorCount, isDirect, positionBytes);
    }
    counters.bios++;
    const moved = yield* this.transfer(this.backing, bio, positionBytes);
    if (moved === 0) {
      if (bio.op === 'read') counters.readBytes += sizeBytes;
      else counters.writeBytes += sizeBytes;
    }
    if (trace !== null) {
      const cached = file.inode.mapping.cachedPageCount;
      trace.add(TRACE['loop-end'], 0, bio.id, moved, moved === 0 ? sizeBytes : 0, op, cached);
    }
    return moved === 0 ? 0 : -ERRNO.EIO;
  }
}

/**
 * lo_can_use_dio of later drivers: a device with smaller blocks than the one below cannot be direct, and becomes buffered. The series of
 * 2009 does not ask: its bios are refused one by one.
 */
function whyNotDirect(settings: LoopSettings): string | null {
  if (settings.transfer !== 'direct' || settings.kernelMemory !== 'vectors') return null;
  const lowerBytes = settings.lowerDevice.limits.logicalBlockBytes;
  if (settings.sectorBytes >= lowerBytes) return null;
  return (
    `its logical block of ${String(settings.sectorBytes)} bytes is smaller than the ` +
    `${String(lowerBytes)} of the device below`
  );
}
