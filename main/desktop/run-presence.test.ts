// SPDX-License-Identifier: GPL-2.0-only
import { beforeEach, describe, expect, it } from 'vitest';
import type { RunEvent, RunListEntry } from '../contract/types.ts';
import { LONG_RUN_MS, RunPresence, type Notice, type PresencePort } from './run-presence.ts';

/** A stream that the test writes into. */
class Feed<T> {
  private readonly queue: (T | Error | null)[] = [];
  private wake: () => void = () => undefined;
  push(value: T | Error | null): void {
    this.queue.push(value);
    this.wake();
  }
  async *read(signal: AbortSignal): AsyncGenerator<T> {
    signal.addEventListener('abort', () => {
      this.push(null);
    });
    for (;;) {
      const next = this.queue.shift();
      if (next === null) return;
      if (next instanceof Error) throw next;
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
const entry = (id: string, state: RunListEntry['state']): RunListEntry =>
  ({ id, name: `run ${id}`, state }) as RunListEntry;
const progress = (fraction: number | null): RunEvent =>
  ({ kind: 'progress', progress: { fraction } }) as RunEvent;
const ended = (state: RunListEntry['state'], message?: string): RunEvent => ({
  kind: 'ended',
  state,
  failure: message === undefined ? null : { code: 'x', message, exitCode: 74 },
});
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

describe('the presence of runs', () => {
  let list: Feed<readonly RunListEntry[]>;
  let events: Map<string, Feed<RunEvent>>;
  let shown: (number | 'busy' | null)[];
  let awake: boolean[];
  let notices: Notice[];
  let problems: unknown[];
  let nowMs: number;
  let isInFront: boolean;
  let presence: RunPresence;

  beforeEach(() => {
    list = new Feed();
    events = new Map([
      ['a', new Feed<RunEvent>()],
      ['b', new Feed<RunEvent>()],
    ]);
    [shown, awake, notices, problems] = [[], [], [], []];
    nowMs = 0;
    isInFront = false;
    const port: PresencePort = {
      showProgress: (value) => shown.push(value),
      keepAwake: (isOn) => awake.push(isOn),
      isAnyWindowInFront: () => isInFront,
      notify: (notice) => notices.push(notice),
      nowMs: () => nowMs,
      onProblem: (error) => problems.push(error),
    };
    presence = new RunPresence(
      {
        watchList: (signal) => list.read(signal),
        watch: (id, signal) => (events.get(id) as Feed<RunEvent>).read(signal),
      },
      port,
    );
    void presence.start();
  });
  const send = async (id: string, ...given: (RunEvent | null | Error)[]): Promise<void> => {
    for (const event of given) events.get(id)?.push(event);
    await settle();
  };

  it('shows progress and keeps the machine awake while a run goes on', async () => {
    list.push([entry('a', 'preparing'), entry('old', 'finished')]);
    await settle();
    expect(awake).toEqual([true]);
    await send('a', progress(null), progress(0.25));
    expect(shown).toEqual(['busy', 'busy', 0.25]);
    await send('a', ended('finished'), null);
    expect(shown.at(-1)).toBeNull();
    expect(awake).toEqual([true, false]);
  });

  it('shows the mean of two runs, and sleeps after the last', async () => {
    list.push([entry('a', 'running'), entry('b', 'running')]);
    await settle();
    await send('a', progress(0.2));
    await send('b', progress(0.6));
    expect(shown.at(-1)).toBeCloseTo(0.4);
    await send('a', ended('finished'), null);
    expect(awake).toEqual([true]);
    await send('b', ended('finished'), null);
    expect(awake).toEqual([true, false]);
  });

  it('tells the end of a long run where no window is in front', async () => {
    list.push([entry('a', 'running')]);
    await settle();
    nowMs = LONG_RUN_MS;
    await send('a', ended('failed', 'no space at 4096'), null);
    expect(notices).toEqual([
      { runId: 'a', title: 'The run failed', body: 'run a: no space at 4096' },
    ]);
  });

  it('tells nothing of a short run, nor where somebody looks', async () => {
    list.push([entry('a', 'running')]);
    await settle();
    nowMs = LONG_RUN_MS - 1;
    await send('a', ended('finished'), null);
    isInFront = true;
    list.push([entry('b', 'running')]);
    await settle();
    nowMs = 10 * LONG_RUN_MS;
    await send('b', ended('finished'), null);
    expect(notices).toEqual([]);
  });

  it('lets go of a run whose stream broke, and says so', async () => {
    list.push([entry('a', 'running')]);
    await settle();
    await send('a', new Error('broken'));
    expect(problems).toHaveLength(1);
    expect(awake).toEqual([true, false]);
    expect(shown.at(-1)).toBeNull();
  });

  it('ends with close, quietly', async () => {
    list.push([entry('a', 'running')]);
    await settle();
    presence.close();
    await settle();
    expect(shown.at(-1)).toBeNull();
    expect(awake.at(-1)).toBe(false);
    expect(problems).toEqual([]);
  });
});
