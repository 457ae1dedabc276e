// SPDX-License-Identifier: GPL-2.0-only
/**
 * Image files and an executor over node:fs, for tests of what stands on them: no system call table and no native memory. Operations
 * are done at `reap`, oldest first or in an order drawn from a seed, and can be made to come out short or to fail.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { ERRNO, Sfc32, below, type Arena, type Errno } from '../../engine/base/index.ts';
import type {
  ExecutorPort,
  ImageFilePort,
  LoopPort,
  OpenImage,
} from '../../engine/devices/contract.ts';
import {
  RAW_KIND,
  type Executor,
  type ExecutorCapabilities,
  type RawSlots,
} from '../../engine/executor/contract.ts';

export interface FakeFaults {
  /** Most bytes one operation moves; 0: no limit. */
  transferBytesMax?: number;
  /** Minus an errno for an operation, or 0. `operation` counts from 0. */
  failure?: (operation: number, kind: number, offsetBytes: number) => number;
  /** Completions come in an order drawn from it; absent: oldest first. */
  orderSeed?: number;
  offsetAlignBytes?: number;
  memoryAlignBytes?: number;
  /** An operation is over when `push` returns, as with the sync executor. */
  isBlocking?: boolean;
}

export class FakeExecutor implements Executor {
  readonly id = 'sync';
  readonly supports: ExecutorCapabilities;
  readonly slots: RawSlots;
  readonly log: {
    readonly kind: number;
    readonly offsetBytes: number;
    readonly vectors: number;
  }[] = [];
  isClosed = false;
  commitCount = 0;
  private readonly free: number[];
  private queued: number[] = [];
  private readonly atHost: number[] = [];
  private operationCount = 0;
  private readonly random: Sfc32 | null;

  constructor(
    private readonly arena: Arena,
    readonly depth: number,
    private readonly faults: FakeFaults,
  ) {
    this.supports = {
      polled: false,
      fixedBuffers: false,
      fsync: true,
      blocking: faults.isBlocking ?? false,
    };
    this.slots = {
      kind: new Uint8Array(depth),
      flags: new Uint8Array(depth),
      fd: new Int32Array(depth),
      fileOffsetBytes: new Float64Array(depth),
      bufferOffset: new Float64Array(depth),
      lengthBytes: new Uint32Array(depth),
      vectorCount: new Uint16Array(depth),
    };
    this.free = Array.from({ length: depth }, (_, index) => depth - 1 - index);
    this.random = faults.orderSeed === undefined ? null : new Sfc32(faults.orderSeed);
  }

  get inFlightCount(): number {
    return this.depth - this.free.length;
  }
  takeSlot(): number {
    return this.free.pop() ?? -1;
  }
  push(slot: number): void {
    this.queued.push(slot);
    if (this.supports.blocking) this.commit();
  }
  commit(): void {
    this.commitCount++;
    this.atHost.push(...this.queued);
    this.queued = [];
  }
  reap(min: number, _timeoutNs: number, onEnd: (slot: number, result: number) => void): number {
    let reaped = 0;
    while (this.atHost.length > 0 && reaped < Math.max(1, min)) {
      const at = this.random === null ? 0 : below(this.random, this.atHost.length);
      const slot = this.atHost.splice(at, 1)[0] as number;
      onEnd(slot, this.perform(slot));
      this.free.push(slot);
      reaped++;
    }
    return reaped;
  }
  cancelAll(): void {
    // What is at the host is done at the next reap.
  }
  close(): void {
    this.isClosed = true;
  }

  private perform(slot: number): number {
    const { slots, faults } = this;
    const kind = slots.kind[slot] as number;
    const fd = slots.fd[slot] as number;
    const offsetBytes = slots.fileOffsetBytes[slot] as number;
    const vectors = slots.vectorCount[slot] as number;
    this.log.push({ kind, offsetBytes, vectors });
    const failure = faults.failure?.(this.operationCount++, kind, offsetBytes) ?? 0;
    if (failure !== 0) return failure;
    if (kind === RAW_KIND.fdatasync) {
      fdatasyncSync(fd);
      return 0;
    }
    try {
      return this.move(slot, kind === RAW_KIND.read, fd, offsetBytes);
    } catch (error) {
      return -ERRNO[(error as { code: Errno }).code];
    }
  }

  private move(slot: number, isRead: boolean, fd: number, offsetBytes: number): number {
    const max = this.faults.transferBytesMax ?? 0;
    let leftBytes = max === 0 ? Infinity : max;
    let moved = 0;
    for (const [start, length] of this.buffersOf(slot)) {
      const count = Math.min(length, leftBytes);
      if (count === 0) break;
      const buffer = this.arena.bytes.subarray(start, start + count);
      const done = isRead
        ? readSync(fd, buffer, 0, count, offsetBytes + moved)
        : writeSync(fd, buffer, 0, count, offsetBytes + moved);
      moved += done;
      leftBytes -= done;
      if (done < count) break;
    }
    return moved;
  }

  private buffersOf(slot: number): (readonly [number, number])[] {
    const { slots, arena } = this;
    const at = slots.bufferOffset[slot] as number;
    const vectorCount = slots.vectorCount[slot] as number;
    if (vectorCount === 0) return [[at, slots.lengthBytes[slot] as number]];
    const view = new DataView(arena.bytes.buffer, arena.bytes.byteOffset);
    return Array.from({ length: vectorCount }, (_, index) => {
      const base = Number(view.getBigUint64(at + index * 16, true));
      const length = Number(view.getBigUint64(at + index * 16 + 8, true));
      return [base - arena.baseAddress, length] as const;
    });
  }
}

export interface FakeHost {
  readonly imageFiles: ImageFilePort;
  readonly executors: ExecutorPort;
  /** Devices that are the image itself. */
  readonly loops: LoopPort;
  /** Every executor that was opened, in order. */
  readonly opened: FakeExecutor[];
  /** Every image that is open now. */
  readonly openImages: Set<OpenImage>;
}

export function fakeHost(arena: Arena, faults: FakeFaults = {}): FakeHost {
  const opened: FakeExecutor[] = [];
  const openImages = new Set<OpenImage>();
  const imageFiles: ImageFilePort = {
    open(path, { readOnly, direct }) {
      const fd = openSync(path, readOnly ? 'r' : 'r+');
      const image: OpenImage = {
        path,
        fd,
        sizeBytes: fstatSync(fd).size,
        isReadOnly: readOnly,
        isDirect: direct,
        directRefusedWhy: direct ? null : 'not asked for',
        offsetAlignBytes: faults.offsetAlignBytes ?? 512,
        memoryAlignBytes: faults.memoryAlignBytes ?? 512,
        close() {
          openImages.delete(image);
          closeSync(fd);
        },
      };
      openImages.add(image);
      return image;
    },
  };
  const executors: ExecutorPort = {
    open(asked, { depth }) {
      const executor = new FakeExecutor(arena, depth, faults);
      opened.push(executor);
      const choice = {
        asked,
        got: 'sync',
        refusals: [],
        depthAsked: depth,
        depthGot: depth,
      } as const;
      return { executor, choice };
    },
  };
  const loops: LoopPort = {
    attach: (path, { sectorBytes, readOnly, directIo, direct }) => ({
      image: imageFiles.open(path, { readOnly, direct }),
      number: 0,
      sectorBytes,
      hasDirectIo: directIo,
    }),
    openThroughMount: (path, { direct }) => imageFiles.open(path, { readOnly: true, direct }),
  };
  return { imageFiles, executors, loops, opened, openImages };
}
