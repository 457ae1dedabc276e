// SPDX-License-Identifier: GPL-2.0-only
/**
 * A device as it will be once its journal has been replayed: reads go to the device below, and what the journal holds is laid over
 * them. It is read only; nothing is ever written below.
 */
import { PAGE_BYTES, SECTOR_BYTES, type Nanoseconds } from '../../base/index.ts';
import {
  VECTOR_WORDS,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { Memory } from '../../memory/index.ts';

export class RecoveredDevice implements BlockDevice {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read']);
  readonly isReadOnly = true;

  constructor(
    private readonly lower: BlockDevice,
    private readonly memory: Memory,
    private readonly blockBytes: number,
    /** Content of blocks, by number. */
    readonly blocks: ReadonlyMap<number, Uint8Array>,
  ) {
    this.name = `${lower.name} (with its journal replayed)`;
    this.capacitySectors = lower.capacitySectors;
    // Nothing is written, so there is nothing to flush.
    this.limits = { ...lower.limits, hasVolatileCache: false };
  }

  get inFlightCount(): number {
    return this.lower.inFlightCount;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    return this.lower.submit({
      ...request,
      onEnd: (_request, status) => {
        if (status === 0) this.patch(request);
        request.onEnd(request, status);
      },
    });
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

  private patch(request: DeviceRequest): void {
    let deviceByte = request.sectorStart * SECTOR_BYTES;
    for (let index = 0; index < request.bioCount; index++) {
      const bio = request.bios[index];
      if (bio === undefined) return;
      for (let at = 0; at < bio.vectorCount * VECTOR_WORDS; at += VECTOR_WORDS) {
        const start = (bio.vectors[at] as number) * PAGE_BYTES + (bio.vectors[at + 1] as number);
        const length = bio.vectors[at + 2] as number;
        this.patchPiece(deviceByte, this.memory.bytes.subarray(start, start + length));
        deviceByte += length;
      }
    }
  }

  private patchPiece(deviceByte: number, piece: Uint8Array): void {
    const { blockBytes, blocks } = this;
    const end = deviceByte + piece.length;
    for (let at = deviceByte; at < end;) {
      const block = Math.floor(at / blockBytes);
      const next = Math.min(end, (block + 1) * blockBytes);
      const kept = blocks.get(block);
      if (kept !== undefined) {
        const from = at - block * blockBytes;
        piece.set(kept.subarray(from, from + next - at), at - deviceByte);
      }
      at = next;
    }
  }
}
