// SPDX-License-Identifier: GPL-2.0-only
/** The block device of a scenario: bios complete by its policy, data moves at completion (FORMAT.md, sections 3 and 4). */
import {
  ERRNO,
  KernelBug,
  PAGE_BYTES,
  SECTOR_BYTES,
  XorShift32,
  type Random,
} from '../../base/index.ts';
import { Bio, VECTOR_WORDS, type BlockDevice, type QueueLimits } from '../../block/index.ts';
import { ZERO_PAGE, type Memory } from '../../memory/index.ts';
import type { FullScenario } from './scenario.ts';
import { errorNumber } from './world-files.ts';

/** Nothing in flight is ever completed by this many steps: an endless loop in the code under test. */
const BIOS_MAX = 1_000_000;

export class ScenarioDevice implements BlockDevice {
  readonly name = 'scenario';
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: BlockDevice['ops'] = new Set(['read', 'write'] as const);
  readonly isReadOnly = false;
  private readonly queue: Bio[] = [];
  private readonly random: Random;
  private readonly lagBios: number;
  private submittedCount = 0;
  /** Allocated and not yet released. */
  liveBioCount = 0;

  constructor(
    private readonly scenario: FullScenario,
    private readonly memory: Memory,
    readonly disk: Uint8Array,
  ) {
    this.capacitySectors = scenario.sectors;
    this.limits = {
      logicalBlockBytes: scenario.lbs,
      physicalBlockBytes: scenario.lbs,
      dmaAlignmentBytes: 1,
      ioSizeSectorsMax: scenario.maxsect,
      segmentCountMax: scenario.maxseg,
      segmentSizeBytesMax: 0xffffffff,
      chunkSectors: scenario.chunk,
      hasVolatileCache: false,
    };
    const [kind, argument] = scenario.policy.split(':');
    this.random = new XorShift32(kind === 'shuffle' ? Number(argument) : 1);
    this.lagBios = kind === 'lag' ? Number(argument) : Infinity;
  }

  get inFlightCount(): number {
    return this.queue.length;
  }

  /** bio_alloc; the scenario may limit the vectors further. */
  allocate(vectorCountMax: number): Bio {
    this.liveBioCount++;
    const { maxvecs } = this.scenario;
    return new Bio(maxvecs > 0 ? Math.min(vectorCountMax, maxvecs) : vectorCountMax);
  }

  release(): void {
    this.liveBioCount--;
  }

  /** submit_bio. */
  submitBio(bio: Bio): void {
    if (++this.submittedCount > BIOS_MAX) throw new KernelBug('BUG: runaway', 'bios without end');
    if (this.scenario.policy === 'inline') {
      this.complete(bio);
      return;
    }
    this.queue.push(bio);
    while (this.queue.length > this.lagBios) this.complete(this.queue.shift() as Bio);
  }

  /** Completes one bio by the policy; false where none is in flight. */
  completeOne(): boolean {
    const { length } = this.queue;
    if (length === 0) return false;
    const { policy } = this.scenario;
    let index = 0;
    if (policy === 'lifo') index = length - 1;
    else if (policy.startsWith('shuffle')) index = this.random.next32() % length;
    this.complete(this.queue.splice(index, 1)[0] as Bio);
    return true;
  }

  private complete(bio: Bio): void {
    bio.status = this.statusOf(bio);
    if (bio.status === 0) this.moveData(bio);
    bio.onEnd?.(bio);
  }

  private statusOf(bio: Bio): number {
    const end = bio.sectorStart + bio.sizeBytes / SECTOR_BYTES;
    if (bio.sectorStart < 0 || end > this.capacitySectors) return -ERRNO.EIO;
    for (const [sector, count, name] of this.scenario.bioerr) {
      if (bio.sectorStart < sector + count && sector < end) return errorNumber(name);
    }
    return 0;
  }

  private moveData(bio: Bio): void {
    const { vectors } = bio;
    const memoryBytes = this.memory.bytes;
    let at = bio.sectorStart * SECTOR_BYTES;
    for (let index = 0; index < bio.vectorCount; index++) {
      const base = index * VECTOR_WORDS;
      const page = vectors[base] as number;
      const start = page * PAGE_BYTES + (vectors[base + 1] as number);
      const lengthBytes = vectors[base + 2] as number;
      if (bio.op === 'write') this.disk.set(memoryBytes.subarray(start, start + lengthBytes), at);
      else if (page === ZERO_PAGE) throw new KernelBug('BUG: read into zero page', 'a bio vector');
      else memoryBytes.set(this.disk.subarray(at, at + lengthBytes), start);
      at += lengthBytes;
    }
  }

  submit(): 'queued' | 'busy' {
    throw new KernelBug('BUG: crash', 'the scenario device takes bios, not requests');
  }
  commit(): void {
    // Bios are handed over one by one; nothing is collected.
  }
  wait(): number {
    return this.completeOne() ? 1 : 0;
  }
  close(): void {
    // Nothing of the host's is held.
  }
}
