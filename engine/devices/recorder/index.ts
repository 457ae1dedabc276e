// SPDX-License-Identifier: GPL-2.0-only
/**
 * A disk that keeps a log of what was written, with its data and its flush epoch, over any other disk (kernel:
 * drivers/md/dm-log-writes.c). From the log every state can be made in which a power cut may leave the disk.
 *
 *   epoch 0:  write write write | flush | epoch 1:  write write | flush | ...
 *                                  '-- when it has ended, what had ended before it was asked for is durable
 *
 * Rules: 1. Entries lie in the order of submission. 2. A write belongs to the epoch of the first flush that was asked for after the
 * write had ended; until that flush has ended, a power cut may take it away. 3. A write with FUA is durable when it has ended, where the
 * disk below does that by itself; else the queue has made a flush of it before it comes here. 4. The recorder always has a volatile
 * cache, so that flushes come; where the disk below has none they end here. 5. Beyond `keepMib` of data it only counts.
 */
import {
  assert,
  BIO_FLAG,
  KIB,
  MIB,
  PAGE_BYTES,
  SECTOR_BYTES,
  type Nanoseconds,
  type OptionsOf,
} from '../../base/index.ts';
import {
  RequestPool,
  VECTOR_WORDS,
  type Bio,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { Memory } from '../../memory/index.ts';
import type { DeviceModule, DevicePorts, OpenDevice } from '../contract.ts';

const options = {
  below: {
    type: 'choice',
    title: 'Over',
    help: 'The disk whose writes are kept.',
    choices: ['memory', 'image-file'],
    default: 'memory',
  },
  path: {
    type: 'path',
    title: 'Image',
    help: 'A regular file on this host, where the disk below is an image file.',
    default: '',
  },
  sizeKib: {
    type: 'quantity',
    title: 'Size',
    help: 'Size of the disk below, where it is memory.',
    unit: 'KiB',
    default: 1024 * KIB,
    min: 64,
    max: 16 * 1024 * 1024 * KIB,
  },
  keepMib: {
    type: 'quantity',
    title: 'Keep',
    help: 'Most data that the log keeps; later writes are only counted. 0: none is kept.',
    unit: 'MiB',
    default: 64,
    min: 0,
    max: 1024,
  },
} as const;

/** A write of the log. */
export interface RecordedWrite {
  readonly sectorStart: number;
  /** Empty where it is a discard or a write of zeros: `lengthBytes` says of how many. */
  readonly data: Uint8Array;
  readonly lengthBytes: number;
  readonly op: 'write' | 'discard' | 'write-zeroes';
  /** Ended before flush number `epoch` was asked for; counts from 0. */
  epoch: number;
  /** Durable when it had ended. */
  readonly isFua: boolean;
  /** 0, or minus an errno: then any part of it may be on the disk. */
  status: number;
  isEnded: boolean;
}

export class RecorderDevice implements BlockDevice {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp>;
  readonly isReadOnly: boolean;
  readonly writes: RecordedWrite[] = [];
  /** Writes that the log had no room for. */
  droppedCount = 0;
  /** Flushes that were asked for. */
  flushCount = 0;
  /** How many writes of the log there were when each flush had ended: the boundaries of the epochs. */
  readonly flushedAt: number[] = [];
  private keptBytes = 0;
  private readonly handedOn: RequestPool;

  constructor(
    private readonly lower: BlockDevice,
    private readonly memory: Memory,
    private readonly keepBytesMax = Infinity,
  ) {
    this.name = `recorder over ${lower.name}`;
    this.capacitySectors = lower.capacitySectors;
    this.limits = { ...lower.limits, hasVolatileCache: true };
    this.ops = new Set<BioOp>([...lower.ops, 'flush']);
    this.isReadOnly = lower.isReadOnly;
    this.handedOn = new RequestPool((above, status, tag) => {
      this.ended(above, status, tag);
    });
  }

  get inFlightCount(): number {
    return this.handedOn.inFlightCount;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    if (request.op === 'flush' && !this.lower.ops.has('flush')) {
      this.flushCount++;
      this.flushedAt.push(this.writes.length);
      request.onEnd(request, 0);
      return 'queued';
    }
    const known = this.writes.length;
    const { droppedCount, keptBytes } = this;
    if (request.op === 'flush') this.flushCount++;
    const isKept = request.op !== 'read' && request.op !== 'flush' && this.keep(request);
    const passed = this.handedOn.take(request, isKept ? known : -1);
    if (this.lower.submit(passed) === 'queued') return 'queued';
    this.handedOn.giveBack(passed);
    if (request.op === 'flush') this.flushCount--;
    this.writes.length = known;
    this.droppedCount = droppedCount;
    this.keptBytes = keptBytes;
    return 'busy';
  }

  commit(): void {
    this.lower.commit();
  }

  wait(timeoutNs: Nanoseconds): number {
    return this.lower.wait(timeoutNs);
  }

  close(): void {
    this.lower.close();
  }

  private ended(above: DeviceRequest, status: number, tag: number): void {
    if (tag >= 0) {
      const write = this.writes[tag] as RecordedWrite;
      write.status = status;
      write.isEnded = true;
      write.epoch = this.flushCount;
    } else if (above.op === 'flush' && status === 0) this.flushedAt.push(this.writes.length);
    above.onEnd(above, status);
  }

  /** Copies the data before the submitter may change it; false where there is no room. */
  private keep(request: DeviceRequest): boolean {
    const { op, sizeBytes } = request;
    const dataBytes = op === 'write' ? sizeBytes : 0;
    if (this.keptBytes + dataBytes > this.keepBytesMax) {
      this.droppedCount++;
      return false;
    }
    this.keptBytes += dataBytes;
    this.writes.push({
      sectorStart: request.sectorStart,
      data: op === 'write' ? requestData(this.memory, request) : new Uint8Array(0),
      lengthBytes: sizeBytes,
      op: op as RecordedWrite['op'],
      // Not ended yet: no flush that was asked for so far covers it.
      epoch: Infinity,
      isFua: (request.flags & BIO_FLAG.fua) !== 0 && this.limits.hasFua === true,
      status: 0,
      isEnded: false,
    });
    return true;
  }
}

function requestData(memory: Memory, request: DeviceRequest): Uint8Array {
  const data = new Uint8Array(request.sizeBytes);
  let done = 0;
  for (let index = 0; index < request.bioCount; index++) {
    const { vectors, vectorCount } = request.bios[index] as Bio;
    for (let at = 0; at < vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
      const from = (vectors[at] as number) * PAGE_BYTES + (vectors[at + 1] as number);
      const lengthBytes = vectors[at + 2] as number;
      data.set(memory.bytes.subarray(from, from + lengthBytes), done);
      done += lengthBytes;
    }
  }
  assert(done === request.sizeBytes, 'vectors of a request do not add up', { done });
  return data;
}

function openRecorder(ports: DevicePorts, chosen: OptionsOf<typeof options>): OpenDevice {
  const { below: lower, memory } = ports;
  assert(lower !== undefined, 'a recorder is given the disk below');
  const device = new RecorderDevice(lower.device, memory, chosen.keepMib * MIB);
  return {
    ...lower,
    device,
    notes: () => {
      const { writes, droppedCount, flushedAt } = device;
      const sectors = writes.reduce((sum, write) => sum + write.lengthBytes / SECTOR_BYTES, 0);
      const kept = `The recorder kept ${String(writes.length)} writes of ${String(sectors)} sectors`;
      const epochs = `in ${String(flushedAt.length + 1)} flush epochs`;
      if (droppedCount === 0) return [`${kept} ${epochs}.`];
      return [`${kept} ${epochs}, and counted ${String(droppedCount)} more without their data.`];
    },
  };
}

export const recorderDevice: DeviceModule<typeof options> = {
  id: 'recorder',
  title: 'Recorder',
  help: 'A disk in memory or an image file that counts flush epochs and keeps what was written in each.',
  options,
  needs: [],
  virtualTime: false,
  below: ({ below: id, path, sizeKib }) => ({
    id,
    options: id === 'memory' ? { sizeKib } : { path },
  }),
  open: openRecorder,
};
