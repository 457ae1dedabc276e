// SPDX-License-Identifier: GPL-2.0-only
/**
 * Order around a volatile cache (block/blk-flush.c). A bio that asks for it goes through up to three steps:
 *
 *   preflush: the cache is emptied --> data: the write itself --> postflush: emptied again, where FUA is asked for and the device
 *   cannot do it by itself. A 'flush' bio is a preflush without data.
 *
 * Rules: 1. A flush makes durable what had completed before it began; it waits for nothing that is still in flight. 2. One flush is
 * under way at a time; all who wait meanwhile share the next one. 3. While the data of such a write is in flight the next flush
 * waits for it, so that one postflush serves several writes, but not longer than `PENDING_NS_MAX`. 4. A failed step ends the bio
 * with its error.
 */
import { assert, BIO_FLAG } from '../base/index.ts';
import type { Bio } from './bio.ts';
import type { QueueLimits } from './device.ts';
import { FLUSH_STEP, REQUEST_STATE, type QueueRequest } from './request.ts';

/** FLUSH_PENDING_TIMEOUT */
export const PENDING_NS_MAX = 5_000_000_000;

/** What the machine needs of its queue. */
export interface FlushHost {
  nowNs(): number;
  /** A flush request, ready to be issued. */
  makeFlush(): QueueRequest;
  issue(request: QueueRequest): void;
  /** Ends the request's bios and frees it. */
  finish(request: QueueRequest, status: number): void;
}

/** The steps that a bio needs (blk_flush_policy); 0 where it can go straight to the device. */
export function flushPolicy(limits: QueueLimits, bio: Bio): number {
  if (!limits.hasVolatileCache) return 0;
  let steps = 0;
  if (bio.op === 'flush' || (bio.flags & BIO_FLAG.preflush) !== 0) steps |= FLUSH_STEP.preflush;
  if ((bio.flags & BIO_FLAG.fua) !== 0 && limits.hasFua !== true) steps |= FLUSH_STEP.postflush;
  if (steps !== 0 && bio.sizeBytes > 0) steps |= FLUSH_STEP.data;
  return steps;
}

export class FlushMachine {
  /** Wait for the next flush, and are served by the one under way. */
  private pending: QueueRequest[] = [];
  private covered: QueueRequest[] = [];
  private isFlushing = false;
  private dataInFlightCount = 0;

  constructor(private readonly host: FlushHost) {}

  /** blk_insert_flush; `request.flushSteps` says what to do. */
  insert(request: QueueRequest): void {
    request.state = REQUEST_STATE.flushing;
    this.advance(request);
    this.kick();
  }

  /** The data of a request under this machine has ended. */
  dataEnded(request: QueueRequest, status: number): void {
    this.dataInFlightCount--;
    this.stepDone(request, FLUSH_STEP.data, status);
    this.kick();
  }

  /** flush_end_io */
  flushEnded(status: number): void {
    assert(this.isFlushing, 'a flush ended that was not under way');
    this.isFlushing = false;
    const served = this.covered;
    this.covered = [];
    for (const request of served) {
      const steps = request.flushSteps;
      const step = (steps & FLUSH_STEP.preflush) !== 0 ? FLUSH_STEP.preflush : FLUSH_STEP.postflush;
      this.stepDone(request, step, status);
    }
    this.kick();
  }

  private stepDone(request: QueueRequest, step: number, status: number): void {
    request.flushSteps &= ~step;
    if (status !== 0 || request.flushSteps === 0) {
      request.flushSteps = 0;
      this.host.finish(request, status);
    } else this.advance(request);
  }

  /** Starts the next step of the request. */
  private advance(request: QueueRequest): void {
    const steps = request.flushSteps;
    const isData = (steps & FLUSH_STEP.preflush) === 0 && (steps & FLUSH_STEP.data) !== 0;
    if (isData) {
      this.dataInFlightCount++;
      this.host.issue(request);
    } else {
      request.state = REQUEST_STATE.flushing;
      request.flushWaitSinceNs = this.host.nowNs();
      this.pending.push(request);
    }
  }

  /** blk_kick_flush */
  private kick(): void {
    const oldest = this.pending[0];
    if (this.isFlushing || oldest === undefined) return;
    if (
      this.dataInFlightCount > 0 &&
      this.host.nowNs() < oldest.flushWaitSinceNs + PENDING_NS_MAX
    ) {
      return;
    }
    this.isFlushing = true;
    this.covered = this.pending;
    this.pending = [];
    this.host.issue(this.host.makeFlush());
  }
}
