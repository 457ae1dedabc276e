// SPDX-License-Identifier: GPL-2.0-only
/**
 * Time that only moves when somebody moves it: the clock of runs on a model device. The device's `wait` moves it to the next
 * completion; the run's main loop moves it to the next timer where no I/O is under way. Two runs with the same seed read the
 * same times.
 */
import { assert } from './assert.ts';
import type { Clock } from './ports.ts';
import type { Nanoseconds } from './units.ts';

export class VirtualClock implements Clock {
  private currentNs: number;

  constructor(startNs = 0) {
    this.currentNs = startNs;
  }

  nowNs(): Nanoseconds {
    return this.currentNs as Nanoseconds;
  }

  /** Moves to `timeNs`, which must not lie in the past. */
  advanceTo(timeNs: number): void {
    assert(timeNs >= this.currentNs, 'a virtual clock cannot go back');
    this.currentNs = timeNs;
  }
}
