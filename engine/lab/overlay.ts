// SPDX-License-Identifier: GPL-2.0-only
/**
 * A device on top of another whose writes stay in memory: what explain runs a write on, so that the image is not touched.
 *
 *   write --> overlay (a sector at a time)      read --> lower device, then the sectors of the overlay over it
 *
 * Rules: 1. The lower device sees reads only. 2. Writes, discards and flushes are kept inside `submit` and end in the next `wait`, as
 * on a disk: a request never ends before its submitter had the chance to wait for it, or to return. 3. It is for single requests, not
 * for loads: a map entry a sector.
 */
import { PAGE_BYTES, SECTOR_BYTES, type Nanoseconds } from '../base/index.ts';
import {
  VECTOR_WORDS,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../block/index.ts';
import type { Memory } from '../memory/index.ts';

export class OverlayDevice implements BlockDevice {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>([
    'read', 'write', 'flush', 'discard', 'write-zeroes',
  ]); // prettier-ignore
  readonly isReadOnly = false;
  private readonly sectors = new Map<number, Uint8Array>();
  /** Kept, and still to be ended. */
  private ended: DeviceRequest[] = [];

  constructor(
    private readonly lower: BlockDevice,
    private readonly memory: Memory,
  ) {
    this.name = `${lower.name} (writes kept in memory)`;
    this.capacitySectors = lower.capacitySectors;
    this.limits = lower.limits;
  }

  get inFlightCount(): number {
    return this.lower.inFlightCount + this.ended.length;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    if (request.op === 'read') return this.read(request);
    if (request.op === 'write') this.write(request);
    else if (request.op !== 'flush') this.clear(request);
    this.ended.push(request);
    return 'queued';
  }

  commit(): void {
    this.lower.commit();
  }

  wait(timeoutNs: Nanoseconds): number {
    const { ended } = this;
    if (ended.length === 0) return this.lower.wait(timeoutNs);
    this.ended = [];
    for (const request of ended) request.onEnd(request, 0);
    return ended.length;
  }

  close(): void {
    this.lower.close();
  }

  private read(request: DeviceRequest): 'queued' | 'busy' {
    if (this.sectors.size === 0) return this.lower.submit(request);
    return this.lower.submit({
      ...request,
      onEnd: (_request, status) => {
        if (status === 0) this.patch(request);
        request.onEnd(request, status);
      },
    });
  }

  private write(request: DeviceRequest): void {
    this.eachSector(request, (sector, bytes) => this.sectors.set(sector, bytes.slice()));
  }

  private patch(request: DeviceRequest): void {
    this.eachSector(request, (sector, bytes) => {
      const kept = this.sectors.get(sector);
      if (kept !== undefined) bytes.set(kept);
    });
  }

  private clear(request: DeviceRequest): void {
    for (let at = 0; at < request.sizeBytes / SECTOR_BYTES; at++) {
      this.sectors.set(request.sectorStart + at, new Uint8Array(SECTOR_BYTES));
    }
  }

  /** Vectors hold whole sectors: the queue has checked that. */
  private eachSector(
    request: DeviceRequest,
    visit: (sector: number, bytes: Uint8Array) => void,
  ): void {
    let sector = request.sectorStart;
    for (let index = 0; index < request.bioCount; index++) {
      const bio = request.bios[index];
      if (bio === undefined) return;
      for (let at = 0; at < bio.vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
        const page = bio.vectors[at] as number;
        const start = page * PAGE_BYTES + (bio.vectors[at + 1] as number);
        const end = start + (bio.vectors[at + 2] as number);
        for (let byte = start; byte < end; byte += SECTOR_BYTES) {
          visit(sector++, this.memory.bytes.subarray(byte, byte + SECTOR_BYTES));
        }
      }
    }
  }
}
