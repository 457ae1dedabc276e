// SPDX-License-Identifier: GPL-2.0-only
/**
 * A scripted lab inside the page. What it does is chosen in the address: ?fake=first (nothing was ever run), million (a million
 * requests), lost (the connection comes and goes), refused (the host refuses what it is asked), slow (answers never come), bare (no privileged helper), stuck (a measurement stops half way), waiting (only explanations, comparisons and exhibits never come).
 */
import { HostError } from '../../../engine/base/index.ts';
import { encodeRequestColumns } from '../../../main/contract/bulk.ts';
import type {
  Experiment,
  RunEvent,
  RunListEntry,
  RunResult,
  RunState,
  SeriesPoint,
} from '../../../main/contract/index.ts';
import type {
  Connection,
  ConnectionState,
  LabClient,
} from '../../../renderer/connection/connection.ts';
import { catalogue, checkOf, experiment, hostFacts } from './data.ts';
import { fakeGrounds, loopTrace, verifyInSteps } from './grounds.ts';
import { fakeImages } from './images.ts';
import {
  compareInPage,
  exhibitList,
  exhibitRun,
  explainInPage,
  lessonAnswer,
  lessonList,
  lessonStart,
  revisionList,
} from './engine.ts';
import { makeRandom, makeResult, pointAt, requestColumns } from './numbers.ts';

const mode = new URLSearchParams(location.search).get('fake') ?? 'plain';
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const results = new Map<string, RunResult>();
const experiments = new Map<string, Experiment>();
const cancelled = new Set<string>();
const removed = new Map<string, RunListEntry>();
let entries: RunListEntry[] = [];
let listeners: (() => void)[] = [];
let lastId = 0;

const refusal = () =>
  new HostError({
    code: 'fake.refused',
    message: 'The data folder cannot be read: permission denied',
    where: '/home/ada/.local/share/diolab',
    hint: 'Give this user the right to read it, or set DIOLAB_DATA to another folder.',
  });
async function gate(): Promise<void> {
  if (mode === 'slow') await new Promise(() => undefined);
  if (mode === 'refused') throw refusal();
}
/** In front of what the engine is asked. */
async function gateAnswer(): Promise<void> {
  await gate();
  if (mode === 'waiting') await new Promise(() => undefined);
}
function entryOf(id: string, asked: Experiment, state: RunState, startedAtUnixMs: number): RunListEntry {
  const result = results.get(id);
  const job = asked.jobs[0];
  if (job === undefined) throw new Error('an experiment has a job');
  const part = result?.jobs[0];
  return {
    id, name: asked.name, state, startedAtUnixMs, elapsedNs: result?.elapsedNs ?? null,
    summary: {
      rw: job.rw, blockSizeBytes: job.blockSizes[0]?.sizeBytes ?? 4096, ioEngine: job.ioEngine, ioDepth: job.ioDepth,
      fileSystem: asked.target.fileSystem.id, revision: asked.revision,
      iops: part ? part.read.iops + part.write.iops : null,
      bytesPerSecond: part ? part.read.bytesPerSecond + part.write.bytesPerSecond : null,
      p50Ns: part ? (part.read.lat.percentilesNs['50.000000'] ?? part.write.lat.percentilesNs['50.000000'] ?? null) : null,
      p99Ns: part ? (part.read.lat.percentilesNs['99.000000'] ?? part.write.lat.percentilesNs['99.000000'] ?? null) : null,
    },
  };
} // prettier-ignore
function changed(): void {
  const woken = listeners;
  listeners = [];
  for (const wake of woken) wake();
}
function setState(id: string, state: RunState): void {
  entries = entries.map((each) =>
    each.id === id
      ? entryOf(id, experiments.get(id) as Experiment, state, each.startedAtUnixMs)
      : each,
  );
  changed();
}
function addPast(
  name: string,
  ago: number,
  state: RunState,
  change: Parameters<typeof experiment>[1] = {},
): void {
  lastId += 1;
  const id = `past-run-${String(lastId)}`;
  const asked = experiment(name, change);
  const at = 1_772_000_000_000 - ago * 60_000;
  if (state === 'finished' || state === 'cancelled')
    results.set(id, makeResult(asked, at, state === 'cancelled' ? 0.4 : 1));
  experiments.set(id, asked);
  entries.push(entryOf(id, asked, state, at));
}
if (mode !== 'first') {
  addPast('Random reads through ext2', 12, 'finished');
  addPast('512 in 4096', 40, 'finished', {
    alignment: { offsetBytes: 1536, lengthBytes: 0, memoryBytes: 0 },
  });
  addPast('Mixed load, night', 130, 'finished', { rw: 'randrw', ioEngine: 'libaio' });
  addPast('Sequential writes', 700, 'cancelled', {
    rw: 'write',
    blockSizes: [{ sizeBytes: 1048576, percent: 100 }],
    ioDepth: 8,
  });
  addPast('Power went', 1500, 'unfinished', { rw: 'randwrite' });
  addPast('Engine killed', 1600, 'aborted', { ioEngine: 'threads' });
  for (let index = 0; index < 40; index += 1)
    addPast(`Nightly ${String(index + 1)}`, 3000 + index * 1440, 'finished', {
      ioDepth: 2 ** (index % 7),
    });
  addPast('On a loop device', 70_000, 'finished', { rw: 'randrw' });
  onLoop(`past-run-${String(lastId)}`);
}
/** Makes a past run one on a loop device, with the whole trace. */
function onLoop(id: string): void {
  const result = results.get(id) as RunResult;
  const { target } = result.experiment;
  const options = { ...target.device.options, sectorBytes: '512', directIo: true };
  const asked = {
    ...result.experiment,
    target: { ...target, device: { id: 'loop', options } },
    trace: { level: 'full' as const, rowsMax: 1_000_000 },
  };
  results.set(id, { ...result, experiment: asked });
}

async function* watchRun(id: string): AsyncGenerator<RunEvent> {
  const asked = experiments.get(id) as Experiment;
  const job = asked.jobs[0];
  if (job === undefined) return;
  const seconds = job.timeBased ? job.runtimeSeconds : 4;
  const random = makeRandom(5);
  const mix = job.rw.endsWith('rw') ? 0.7 : job.rw.endsWith('read') ? 1 : 0;
  const begin = performance.now();
  let latest: SeriesPoint | null = null;
  for (let index = 0; index < seconds * 10 && !cancelled.has(id); index += 1) {
    latest = pointAt(index, random, mix, job.blockSizes[0]?.sizeBytes ?? 4096);
    yield { kind: 'series', points: [latest] };
    for (let part = 0; part < 2; part += 1) {
      const elapsedNs = (performance.now() - begin) * 1e6;
      yield {
        kind: 'progress',
        progress: {
          phase: 'running', phaseText: 'Reading at random', elapsedNs, fraction: Math.min(1, elapsedNs / seconds / 1e9),
          remainingNs: Math.max(0, seconds * 1e9 - elapsedNs), doneIos: Math.round(elapsedNs * 1.04e-4), doneBytes: Math.round(elapsedNs * 0.43),
          inFlight: 31, depth: job.ioDepth, latest, engineUserPercent: 31, engineSystemPercent: 24,
        },
      }; // prettier-ignore
      await sleep(50);
    }
  }
  const share = Math.min(1, (performance.now() - begin) / 1000 / seconds);
  results.set(id, makeResult(asked, Date.now(), cancelled.has(id) ? share : 1));
  const state = cancelled.has(id) ? 'cancelled' : 'finished';
  setState(id, state);
  yield { kind: 'ended', state, failure: null };
}

/** The helper is there, except where the address wants a bare machine. */
const withHelper = {
  ...hostFacts,
  facts: hostFacts.facts.map((fact) =>
    fact.id === 'helper'
      ? { ...fact, state: 'yes' as const, text: 'Installed, version 1.', remedy: null }
      : fact,
  ),
};

const client = {
  host: {
    facts: async () => { await gate(); return mode === 'bare' ? hostFacts : withHelper; },
    catalogue: async () => { if (mode === 'slow') await gate(); return { ...catalogue, revisions: revisionList() }; },
  },
  images: fakeImages(mode, gate),
  ...fakeGrounds(mode, gate),
  experiments: {
    check: async (asked: Experiment) => { await gate(); return checkOf(asked); },
    parse: async ({ text }: { text: string }) =>
      text.includes('bogus')
        ? { experiment: null, notes: [], problems: [{ code: 'job.unknown-key', message: 'bogus is no key of a job', hint: 'Did you mean bs?', line: text.split('\n').findIndex((line) => line.includes('bogus')) + 1 }] }
        : { experiment: experiment('From text'), notes: [], problems: [] },
    format: async ({ experiment: asked, kind }: { experiment: Experiment; kind: string }) => ({
      notes: kind === 'fio' ? ['The file system and the kernel revision have no key in a fio job.'] : [],
      text: kind === 'fio'
        ? `[global]\nioengine=io_uring\niodepth=32\ndirect=1\nbs=4k\n\n[${asked.jobs[0]?.name ?? ''}]\nfilename=/data.bin\nsize=512m\nrw=randread\nruntime=5\ntime_based=1\n`
        : `name: ${asked.name}\ntarget:\n  device: image-file\n  path: first-light.img\n  fileSystem: ext2\n  file: /data.bin\njobs:\n  - name: job\n    rw: randread\n    bs: 4k\n    ioengine: io_uring\n    iodepth: 32\n    runtime: 5s\nrevision: "6.4"\n`,
    }),
    compare: async (asked: Parameters<typeof compareInPage>[0]) => { await gateAnswer(); return compareInPage(asked); },
    explain: async (asked: Parameters<typeof explainInPage>[0]) => { await gateAnswer(); return explainInPage(asked); },
  },
  gallery: {
    list: async () => { await gateAnswer(); return exhibitList(); },
    run: async ({ id }: { id: string }) => { await gateAnswer(); return exhibitRun(id); },
  },
  lessons: {
    list: async () => { await gate(); return lessonList(); },
    start: async ({ id, seed }: { id: string; seed: number }) => { await gateAnswer(); return lessonStart(id, seed); },
    answer: async ({ id, seed, answer }: { id: string; seed: number; answer: Record<string, string> }) => {
      await gateAnswer();
      return lessonAnswer(id, seed, answer);
    },
    image: async () => { await gate(); throw refusal(); },
  },
  verify: { run: async ({ path }: { path: string }) => verifyInSteps(path) },
  runs: {
    start: async (asked: Experiment) => {
      await gate();
      lastId += 1;
      const runId = `fake-run-${String(lastId)}`;
      experiments.set(runId, asked);
      entries.push(entryOf(runId, asked, 'running', Date.now()));
      changed();
      return { runId };
    },
    watch: async ({ runId }: { runId: string }) => watchRun(runId),
    trace: async (asked: Parameters<typeof loopTrace>[0]) => { await gate(); return loopTrace(asked); },
    cancel: async ({ runId }: { runId: string }) => { cancelled.add(runId); return { acknowledged: true }; },
    list: async () => { await gate(); return entries; },
    watchList: async () =>
      (async function* () {
        for (;;) {
          await new Promise<void>((resolve) => listeners.push(resolve));
          yield [...entries];
        }
      })(),
    get: async ({ runId }: { runId: string }) => {
      const found = results.get(runId);
      if (!found) throw new HostError({ code: 'run.no-result', message: 'This run has no result' });
      return found;
    },
    rename: async ({ runId, name }: { runId: string; name: string }) => {
      entries = entries.map((each) => (each.id === runId ? { ...each, name } : each));
      return entries.find((each) => each.id === runId);
    },
    remove: async ({ runId }: { runId: string }) => {
      const found = entries.find((each) => each.id === runId);
      if (found) removed.set(runId, found);
      entries = entries.filter((each) => each.id !== runId);
      return { removed: true };
    },
    restore: async ({ runId }: { runId: string }) => {
      const found = removed.get(runId) as RunListEntry;
      entries.push(found);
      return found;
    },
  },
}; // prettier-ignore

export function openConnection(): Connection {
  const rows = mode === 'million' ? 1_000_000 : 60_000;
  return {
    client: client as unknown as LabClient,
    onState(listener: (state: ConnectionState) => void) {
      listener('connecting');
      const timers = [setTimeout(listener, 30, 'open')];
      if (mode === 'lost') timers.push(setTimeout(listener, 700, 'lost'));
      return () => timers.forEach(clearTimeout);
    },
    fetchBulk: async (path) =>
      path.includes('/export')
        ? new Response('{}', { headers: { 'content-type': 'application/json' } })
        : new Response(
            encodeRequestColumns(requestColumns(rows, 5, path.includes('past-run-3') ? 0.7 : 1)),
          ),
    pathOfFile: () => null,
    openImage: null,
    openExperiment: () => Promise.resolve(null),
    outside: null,
  };
}
