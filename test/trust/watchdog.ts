// SPDX-License-Identifier: GPL-2.0-only
/**
 * A hang cannot be told from outside in the same thread: a worker looks at a counter that the suite moves, and at the process's memory.
 * Where the counter stands still for too long it says at which place, and ends the process. The place is a number that repeats it.
 */
import { Worker } from 'node:worker_threads';

const CELLS = { place: 0, isOver: 1, rssMibMax: 2 } as const;
const LOOK_MS = 50;

export class Watchdog {
  private readonly cells = new Int32Array(new SharedArrayBuffer(12));
  private readonly worker: Worker;

  /** `name` goes before the place in the message. */
  constructor(name: string, limitMs: number) {
    this.worker = new Worker(WORKER, {
      eval: true,
      workerData: { cells: this.cells, name, limitMs, lookMs: LOOK_MS },
    });
    this.worker.unref();
  }

  /** The suite is at this place now. */
  at(place: number): void {
    Atomics.store(this.cells, CELLS.place, place);
  }
  /** Most memory of the process that was seen, MiB. */
  get rssMibMax(): number {
    return Atomics.load(this.cells, CELLS.rssMibMax);
  }
  stop(): void {
    Atomics.store(this.cells, CELLS.isOver, 1);
  }
}

const WORKER = `
const { workerData } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const { cells, name, limitMs, lookMs } = workerData;
let place = -1;
let since = Date.now();
for (;;) {
  Atomics.wait(cells, ${String(CELLS.isOver)}, 0, lookMs);
  if (Atomics.load(cells, ${String(CELLS.isOver)}) !== 0) break;
  const rss = Math.round(process.memoryUsage.rss() / 1048576);
  if (rss > Atomics.load(cells, ${String(CELLS.rssMibMax)})) Atomics.store(cells, ${String(CELLS.rssMibMax)}, rss);
  const now = Atomics.load(cells, ${String(CELLS.place)});
  if (now !== place) {
    place = now;
    since = Date.now();
  } else if (Date.now() - since > limitMs) {
    writeSync(2, name + ': image ' + place + ' takes more than ' + limitMs + ' ms\\n');
    process.kill(process.pid, 'SIGKILL');
  }
}
`;
