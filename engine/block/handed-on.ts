// SPDX-License-Identifier: GPL-2.0-only
/**
 * A request that a stacked device hands on to the device below it (kernel: the clones of drivers/md/dm.c). It has the same sectors and
 * bios, and an end of its own, so that the stacked device has its say before the queue hears of it.
 *
 *   queue --request--> stacked device --handed on--> device below --end--> stacked device --end--> queue
 *
 * Rule: an object belongs to the pool again as soon as it has ended; from then on nobody looks at it.
 */
import { SECTOR_BYTES } from '../base/index.ts';
import { Bio, VECTOR_WORDS, type BioOp } from './bio.ts';
import type { DeviceRequest } from './device.ts';

class HandedOn implements DeviceRequest {
  id = -1;
  op: BioOp = 'read';
  flags = 0;
  sectorStart = 0;
  sizeBytes = 0;
  bios: readonly Bio[] = [];
  bioCount = 0;
  queuedAtNs = 0;
  above: DeviceRequest | null = null;
  /** The stacked device's: what it wants to know again at the end. */
  tag = 0;
  readonly onEnd: (request: DeviceRequest, status: number) => void;
  constructor(pool: RequestPool) {
    this.onEnd = (_request, status) => {
      pool.ended(this, status);
    };
  }
}

/** Hands requests on, and tells their ends: `onEnd(request from above, status, tag)`. */
export class RequestPool {
  /** Handed on, and not ended. */
  inFlightCount = 0;
  private readonly free: HandedOn[] = [];

  constructor(
    private readonly onEnd: (above: DeviceRequest, status: number, tag: number) => void,
  ) {}

  /** The request for the device below: whole, or only its first `lengthBytes` (a multiple of 512). */
  take(above: DeviceRequest, tag: number, lengthBytes = above.sizeBytes): DeviceRequest {
    const request = this.free.pop() ?? new HandedOn(this);
    request.id = above.id;
    request.op = above.op;
    request.flags = above.flags;
    request.sectorStart = above.sectorStart;
    request.sizeBytes = lengthBytes;
    const isWhole = lengthBytes === above.sizeBytes;
    request.bios = isWhole ? above.bios : [firstBytes(above, lengthBytes)];
    request.bioCount = isWhole ? above.bioCount : 1;
    request.queuedAtNs = above.queuedAtNs;
    request.above = above;
    request.tag = tag;
    this.inFlightCount++;
    return request;
  }

  /** The device below was busy: it has not taken the request. */
  giveBack(request: DeviceRequest): void {
    this.inFlightCount--;
    this.release(request as HandedOn);
  }

  ended(request: HandedOn, status: number): void {
    const above = request.above as DeviceRequest;
    const { tag } = request;
    this.inFlightCount--;
    this.release(request);
    this.onEnd(above, status, tag);
  }

  private release(request: HandedOn): void {
    request.above = null;
    request.bios = [];
    request.bioCount = 0;
    this.free.push(request);
  }
}

/** One bio with the first bytes of a request. */
function firstBytes(above: DeviceRequest, lengthBytes: number): Bio {
  const pieces: [number, number, number][] = [];
  let left = lengthBytes;
  for (let index = 0; index < above.bioCount && left > 0; index++) {
    const { vectors, vectorCount } = above.bios[index] as Bio;
    for (let at = 0; at < vectorCount * VECTOR_WORDS && left > 0; at += VECTOR_WORDS) {
      const count = Math.min(left, vectors[at + 2] as number);
      pieces.push([vectors[at] as number, vectors[at + 1] as number, count]);
      left -= count;
    }
  }
  const bio = new Bio(Math.max(1, pieces.length));
  bio.op = above.op;
  bio.sectorStart = above.sectorStart;
  for (const [page, offsetBytes, count] of pieces) bio.pushVector(page, offsetBytes, count);
  return bio;
}

/** Sectors of a request, the last one not included. */
export function sectorEnd(request: DeviceRequest): number {
  return request.sectorStart + request.sizeBytes / SECTOR_BYTES;
}
