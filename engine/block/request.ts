// SPDX-License-Identifier: GPL-2.0-only
/**
 * A request of the queue: one or more bios, adjacent on the device (kernel `struct request`, block/blk-mq.c). Requests are used
 * again and again; the queue owns them all.
 *
 *   free --start--> plugged | waiting | flushing --offer--> device --end--> free
 */
import type { Bio, BioOp } from './bio.ts';
import type { DeviceRequest } from './device.ts';

export const REQUEST_STATE = { free: 0, plugged: 1, waiting: 2, flushing: 3, device: 4 } as const;

/** What is still to be done for a request that the flush machine runs (block/blk-flush.c: `REQ_FSEQ_*`). */
export const FLUSH_STEP = { preflush: 1, data: 2, postflush: 4 } as const;

export class QueueRequest implements DeviceRequest {
  id = 0;
  op: BioOp = 'read';
  flags = 0;
  sectorStart = 0;
  sizeBytes = 0;
  readonly bios: Bio[] = [];
  bioCount = 0;
  queuedAtNs = 0;
  /** Segments of all its bios: what `segmentCountMax` counts. */
  segmentCount = 0;
  /** `REQUEST_STATE`. */
  state: number = REQUEST_STATE.free;
  /** Every bio is NOWAIT, so the request fails rather than waits for room. */
  isNowait = false;
  /** The trace has its 'dispatch' row. */
  isTraced = false;
  /** `FLUSH_STEP` bits left; 0: not the flush machine's. */
  flushSteps = 0;
  /** This is the flush itself, on behalf of others. */
  isFlush = false;
  /** Since when it has waited for a flush. */
  flushWaitSinceNs = 0;

  constructor(readonly onEnd: (request: DeviceRequest, status: number) => void) {}

  /** Becomes a request for `bio` alone. */
  start(id: number, bio: Bio, segmentCount: number): void {
    this.id = id;
    this.op = bio.op;
    this.flags = bio.flags;
    this.sectorStart = bio.sectorStart;
    this.sizeBytes = bio.sizeBytes;
    this.bios[0] = bio;
    this.bioCount = 1;
    this.segmentCount = segmentCount;
    this.isTraced = false;
  }

  pushBack(bio: Bio, segmentCount: number): void {
    this.bios[this.bioCount++] = bio;
    this.sizeBytes += bio.sizeBytes;
    this.segmentCount += segmentCount;
  }

  pushFront(bio: Bio, segmentCount: number): void {
    const { bios } = this;
    for (let index = this.bioCount; index > 0; index--) bios[index] = bios[index - 1] as Bio;
    bios[0] = bio;
    this.bioCount++;
    this.sectorStart = bio.sectorStart;
    this.sizeBytes += bio.sizeBytes;
    this.segmentCount += segmentCount;
  }
}

/** First in, first out, without an allocation once it has its size. */
export class RequestFifo {
  private items: (QueueRequest | null)[] = new Array<QueueRequest | null>(16).fill(null);
  private head = 0;
  count = 0;

  push(request: QueueRequest): void {
    if (this.count === this.items.length) this.grow();
    this.items[(this.head + this.count) & (this.items.length - 1)] = request;
    this.count++;
  }

  /** Takes out the oldest; there must be one. */
  shift(): QueueRequest {
    const request = this.items[this.head] as QueueRequest;
    this.items[this.head] = null;
    this.head = (this.head + 1) & (this.items.length - 1);
    this.count--;
    return request;
  }

  /** Puts back what `shift` took. */
  unshift(request: QueueRequest): void {
    if (this.count === this.items.length) this.grow();
    this.head = (this.head + this.items.length - 1) & (this.items.length - 1);
    this.items[this.head] = request;
    this.count++;
  }

  /** `back` = 0: the newest. */
  fromBack(back: number): QueueRequest {
    const at = (this.head + this.count - 1 - back) & (this.items.length - 1);
    return this.items[at] as QueueRequest;
  }

  private grow(): void {
    const old = this.items;
    const mask = old.length - 1;
    this.items = new Array<QueueRequest | null>(old.length * 2).fill(null);
    for (let index = 0; index < this.count; index++) {
      this.items[index] = old[(this.head + index) & mask] as QueueRequest;
    }
    this.head = 0;
  }
}
