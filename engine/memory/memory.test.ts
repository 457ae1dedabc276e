// SPDX-License-Identifier: GPL-2.0-only
/** Pages that somebody forgot to let go. */
import { expect, it } from 'vitest';
import { Memory, plainArena } from './memory.ts';

it('keeps a page that is still referenced when its run is released, and lends it to nobody', () => {
  const memory = new Memory(plainArena(10), true);
  const first = memory.allocatePages(4);
  memory.get(first + 1);
  memory.get(first + 1);
  expect(() => {
    memory.freePages(first, 4);
  }).toThrow(/still referenced/);
  const again = new Memory(plainArena(10), true);
  const run = again.allocatePages(4);
  again.get(run + 1);
  expect(again.releasePages(run, 4)).toBe(1);
  expect([again.canPin(run, true), again.canPin(run + 1, true)]).toEqual([false, true]);
  // Pages 1, 3 and 4, and 5 to 9 are free: seven in a row from 3 on.
  expect(again.allocatePages(7)).toBe(run + 2);
  expect(again.allocatePages(2)).toBe(-1);
  expect(again.allocatePages(1)).toBe(run);
});
