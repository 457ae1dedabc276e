// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a block device is to the engine, and what a device module must bring. The block layer (queue.ts) splits and merges by the
 * device's limits, so a device only ever sees requests that fit.
 */
import type { CompletionSource } from '../base/index.ts';
import type { Bio, BioOp } from './bio.ts';

export interface QueueLimits {
  /** Smallest addressable unit in bytes (512..4096); enforced by the submitter's alignment check and by the queue. */
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
  /** Buffer address; power of two; 1 = none. */
  readonly dmaAlignmentBytes: number;
  /** Longest request in sectors, > 0; the queue splits. */
  readonly ioSizeSectorsMax: number;
  /** Most vectors in a request; the queue splits. */
  readonly segmentCountMax: number;
  readonly segmentSizeBytesMax: number;
  /** A request must not cross a multiple of this; 0 = no such boundary. */
  readonly chunkSectors: number;
  readonly hasVolatileCache: boolean;
  /** Writes with `BIO_FLAG.fua` are durable when they end. Absent: the queue flushes after them. */
  readonly hasFua?: boolean;
}

/** One or more merged bios, contiguous on the device. */
export interface DeviceRequest {
  readonly id: number;
  readonly op: BioOp;
  /** `BIO_FLAG` bits of the first bio. */
  readonly flags: number;
  readonly sectorStart: number;
  readonly sizeBytes: number;
  /** In order on the device; the first `bioCount` entries count. */
  readonly bios: readonly Bio[];
  readonly bioCount: number;
  /** When the queue made the request; 0 where nobody measures it (the trace is off). */
  readonly queuedAtNs: number;
  /** The device calls it exactly once; `status` is 0 or minus an errno. May run inside `submit`. */
  readonly onEnd: (request: DeviceRequest, status: number) => void;
}

export interface BlockDevice extends CompletionSource {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp>;
  readonly isReadOnly: boolean;
  /**
   * What is in flight is served by tasks over other devices (a loop device inside the engine): there is nothing to wait for here, and
   * waiting for those drives it. Absent: no.
   */
  readonly isServedByTasks?: boolean;
  /**
   * 'busy': nothing was taken, offer it again after a completion; so something must be in flight. May be called again from inside
   * `wait`, by way of a request's `onEnd`; never from inside itself.
   */
  submit(request: DeviceRequest): 'queued' | 'busy';
  /** Reaps everything in flight, then lets go of the host's resources. */
  close(): void;
}
