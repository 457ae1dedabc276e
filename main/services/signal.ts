// SPDX-License-Identifier: GPL-2.0-only
/**
 * "Something changed": raised any number of times, waited for by any number of watchers, who each look again when they are ready.
 * Nothing is queued for a slow one: it sees the latest state.
 */
export class Signal {
  /** How often it was raised. */
  count = 0;
  private waiters = new Set<() => void>();

  raise(): void {
    this.count++;
    const waiters = this.waiters;
    this.waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Settles when it was raised after `seen` (a former `count`), or given up. */
  wait(seen: number, signal?: AbortSignal): Promise<void> {
    if (this.count !== seen || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiters.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.waiters.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}
