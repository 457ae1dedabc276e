// SPDX-License-Identifier: GPL-2.0-only
/**
 * From the log of a recorder to the states in which a power cut may leave the disk.
 *
 *   point (writes, flushes): so many writes were submitted and so many flushes had ended when the power went
 *     on the disk for sure   what ended before the last of those flushes was asked for
 *     at risk                the rest of what was submitted: any subset of it, in any order, the last sector torn
 *
 * A state is named by its point, a kind and a seed, so that it can be made again. Rules: 1. States are made over a copy of the image as
 * it was when the log began. 2. A torn sector is a mix of old and new bytes; where it was never written before, and holds data, a third
 * part is garbage: a word that belongs to no file. A drive that leaves garbage in a sector that it overwrites takes what fsync
 * promised with it, whatever a file system does.
 */
import { below, SECTOR_BYTES, Sfc32, type Random } from '../../engine/base/index.ts';
import type { RecordedWrite } from '../../engine/devices/recorder/index.ts';

export const GARBAGE_WORD = 0xdeadbeef;
const WORD = 8;

/** A write of the log as states are made of it; a mutant of the order has other numbers than the recorder. */
export interface LoggedWrite {
  readonly byte: number;
  readonly data: Uint8Array;
  /** At risk from the point with so many writes on. */
  readonly submittedAt: number;
  /** For sure on the disk when more flushes than this have ended. */
  readonly epoch: number;
}

export interface CrashPoint {
  readonly writes: number;
  readonly flushes: number;
}
export const STATE_KINDS = ['prefix', 'drop', 'early', 'subset', 'reorder', 'torn'] as const;
export type StateKind = (typeof STATE_KINDS)[number];
export interface CrashState {
  readonly point: CrashPoint;
  readonly kind: StateKind;
  readonly seed: number;
}

export function nameOf({ point, kind, seed }: CrashState): string {
  return `${kind} ${String(seed)} after ${String(point.writes)} writes and ${String(point.flushes)} flushes`;
}

export function loggedWrites(writes: readonly RecordedWrite[]): LoggedWrite[] {
  return writes.map((write, index) => ({
    byte: write.sectorStart * SECTOR_BYTES,
    data: write.op === 'write' ? write.data : new Uint8Array(write.lengthBytes),
    submittedAt: index,
    epoch: write.isFua ? -1 : write.epoch,
  }));
}

/** Every point of a log: after each write, and after each flush. `flushedAt`: as the recorder has it. */
export function pointsOf(writeCount: number, flushedAt: readonly number[]): CrashPoint[] {
  const points: CrashPoint[] = [];
  let flushes = 0;
  for (let writes = 0; writes <= writeCount; writes++) {
    points.push({ writes, flushes });
    while (flushedAt[flushes] === writes) {
      flushes++;
      points.push({ writes, flushes });
    }
  }
  return points;
}

/** Builds states of one log; the sure part of the disk is kept between states of the same epoch. */
export class StateMaker {
  private base: Uint8Array;
  private baseKey = '';

  constructor(
    private readonly start: Uint8Array,
    private readonly log: readonly LoggedWrite[],
  ) {
    this.base = start;
  }

  /** The disk after that power cut. */
  make(state: CrashState): Uint8Array {
    const { point, kind } = state;
    const atRisk = this.atRisk(point);
    const bytes = this.sure(point).slice();
    const random = new Sfc32(state.seed, point.writes);
    const chosen = choose(atRisk, kind, random);
    for (const [index, write] of chosen.entries()) {
      const isTorn = kind === 'torn' && index === chosen.length - 1;
      if (isTorn) tear(bytes, write, random);
      else bytes.set(write.data, write.byte);
    }
    return bytes;
  }

  private atRisk({ writes, flushes }: CrashPoint): LoggedWrite[] {
    return this.log.filter((write) => write.submittedAt < writes && write.epoch >= flushes);
  }

  private sure({ writes, flushes }: CrashPoint): Uint8Array {
    const sure = this.log.filter((write) => write.submittedAt < writes && write.epoch < flushes);
    const key = `${String(flushes)}/${String(sure.length)}`;
    if (key === this.baseKey) return this.base;
    this.base = this.start.slice();
    for (const write of sure) this.base.set(write.data, write.byte);
    this.baseKey = key;
    return this.base;
  }
}

function choose(atRisk: LoggedWrite[], kind: StateKind, random: Random): LoggedWrite[] {
  if (atRisk.length === 0) return atRisk;
  switch (kind) {
    case 'prefix':
    case 'torn':
      return atRisk;
    case 'drop': {
      const dropped = below(random, atRisk.length);
      return atRisk.filter((_, index) => index !== dropped);
    }
    case 'early':
      return [atRisk[below(random, atRisk.length)] as LoggedWrite];
    case 'subset':
      return atRisk.filter(() => random.next32() % 2 === 0);
    case 'reorder': {
      const left = atRisk.filter(() => random.next32() % 3 !== 0);
      for (let at = left.length - 1; at > 0; at--) {
        const other = below(random, at + 1);
        [left[at], left[other]] = [left[other] as LoggedWrite, left[at] as LoggedWrite];
      }
      return left;
    }
  }
}

/** Whole sectors of the write, then a sector that is a mix; what comes after is as it was. */
function tear(bytes: Uint8Array, write: LoggedWrite, random: Random): void {
  const sector = below(random, write.data.length / SECTOR_BYTES);
  const at = sector * SECTOR_BYTES;
  bytes.set(write.data.subarray(0, at), write.byte);
  const fresh = write.data.subarray(at, at + SECTOR_BYTES);
  const old = bytes.subarray(write.byte + at, write.byte + at + SECTOR_BYTES);
  const mayHoldGarbage = holdsOnlyWords(fresh) && !holdsWords(old);
  const view = new DataView(old.buffer, old.byteOffset, SECTOR_BYTES);
  const newEnd = below(random, SECTOR_BYTES / WORD + 1) * WORD;
  const isSuffix = random.next32() % 2 === 0;
  for (let word = 0; word < SECTOR_BYTES; word += WORD) {
    const isNew = isSuffix ? word >= newEnd : word < newEnd;
    if (isNew) old.set(fresh.subarray(word, word + WORD), word);
    else if (mayHoldGarbage && random.next32() % 3 === 0) {
      view.setUint32(word, GARBAGE_WORD, true);
      view.setUint32(word + 4, GARBAGE_WORD, true);
    }
  }
}

/** Content of tracked files: every word says a file and its own place. */
function holdsOnlyWords(sector: Uint8Array): boolean {
  const view = new DataView(sector.buffer, sector.byteOffset, sector.length);
  const first = view.getUint32(4, true);
  for (let word = 0; word < sector.length; word += WORD) {
    if (view.getUint32(word, true) >>> 16 === 0) return false;
    if (view.getUint32(word + 4, true) !== first + word / WORD) return false;
  }
  return true;
}
/** Any word of a tracked file in it. */
function holdsWords(sector: Uint8Array): boolean {
  const view = new DataView(sector.buffer, sector.byteOffset, sector.length);
  for (let word = 0; word + WORD < sector.length; word += WORD) {
    const isStep = view.getUint32(word + 12, true) === view.getUint32(word + 4, true) + 1;
    if (isStep && view.getUint32(word, true) !== 0) return true;
  }
  return false;
}
