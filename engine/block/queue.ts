// SPDX-License-Identifier: GPL-2.0-only
/**
 * The request queue of one device (block/blk-core.c `submit_bio_noacct`, block/blk-mq.c `blk_mq_submit_bio`).
 *
 *   bio --check--> error, or nothing to do: ends at once
 *    |--split--> pieces, each a bio; the first error among them is the bio's
 *    |--merge--> joins the newest plugged request, or one of the newest that wait for room
 *    '--start--> request --plug--> plugged --pulled--.
 *                   |--flush steps--> flush.ts -------+--> offer --> device --end--> bios end
 *                   '---------------------------------'      '--busy--> waiting --after a completion--> offer
 *
 * Rules: 1. The device sees only requests that keep its limits. 2. Requests are offered in the order of their arrival; one that the
 * device has no room for is kept, and offered again after a completion. A NOWAIT one ends with EAGAIN instead (no free tag), and so
 * does a NOWAIT bio that would have to be split. 3. A bio that is submitted while the device takes another (an end function that
 * submits, on a device that ends inline) waits until that is done: nothing recurses (`current->bio_list`). 4. Bios and requests come
 * from pools: a warm queue allocates nothing per bio.
 *
 * Errors, as `bio.status`: beyond the end of the device EIO (bio_check_eod); a write to a read-only device EIO: the kernel only warns
 * (bio_check_ro), it is the driver, such as loop, that refuses; an operation that the device does not have EOPNOTSUPP; a range that
 * is not made of whole logical blocks EIO; a buffer that misses `dmaAlignmentBytes` EINVAL; a bio of which not even one logical
 * block fits the limits EINVAL.
 */
import {
  assert,
  BIO_FLAG,
  ERRNO,
  SECTOR_BYTES,
  TRACE,
  TRACE_OP,
  type Clock,
  type Trace,
} from '../base/index.ts';
import { VECTOR_WORDS, type Bio } from './bio.ts';
import type { BioPool } from './bio-pool.ts';
import type { BlockDevice, DeviceRequest, QueueLimits } from './device.ts';
import { FlushMachine, flushPolicy } from './flush.ts';
import { checkLimits } from './limits.ts';
import { isMergeable, MERGE, mergeKind } from './merge.ts';
import type { Plug } from './plug.ts';
import { QueueRequest, REQUEST_STATE, RequestFifo } from './request.ts';
import { Splitter, surelyFits } from './split.ts';

/** BLK_MAX_REQUEST_COUNT: a plug with so many requests of a queue is flushed. */
export const PLUG_REQUESTS_MAX = 32;
/** BLK_PLUG_FLUSH_SIZE: so is one whose newest request has this size. */
export const PLUG_FLUSH_BYTES = 128 * 1024;
/** Waiting requests that a bio is compared with, newest first (blk_bio_list_merge). */
const WAITING_MERGE_LOOKUPS = 8;

/** What `RequestQueue.check` says of a bio that goes on. */
const GO = 1;

/** What the device did, counted at the end of each request. Bytes only of those without an error. */
export class QueueCounters {
  reads = 0;
  writes = 0;
  flushes = 0;
  readBytes = 0;
  writeBytes = 0;
  merges = 0;
  splits = 0;
}

export interface QueueContext {
  readonly clock: Clock;
  /** Null: no rows, and no times in requests. */
  readonly trace: Trace | null;
  readonly bioPool: BioPool;
  /** Shared by the queues of a run. */
  readonly plug: Plug;
}

export class RequestQueue {
  readonly counters = new QueueCounters();
  private readonly limits: QueueLimits;
  private readonly capacitySectors: number;
  private readonly canRead: boolean;
  private readonly canWrite: boolean;
  private readonly freeRequests: QueueRequest[] = [];
  /** In the plug; the first `pluggedCount` entries count (an array that is emptied gives its memory away). */
  private plugged: QueueRequest[] = [];
  private pluggedCount = 0;
  /** The plug knows of this queue. */
  private isInPlug = false;
  private sparePlugged: QueueRequest[] | null = null;
  private readonly waiting = new RequestFifo();
  private readonly splitter: Splitter;
  private readonly flushMachine: FlushMachine;
  private readonly trace: Trace | null;
  private readonly addressMask: number;
  private readonly blockMask: number;
  private nextRequestId = 0;
  private isOffering = false;
  /** Requests that the device has. */
  deviceCount = 0;

  constructor(
    readonly device: BlockDevice,
    private readonly context: QueueContext,
  ) {
    this.limits = device.limits;
    checkLimits(device.name, this.limits);
    assert(
      !this.limits.hasVolatileCache || device.ops.has('flush'),
      'a device with a volatile cache has to flush',
      { device: device.name },
    );
    this.canRead = device.ops.has('read');
    this.canWrite = device.ops.has('write');
    this.capacitySectors = device.capacitySectors;
    this.trace = context.trace;
    this.addressMask = this.limits.dmaAlignmentBytes - 1;
    this.blockMask = this.limits.logicalBlockBytes - 1;
    this.splitter = new Splitter(this.limits);
    this.flushMachine = new FlushMachine({
      nowNs: () => context.clock.nowNs(),
      makeFlush: () => this.makeFlush(),
      issue: (request) => {
        this.issue(request);
      },
      finish: (request, status) => {
        this.finish(request, status);
      },
    });
  }

  /** Requests that wait for room in the device. */
  get waitingCount(): number {
    return this.waiting.count;
  }

  /** submit_bio. `bio.onEnd` may run inside. */
  submitBio(bio: Bio): void {
    bio.status = 0;
    const verdict = this.check(bio);
    if (verdict !== GO) {
      endBio(bio, verdict);
      return;
    }
    if (surelyFits(this.limits, bio)) {
      this.submitWhole(bio, bio.vectorCount);
      return;
    }
    const { splitter } = this;
    splitter.begin(bio);
    splitter.plan();
    if (splitter.pieceBytes === bio.sizeBytes) this.submitWhole(bio, splitter.pieceSegments);
    else this.submitPieces(bio);
  }

  /** blk_mq_flush_plug_list: dispatches what this queue has in the plug, oldest first. */
  flushPlug(): void {
    this.isInPlug = false;
    this.dispatchPlugged();
  }

  private dispatchPlugged(): void {
    const batch = this.plugged;
    const count = this.pluggedCount;
    if (count === 0) return;
    // End functions may plug new requests, and even flush again: those have an array of their own.
    this.plugged = this.sparePlugged ?? [];
    this.sparePlugged = null;
    this.pluggedCount = 0;
    for (let index = 0; index < count; index++) this.issue(batch[index] as QueueRequest);
    this.sparePlugged = batch;
  }

  /** 0 or minus an errno: the bio ends with it; `GO`: it goes on. */
  private check(bio: Bio): number {
    const { op, sizeBytes } = bio;
    if (op === 'flush') return this.limits.hasVolatileCache ? GO : 0;
    const isKnown =
      op === 'read' ? this.canRead : op === 'write' ? this.canWrite : this.device.ops.has(op);
    if (!isKnown) return -ERRNO.EOPNOTSUPP;
    const sectorCount = sizeBytes / SECTOR_BYTES;
    if (sizeBytes === 0) {
      // An empty preflush is a flush; any other empty bio has nothing to do.
      return this.limits.hasVolatileCache && (bio.flags & BIO_FLAG.preflush) !== 0 ? GO : 0;
    }
    if (bio.sectorStart < 0 || bio.sectorStart + sectorCount > this.capacitySectors) {
      return -ERRNO.EIO;
    }
    if (op !== 'read' && this.device.isReadOnly) return -ERRNO.EIO;
    if (((sizeBytes | (bio.sectorStart * SECTOR_BYTES)) & this.blockMask) !== 0) return -ERRNO.EIO;
    return this.addressMask === 0 || this.isAddressable(bio) ? GO : -ERRNO.EINVAL;
  }

  private isAddressable(bio: Bio): boolean {
    const { vectors } = bio;
    let bits = 0;
    for (let at = bio.vectorCount * VECTOR_WORDS - VECTOR_WORDS; at >= 0; at -= VECTOR_WORDS) {
      bits |= vectors[at + 1] as number;
    }
    return (bits & this.addressMask) === 0;
  }

  /** Ends the bio that would have to be split but may not, or sends its pieces. */
  private submitPieces(bio: Bio): void {
    const { splitter, trace } = this;
    if ((bio.flags & BIO_FLAG.nowait) !== 0) {
      endBio(bio, -ERRNO.EAGAIN);
      return;
    }
    const { bioPool } = this.context;
    // One more than is out, so that pieces which end inline do not end the bio early.
    bio.pendingPieces = 1;
    // The splitter is the queue's only one, and a piece that ends inline may submit another bio: so make all pieces first.
    const pieces: Bio[] = [];
    const segments: number[] = [];
    while (splitter.leftBytes > 0) {
      if (pieces.length > 0) splitter.plan();
      if (splitter.pieceBytes === 0) {
        for (const piece of pieces) bioPool.release(piece);
        bio.pendingPieces = 0;
        endBio(bio, -ERRNO.EINVAL);
        return;
      }
      const piece = bioPool.allocate(splitter.pieceVectors);
      piece.id = bio.id;
      piece.op = bio.op;
      piece.flags = bio.flags;
      piece.device = bio.device;
      piece.splitFrom = bio;
      piece.onEnd = this.onPieceEnd;
      segments.push(splitter.pieceSegments);
      splitter.take(piece);
      pieces.push(piece);
      if (splitter.leftBytes > 0) {
        this.counters.splits++;
        trace?.add(TRACE.split, 0, bio.id, piece.sectorStart, splitter.sector, splitter.rule);
      }
    }
    bio.pendingPieces += pieces.length;
    for (let index = 0; index < pieces.length; index++) {
      this.submitWhole(pieces[index] as Bio, segments[index] as number);
    }
    pieceDone(bio);
  }

  /** bio_chain_endio */
  private readonly onPieceEnd = (piece: Bio): void => {
    const bio = piece.splitFrom as Bio;
    if (piece.status !== 0 && bio.status === 0) bio.status = piece.status;
    this.context.bioPool.release(piece);
    pieceDone(bio);
  };

  /** A bio, or a piece of one, that keeps the limits. */
  private submitWhole(bio: Bio, segmentCount: number): void {
    const { plug } = this.context;
    const mergeable = isMergeable(this.limits, bio);
    if (mergeable && this.tryMerge(bio, segmentCount)) return;
    const request = this.startRequest(bio, segmentCount);
    if (!mergeable) {
      request.flushSteps = flushPolicy(this.limits, bio);
      if (request.flushSteps !== 0) {
        request.flags &= ~(BIO_FLAG.preflush | (this.limits.hasFua === true ? 0 : BIO_FLAG.fua));
        request.isNowait = false;
        this.flushMachine.insert(request);
        return;
      }
    }
    if (!this.limits.hasVolatileCache) request.flags &= ~(BIO_FLAG.preflush | BIO_FLAG.fua);
    if (plug.depth === 0) {
      this.issue(request);
      return;
    }
    this.addToPlug(request);
  }

  /** blk_add_rq_to_plug */
  private addToPlug(request: QueueRequest): void {
    if (this.pluggedCount > 0) {
      const newest = this.plugged[this.pluggedCount - 1] as QueueRequest;
      const isFull = this.pluggedCount >= PLUG_REQUESTS_MAX;
      if (isFull || newest.sizeBytes >= PLUG_FLUSH_BYTES) this.dispatchPlugged();
    }
    if (!this.isInPlug) {
      this.isInPlug = true;
      this.context.plug.add(this);
    }
    request.state = REQUEST_STATE.plugged;
    this.plugged[this.pluggedCount++] = request;
  }

  private tryMerge(bio: Bio, segmentCount: number): boolean {
    const { waiting } = this;
    if (this.pluggedCount > 0) {
      const newest = this.plugged[this.pluggedCount - 1] as QueueRequest;
      if (this.mergeInto(newest, bio, segmentCount)) return true;
    }
    const lookups = Math.min(waiting.count, WAITING_MERGE_LOOKUPS);
    for (let back = 0; back < lookups; back++) {
      if (this.mergeInto(waiting.fromBack(back), bio, segmentCount)) return true;
    }
    return false;
  }

  private mergeInto(request: QueueRequest, bio: Bio, segmentCount: number): boolean {
    const kind = mergeKind(this.limits, request, bio, segmentCount);
    if (kind === MERGE.none) return false;
    if (kind === MERGE.back) request.pushBack(bio, segmentCount);
    else request.pushFront(bio, segmentCount);
    request.isNowait = request.isNowait && (bio.flags & BIO_FLAG.nowait) !== 0;
    this.counters.merges++;
    this.trace?.add(
      TRACE.merge,
      0,
      bio.id,
      bio.sectorStart,
      bio.sizeBytes,
      request.id,
      kind === MERGE.back ? 1 : 0,
    );
    return true;
  }

  private startRequest(bio: Bio, segmentCount: number): QueueRequest {
    const request = this.freeRequests.pop() ?? new QueueRequest(this.onRequestEnd);
    assert(request.state === REQUEST_STATE.free, 'request of the pool is in use');
    request.start(this.nextRequestId++, bio, segmentCount);
    request.isNowait = (bio.flags & BIO_FLAG.nowait) !== 0;
    request.queuedAtNs = this.trace === null ? 0 : this.context.clock.nowNs();
    return request;
  }

  private makeFlush(): QueueRequest {
    const request = this.freeRequests.pop() ?? new QueueRequest(this.onRequestEnd);
    request.id = this.nextRequestId++;
    request.op = 'flush';
    request.flags = BIO_FLAG.preflush;
    request.sectorStart = 0;
    request.sizeBytes = 0;
    request.bioCount = 0;
    request.segmentCount = 0;
    request.isNowait = false;
    request.isTraced = false;
    request.isFlush = true;
    request.queuedAtNs = this.trace === null ? 0 : this.context.clock.nowNs();
    return request;
  }

  /** Offers the request to the device now, or behind those that wait. */
  private issue(request: QueueRequest): void {
    if (this.isOffering) {
      this.wait(request);
      return;
    }
    if (this.waiting.count > 0 || !this.offer(request)) {
      if (request.isNowait) this.finish(request, -ERRNO.EAGAIN);
      else this.wait(request);
    }
    this.runWaiting();
  }

  private wait(request: QueueRequest): void {
    request.state = REQUEST_STATE.waiting;
    this.waiting.push(request);
  }

  /** blk_mq_run_hw_queue: offers what waits until the device is full. */
  private runWaiting(): void {
    const { waiting } = this;
    while (waiting.count > 0 && !this.isOffering) {
      // Out of the list first: a device that ends inline recycles the request inside, and nobody may merge into it now.
      const request = waiting.shift();
      if (this.offer(request)) continue;
      if (request.isNowait) {
        this.finish(request, -ERRNO.EAGAIN);
        continue;
      }
      waiting.unshift(request);
      request.state = REQUEST_STATE.waiting;
      assert(this.deviceCount > 0, 'an idle device is busy', { request: request.id });
      return;
    }
  }

  /** False: the device is busy. */
  private offer(request: QueueRequest): boolean {
    const { id } = request;
    const stateBefore = request.state;
    request.state = REQUEST_STATE.device;
    this.deviceCount++;
    this.isOffering = true;
    let taken: boolean;
    try {
      taken = this.device.submit(request) === 'queued';
    } finally {
      // An end function that throws stops its run, but what is left (closing, a flush) still goes through here.
      this.isOffering = false;
    }
    if (!taken) {
      assert(request.state === REQUEST_STATE.device, 'a busy device ended the request');
      request.state = stateBefore;
      this.deviceCount--;
    } else if (this.trace !== null && request.id === id && !request.isTraced) {
      this.traceDispatch(request);
    }
    return taken;
  }

  /** blk_mq_end_request: what devices call, exactly once a request. */
  private readonly onRequestEnd = (ended: DeviceRequest, status: number): void => {
    const request = ended as QueueRequest;
    assert(request.state === REQUEST_STATE.device, 'request ended that the device does not have');
    this.deviceCount--;
    this.count(request, status);
    if (this.trace !== null) {
      // A device that ends inline does so before the queue knows that it took the request.
      if (!request.isTraced) this.traceDispatch(request);
      this.traceEnd(request, status);
    }
    if (request.isFlush) {
      request.isFlush = false;
      this.recycle(request);
      this.flushMachine.flushEnded(status);
    } else if (request.flushSteps !== 0) {
      request.state = REQUEST_STATE.flushing;
      this.flushMachine.dataEnded(request, status);
    } else this.finish(request, status);
    if (this.waiting.count > 0) this.runWaiting();
  };

  /** Ends the bios of a request and frees it. */
  private finish(request: QueueRequest, status: number): void {
    const { bios, bioCount } = request;
    for (let index = 0; index < bioCount; index++) endBio(bios[index] as Bio, status);
    this.recycle(request);
  }

  private recycle(request: QueueRequest): void {
    request.id = -1;
    request.state = REQUEST_STATE.free;
    this.freeRequests.push(request);
  }

  private count(request: QueueRequest, status: number): void {
    const { counters } = this;
    const movedBytes = status === 0 ? request.sizeBytes : 0;
    if (request.op === 'read') {
      counters.reads++;
      counters.readBytes += movedBytes;
    } else if (request.op === 'write') {
      counters.writes++;
      counters.writeBytes += movedBytes;
    } else if (request.op === 'flush') counters.flushes++;
  }

  private traceDispatch(request: QueueRequest): void {
    request.isTraced = true;
    const op = TRACE_OP[request.op];
    const { sectorStart, sizeBytes } = request;
    this.trace?.add(TRACE.dispatch, 0, firstBioId(request), sectorStart, sizeBytes, op, request.id);
  }

  private traceEnd(request: QueueRequest, status: number): void {
    const op = TRACE_OP[request.op];
    const { id, sectorStart, sizeBytes } = request;
    this.trace?.add(
      TRACE['device-end'],
      0,
      firstBioId(request),
      sectorStart,
      sizeBytes,
      op,
      id,
      status,
    );
  }
}

function firstBioId(request: QueueRequest): number {
  return request.bioCount === 0 ? -1 : (request.bios[0] as Bio).id;
}

/** bio_endio */
function endBio(bio: Bio, status: number): void {
  bio.status = status;
  bio.onEnd?.(bio);
}

/** One piece less is out; the last one ends the bio, whose status the pieces have set. */
function pieceDone(bio: Bio): void {
  bio.pendingPieces--;
  if (bio.pendingPieces === 0) bio.onEnd?.(bio);
}
