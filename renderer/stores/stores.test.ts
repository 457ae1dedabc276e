// SPDX-License-Identifier: GPL-2.0-only
import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ExperimentCheck, RunEvent, RunListEntry } from '../../main/contract/index.ts';
import { experiment as makeExperiment } from '../../test/support/fake-lab/data.ts';
import { makeResult } from '../../test/support/fake-lab/numbers.ts';
import type { Connection, ConnectionState } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useExperimentStore } from './experiment.ts';
import { useRunStore } from './run.ts';
import { useRunsStore } from './runs.ts';
import { useToastsStore } from './toasts.ts';

let tell: (state: ConnectionState) => void = () => undefined;
function connect(client: object): void {
  useConnectionStore().use({
    client,
    onState: (listener: (state: ConnectionState) => void) => {
      tell = listener;
      listener('open');
      return () => undefined;
    },
  } as unknown as Connection);
}
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

beforeEach(() => {
  localStorage.clear();
  setActivePinia(createPinia());
});

describe('the experiment', () => {
  const check: ExperimentCheck = {
    problems: [],
    alignment: [],
    summary: [],
    estimateSeconds: 1,
    willWriteBytes: null,
    needsConsent: false,
  };
  it('undoes and redoes every change, and joins the keystrokes of one number', () => {
    const store = useExperimentStore();
    store.replace(makeExperiment('first'));
    store.patchJob({ ioDepth: 6 });
    store.patchJob({ ioDepth: 64 });
    store.patch({ revision: '3.1' });
    expect(store.past).toHaveLength(2);
    store.undo();
    expect([store.experiment?.revision, store.job?.ioDepth]).toEqual(['6.4', 64]);
    store.undo();
    expect(store.job?.ioDepth).toBe(32);
    store.redo();
    store.redo();
    expect([store.experiment?.revision, store.canRedo]).toEqual(['3.1', false]);
  });
  it('undoes a proposed alignment apart from the number that was typed', () => {
    const store = useExperimentStore();
    store.replace(makeExperiment('first'));
    store.patchAlignment({ offsetBytes: 1 });
    store.patchAlignment({ offsetBytes: 100 });
    store.patchAlignment({ offsetBytes: 512, lengthBytes: 0, memoryBytes: 0 });
    store.undo();
    expect(store.job?.alignment.offsetBytes).toBe(100);
    store.undo();
    expect(store.job?.alignment.offsetBytes).toBe(0);
  });
  it('comes back as it was left', () => {
    useExperimentStore().replace(makeExperiment('kept'));
    setActivePinia(createPinia());
    const again = useExperimentStore();
    again.begin([{ id: 'p', title: '', help: '', experiment: makeExperiment('preset') }]);
    expect(again.experiment?.name).toBe('kept');
  });
  it('begins with the first preset where nothing, or nonsense, was kept', () => {
    localStorage.setItem('diolab.experiment', '{"jobs":[]}');
    const store = useExperimentStore();
    store.begin([{ id: 'p', title: '', help: '', experiment: makeExperiment('preset') }]);
    expect([store.experiment?.name, store.presetId]).toEqual(['preset', 'p']);
  });
  it('drops an answer that comes too late', async () => {
    const answers: ((check: ExperimentCheck) => void)[] = [];
    connect({ experiments: { check: () => new Promise((resolve) => answers.push(resolve)) } });
    const store = useExperimentStore();
    store.experiment = makeExperiment('x');
    const first = store.checkNow();
    const second = store.checkNow();
    answers[1]?.({ ...check, estimateSeconds: 2 });
    answers[0]?.({ ...check, estimateSeconds: 1 });
    await Promise.all([first, second]);
    expect(store.check?.estimateSeconds).toBe(2);
  });
});

describe('the run', () => {
  const asked = makeExperiment('x');
  const point = makeResult(asked, 0).series[0];
  it('goes from start to result by its stream', async () => {
    async function* events(): AsyncGenerator<RunEvent> {
      yield { kind: 'series', points: point ? [point, point] : [] };
      await settled();
      yield { kind: 'ended', state: 'finished', failure: null };
    }
    const get = vi.fn(() => Promise.resolve(makeResult(asked, 0)));
    connect({
      runs: {
        start: () => Promise.resolve({ runId: 'run-0001' }),
        watch: () => Promise.resolve(events()),
        get,
      },
    });
    const run = useRunStore();
    const started = run.start(asked);
    expect(run.isLive).toBe(true);
    await started;
    await settled();
    expect(run.series).toHaveLength(1);
    await settled();
    await settled();
    expect([run.state, run.isLive, run.result?.state]).toEqual(['finished', false, 'finished']);
    expect(get).toHaveBeenCalledTimes(1);
  });
  it('keeps what was shown where a start is refused', async () => {
    connect({ runs: { start: () => Promise.reject(new Error('no')) } });
    const run = useRunStore();
    run.state = 'finished';
    await expect(run.start(asked)).rejects.toThrow('no');
    expect(run.state).toBe('finished');
  });
  it('follows its stream again after the connection was lost', async () => {
    const watch = vi.fn(() => Promise.reject(new Error('closed')));
    connect({ runs: { watch } });
    const run = useRunStore();
    tell('lost');
    run.attach('run-0002');
    await settled();
    expect(run.failure).toBeNull();
    tell('open');
    run.resume();
    await settled();
    expect(watch).toHaveBeenCalledTimes(2);
  });
});

describe('the list of runs', () => {
  const entry = (id: string, at: number): RunListEntry => ({
    id,
    name: id,
    state: 'finished',
    startedAtUnixMs: at,
    elapsedNs: 1,
    summary: {
      rw: 'read',
      blockSizeBytes: 512,
      ioEngine: 'sync',
      ioDepth: 1,
      fileSystem: 'raw',
      revision: '6.4',
      iops: 1,
      bytesPerSecond: 1,
      p50Ns: 1,
      p99Ns: 1,
    },
  });
  it('deletes at once and undoes it', async () => {
    const old = entry('old', 1);
    connect({
      runs: {
        remove: () => Promise.resolve({ removed: true }),
        restore: () => Promise.resolve(old),
      },
    });
    const runs = useRunsStore();
    runs.take([old, entry('new', 2)]);
    expect(runs.runs?.map((run) => run.id)).toEqual(['new', 'old']);
    await runs.remove(old);
    expect(runs.runs?.map((run) => run.id)).toEqual(['new']);
    useToastsStore().toasts[0]?.action?.run();
    await settled();
    expect(runs.runs?.map((run) => run.id)).toEqual(['new', 'old']);
  });
  it('says a refusal in the host’s words, and keeps the run', async () => {
    connect({ runs: { remove: () => Promise.reject(new Error('it still runs')) } });
    const runs = useRunsStore();
    runs.take([entry('a', 1)]);
    await runs.remove(entry('a', 1));
    expect(runs.runs).toHaveLength(1);
    expect(useToastsStore().toasts[0]).toMatchObject({ tone: 'bad', text: 'it still runs' });
  });
});
