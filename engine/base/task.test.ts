// SPDX-License-Identifier: GPL-2.0-only
/** The scheduler where a task throws. */
import { expect, it } from 'vitest';
import { Scheduler, type Task } from './task.ts';

it('keeps the tasks of a turn in which one throws, and runs them when somebody goes on', () => {
  const scheduler = new Scheduler();
  const done: string[] = [];
  function* works(name: string): Task<void> {
    done.push(name);
  }
  function* throws(): Task<void> {
    throw new Error('stopped');
  }
  scheduler.spawn('a', works('a'));
  scheduler.spawn('b', throws());
  scheduler.spawn('c', works('c'));
  scheduler.spawn('d', works('d'));
  expect(() => scheduler.run()).toThrow('stopped');
  expect(done).toEqual(['a']);
  expect(scheduler.liveTasks().map((task) => task.label)).toEqual(['c', 'd']);
  expect(scheduler.run(1)).toBe(1);
  expect(done).toEqual(['a', 'c']);
  expect(scheduler.hasRunnable).toBe(true);
  expect(scheduler.run()).toBe(1);
  expect(done).toEqual(['a', 'c', 'd']);
  expect(scheduler.liveCount).toBe(0);
});
