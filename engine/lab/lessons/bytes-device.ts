// SPDX-License-Identifier: GPL-2.0-only
/**
 * A disk over an array of bytes, for the images of lessons: they are made in it, kept between kernels, and handed out as a file.
 * Requests end in the next `wait`, as on a disk, so that a submitter can return or wait before they do. It has a volatile cache, so
 * that flushes come; the array holds what was written, flushed or not.
 */
import { assert, PAGE_BYTES, SECTOR_BYTES } from '../../base/index.ts';
import {
  DEFAULT_LIMITS,
  VECTOR_WORDS,
  type Bio,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { Memory } from '../../memory/index.ts';

export class BytesDevice implements BlockDevice {
  readonly name = 'lesson image';
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  readonly isReadOnly = false;
  private queued: DeviceRequest[] = [];

  constructor(
    private readonly memory: Memory,
    readonly bytes: Uint8Array,
    logicalBlockBytes: number = SECTOR_BYTES,
  ) {
    this.capacitySectors = Math.floor(bytes.length / SECTOR_BYTES);
    this.limits = { ...DEFAULT_LIMITS, logicalBlockBytes, hasVolatileCache: true };
  }

  get inFlightCount(): number {
    return this.queued.length;
  }

  submit(request: DeviceRequest): 'queued' {
    this.queued.push(request);
    return 'queued';
  }

  commit(): void {
    // Nothing is batched.
  }

  wait(): number {
    const ended = this.queued;
    this.queued = [];
    for (const request of ended) {
      if (request.op !== 'flush') this.transfer(request);
      request.onEnd(request, 0);
    }
    return ended.length;
  }

  close(): void {
    this.wait();
  }

  private transfer(request: DeviceRequest): void {
    let at = request.sectorStart * SECTOR_BYTES;
    assert(at + request.sizeBytes <= this.bytes.length, 'a request beyond the lesson image', {
      at,
    });
    for (let index = 0; index < request.bioCount; index++) {
      const { vectors, vectorCount } = request.bios[index] as Bio;
      for (let vector = 0; vector < vectorCount * VECTOR_WORDS; vector += VECTOR_WORDS) {
        const lengthBytes = vectors[vector + 2] as number;
        const from = (vectors[vector] as number) * PAGE_BYTES + (vectors[vector + 1] as number);
        const memory = this.memory.bytes.subarray(from, from + lengthBytes);
        if (request.op === 'read') memory.set(this.bytes.subarray(at, at + lengthBytes));
        else this.bytes.set(memory, at);
        at += lengthBytes;
      }
    }
  }
}
