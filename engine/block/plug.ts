// SPDX-License-Identifier: GPL-2.0-only
/**
 * A plug (kernel `struct blk_plug`): while it is in, requests are collected and bios merged into them; when it is pulled, or when
 * its owner goes to sleep, they are dispatched. One plug serves all queues of a run; only the outermost start and finish count.
 */
import { assert } from '../base/index.ts';

/** A queue that may hold plugged requests. */
export interface PluggedQueue {
  flushPlug(): void;
}

export class Plug {
  depth = 0;
  /** Queues with plugged requests. */
  private readonly queues: PluggedQueue[] = [];

  /** blk_start_plug */
  start(): void {
    this.depth++;
  }

  /** blk_finish_plug */
  finish(): void {
    assert(this.depth > 0, 'plug finished that was not started');
    this.depth--;
    if (this.depth === 0) this.flush();
  }

  add(queue: PluggedQueue): void {
    this.queues.push(queue);
  }

  get isEmpty(): boolean {
    return this.queues.length === 0;
  }

  /** blk_flush_plug: dispatches what was collected; the plug stays in. */
  flush(): void {
    // One queue nearly always; pop makes no garbage, and which of several goes first does not matter.
    for (;;) {
      const queue = this.queues.pop();
      if (queue === undefined) return;
      queue.flushPlug();
    }
  }
}
