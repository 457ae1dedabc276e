// SPDX-License-Identifier: GPL-2.0-only
/**
 * The executor over threads that each do one synchronous system call at a time: asynchronous I/O for hosts (and files) that have no
 * other. Work and completions are handed over through shared words (loop.ts draws them); nothing goes through a message loop.
 *
 * Rules: 1. `commit` publishes what was pushed; as many threads as the depth, at most `THREADS_MAX`. 2. Cancelling takes back what no
 * thread has begun. 3. `close` reaps all, then tells the threads to end.
 */
import { alignUp, ERRNO, PAGE_BYTES } from '../../base/index.ts';
import { RAW_FLAG, type Executor, type ExecutorCapabilities, type RawSlots } from '../contract.ts';
import { ExecutorRefusal, type ExecutorHost, type ExecutorModule } from '../ports.ts';
import { SLOT_COLUMN_BYTES, slotColumns, SlotTable } from '../slot-table.ts';
import { CONTROL, CONTROL_WORDS, type IoThreadLayout } from './loop.ts';

/** A thread costs a few MiB and 20 ms; more than this many only wait for each other. */
const THREADS_MAX = 64;
const IOVEC_BYTES = 16;
const NS_PER_MS = 1e6;

/** Where everything lies in a control arena for `depth` slots, and how many bytes that takes. */
export function threadLayout(
  host: Pick<ExecutorHost, 'numbers' | 'data'>,
  depth: number,
  flagsAlways: number,
): { readonly layout: IoThreadLayout; readonly sizeBytes: number } {
  const ringEntries = 2 ** Math.ceil(Math.log2(depth));
  const workWord = CONTROL_WORDS;
  const doneWord = workWord + ringEntries;
  const resultsWord = doneWord + ringEntries;
  const columnsBytes = alignUp((resultsWord + depth) * 4, 8);
  const iovecsBytes = alignUp(columnsBytes + depth * SLOT_COLUMN_BYTES, 16);
  return {
    layout: {
      numbers: host.numbers,
      dataAddress: host.data.baseAddress,
      depth,
      ringMask: ringEntries - 1,
      workWord,
      doneWord,
      resultsWord,
      columnsBytes,
      iovecsBytes,
      controlAddress: 0,
      flagsAlways,
    },
    sizeBytes: iovecsBytes + depth * IOVEC_BYTES,
  };
}

class ThreadsExecutor implements Executor {
  readonly id = 'threads';
  readonly supports: ExecutorCapabilities = {
    polled: true,
    fixedBuffers: false,
    fsync: true,
    blocking: false,
  };
  readonly slots: RawSlots;
  private readonly table: SlotTable;
  private readonly words: Int32Array;
  private pushed = 0;
  private queued = 0;
  private doneHead = 0;
  /** Published to the threads and not yet taken from the done ring. */
  private submitted = 0;
  private closed = false;

  constructor(
    readonly depth: number,
    private readonly layout: IoThreadLayout,
    words: Int32Array,
    private readonly submitBatch: number,
  ) {
    this.words = words;
    this.table = new SlotTable(depth, slotColumns(words.buffer, layout.columnsBytes, depth));
    this.slots = this.table.slots;
  }

  get inFlightCount(): number {
    return this.table.takenCount;
  }
  takeSlot(): number {
    return this.table.take();
  }

  push(slot: number): void {
    const { layout, words } = this;
    const at = layout.workWord + ((this.pushed + this.queued) & layout.ringMask);
    Atomics.store(words, at, slot);
    this.queued++;
    if (this.queued >= this.submitBatch) this.commit();
  }

  commit(): void {
    if (this.queued === 0) return;
    this.pushed = (this.pushed + this.queued) | 0;
    Atomics.store(this.words, CONTROL.pushed, this.pushed);
    Atomics.notify(this.words, CONTROL.pushed, this.queued);
    this.submitted += this.queued;
    this.queued = 0;
  }

  reap(
    completionsMin: number,
    timeoutNs: number,
    onEnd: (slot: number, result: number) => void,
  ): number {
    let done = this.table.deliver(onEnd);
    for (;;) {
      this.commit();
      const seen = Atomics.load(this.words, CONTROL.done);
      done += this.drain(onEnd);
      if (done >= Math.max(1, completionsMin) || this.submitted === 0 || timeoutNs === 0) {
        return done;
      }
      const timeoutMs = timeoutNs === Infinity ? Infinity : timeoutNs / NS_PER_MS;
      if (Atomics.wait(this.words, CONTROL.done, seen, timeoutMs) === 'timed-out') {
        return done + this.drain(onEnd);
      }
    }
  }

  cancelAll(): void {
    this.commit();
    const { layout, words } = this;
    for (;;) {
      const taken = Atomics.load(words, CONTROL.taken);
      if (taken === this.pushed) return;
      const slot = Atomics.load(words, layout.workWord + (taken & layout.ringMask));
      const next = (taken + 1) | 0;
      if (Atomics.compareExchange(words, CONTROL.taken, taken, next) !== taken) continue;
      this.submitted--;
      this.table.ready(slot, -ERRNO.ECANCELED);
    }
  }

  close(): void {
    if (this.closed) return;
    this.cancelAll();
    while (this.submitted + this.table.readyCount > 0) this.reap(1, Infinity, () => undefined);
    this.closed = true;
    Atomics.store(this.words, CONTROL.stop, 1);
    // The changed counter keeps a thread that is just about to sleep from doing so.
    Atomics.add(this.words, CONTROL.pushed, 1);
    Atomics.notify(this.words, CONTROL.pushed);
  }

  private drain(onEnd: (slot: number, result: number) => void): number {
    const { layout, words } = this;
    let done = 0;
    for (;;) {
      const at = layout.doneWord + (this.doneHead & layout.ringMask);
      const entry = Atomics.load(words, at);
      if (entry === 0) return done;
      Atomics.store(words, at, 0);
      this.doneHead = (this.doneHead + 1) | 0;
      this.submitted--;
      const slot = entry - 1;
      this.table.finish(slot, words[layout.resultsWord + slot] as number, onEnd);
      done++;
    }
  }
}

export const threadsExecutor: ExecutorModule = {
  id: 'threads',
  title: 'Thread pool',
  help: 'One thread for each request in flight, each doing synchronous calls.',
  options: {},
  depthMax: THREADS_MAX,
  open: (host, options) => {
    if (host.threads === null) throw new ExecutorRefusal('threads', 'no threads can be made here');
    const depth = Math.min(options.depth, THREADS_MAX);
    const flagsAlways = options.polled ? RAW_FLAG.hipri : 0;
    const { layout, sizeBytes } = threadLayout(host, depth, flagsAlways);
    const control = host.makeArena(alignUp(sizeBytes, PAGE_BYTES) / PAGE_BYTES);
    const placed = { ...layout, controlAddress: control.baseAddress };
    host.threads.start(depth, control, placed);
    const executor = new ThreadsExecutor(depth, placed, control.words, options.submitBatch);
    return {
      executor,
      notes:
        depth < options.depth
          ? [`threads has at most ${String(THREADS_MAX)} threads, ${String(options.depth)} asked`]
          : [],
    };
  },
};
