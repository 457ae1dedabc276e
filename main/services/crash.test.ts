// SPDX-License-Identifier: GPL-2.0-only
/**
 * Killed at random points: the host process, and the engine process. No result may be lost or half, nothing may stay behind. Also two
 * labs at once on one data folder, and what a restart does. Every kill prints its seed only where something is wrong.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  buildEntries,
  buildScriptedEngine,
  type Built,
  type BuiltEngine,
} from '../../test/support/engine/build.ts';
import { experimentOf, requestColumns } from '../../test/support/engine/samples.ts';
import { forkEngine } from '../host/spawn.ts';
import { makeServices, pathsOf, type Services } from './index.ts';
import { ResultFiles } from './result-file.ts';

const KILLS = 40;
const ROWS = 20_000;
const folder = mkdtempSync(join(tmpdir(), 'diolab-crash-'));
let engine: BuiltEngine;
let labProcess: Built;
beforeAll(async () => {
  engine = await buildScriptedEngine();
  labProcess = await buildEntries({ 'lab-process': 'test/support/engine/lab-process.ts' });
}, 120_000);
afterAll(() => {
  engine.dispose();
  labProcess.dispose();
  rmSync(folder, { recursive: true, force: true });
});

interface Line {
  readonly enginePid?: number;
  readonly ready?: boolean;
  readonly started?: string;
  readonly ended?: string;
  readonly state?: string;
  readonly listed?: number;
}
interface Lab {
  readonly child: ChildProcess;
  readonly lines: Line[];
  readonly gone: Promise<number | null>;
  next(isIt: (line: Line) => boolean): Promise<Line>;
}

function startLab(data: string, name: string, count: number): Lab {
  const entry = join(labProcess.folder, 'lab-process.js');
  const child = spawn(process.execPath, [entry, data, engine.entryPath, name, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Line[] = [];
  const waiters = new Set<() => void>();
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((text) => JSON.parse(text) as Line));
    for (const wake of waiters) wake();
  });
  const gone = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      for (const wake of waiters) wake();
      resolve(code);
    });
  });
  return {
    child,
    lines,
    gone,
    next: (isIt) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find(isIt);
          if (found === undefined && child.exitCode === null) return;
          waiters.delete(look);
          if (found === undefined) reject(new Error('the lab ended before it said so'));
          else resolve(found);
        };
        waiters.add(look);
        look();
      }),
  };
}

const openLab = (data: string): Promise<Services> =>
  makeServices({
    face: 'terminal',
    version: '0.0.0',
    paths: pathsOf({ DIOLAB_DATA: data }),
    engineEntryPath: engine.entryPath,
  });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function waitUntilGone(pid: number): Promise<void> {
  for (let waited = 0; existsSync(`/proc/${String(pid)}/exe`); waited += 20) {
    if (waited > 10_000) throw new Error(`engine process ${String(pid)} outlived its host`);
    await pause(20);
  }
}

describe('the host process, killed by SIGKILL', () => {
  it(`${String(KILLS)} times at random points: no lost and no half result`, async () => {
    const data = join(folder, 'host-kills');
    const expected = requestColumns(ROWS);
    let finished = 0;
    let unfinished = 0;
    const known = new Map<string, string>();
    for (let kill = 0; kill < KILLS; kill++) {
      const lab = startLab(data, `rows ${String(ROWS)}`, 0);
      await lab.next((line) => line.started !== undefined);
      const afterMs = Math.random() * 500;
      await pause(afterMs);
      lab.child.kill('SIGKILL');
      await lab.gone;
      for (const { enginePid } of lab.lines) {
        if (enginePid !== undefined) await waitUntilGone(enginePid);
      }
      for (const { ended, state } of lab.lines) {
        if (ended !== undefined) known.set(ended, state ?? '');
      }
    }
    const services = await openLab(data);
    const files = new ResultFiles(folder);
    try {
      const list = await services.runs.list();
      for (const { id, state } of list) {
        expect(['finished', 'unfinished'], id).toContain(state);
        if (state === 'finished') {
          finished++;
          expect((await services.runs.get(id)).traceRows, id).toBe(ROWS);
          const path = join(services.paths.runs, id, 'result.duckdb');
          const rows = await files.requests(path, -Infinity, Infinity);
          expect(rows.rowCount, id).toBe(ROWS);
          expect(
            Buffer.compare(Buffer.from(rows.atNs.buffer), Buffer.from(expected.atNs.buffer)),
            id,
          ).toBe(0);
        } else {
          unfinished++;
          await expect(services.runs.get(id)).rejects.toMatchObject({ code: 'run.no-result' });
        }
      }
      // What was said to have ended is there.
      for (const [id, state] of known)
        expect(list.find((entry) => entry.id === id)?.state, id).toBe(state);
    } finally {
      await files.close();
      await services.close();
    }
    expect(finished + unfinished).toBeGreaterThanOrEqual(KILLS);
    expect(unfinished).toBeGreaterThan(0);
  }, 240_000);
});

describe('the engine process, killed by SIGKILL', () => {
  it(`${String(KILLS)} times at random points: aborted with the signal, or whole`, async () => {
    let pid: number | null = null;
    const services = await makeServices({
      face: 'terminal',
      version: '0.0.0',
      paths: pathsOf({ DIOLAB_DATA: join(folder, 'engine-kills') }),
      engineEntryPath: engine.entryPath,
      spawn: (entry) => {
        const child = forkEngine(entry);
        pid = child.pid;
        return child;
      },
    });
    const states = new Map<string, number>();
    for (let kill = 0; kill < KILLS; kill++) {
      pid = null;
      const { runId } = await services.runs.start(experimentOf(`rows ${String(ROWS)}`));
      while (pid === null) await pause(1);
      await pause(Math.random() * 120);
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ESRCH'); // it was done before
      }
      for await (const event of services.runs.watch(runId)) {
        if (event.kind !== 'ended') continue;
        expect(['finished', 'aborted']).toContain(event.state);
        states.set(event.state, (states.get(event.state) ?? 0) + 1);
        if (event.state === 'aborted') {
          expect(event.failure).toMatchObject({ code: 'engine.died', data: { signal: 'SIGKILL' } });
          expect(readdirSync(join(services.paths.runs, runId)).sort()).toEqual([
            'done.json',
            'intent.json',
          ]);
        } else expect((await services.runs.get(runId)).traceRows).toBe(ROWS);
      }
    }
    await services.close();
    expect(states.get('aborted') ?? 0).toBeGreaterThan(0);
  }, 120_000);
});

describe('one data folder', () => {
  it('serves two labs at once: both keep all their results, and see each other', async () => {
    const data = join(folder, 'two');
    const services = await openLab(data);
    const watching = new AbortController();
    const seenElsewhere = new Set<string>();
    const watcher = (async () => {
      for await (const list of services.runs.watchList(watching.signal)) {
        for (const { id } of list) seenElsewhere.add(id);
      }
    })();
    const labs = [startLab(data, 'rows 3000', 5), startLab(data, 'rows 3000', 5)];
    for (let made = 0; made < 5; made++) {
      const { runId } = await services.runs.start(experimentOf('rows 3000'));
      for await (const event of services.runs.watch(runId)) {
        if (event.kind === 'ended') expect(event.state).toBe('finished');
      }
    }
    expect(await Promise.all(labs.map(({ gone }) => gone))).toEqual([0, 0]);
    const list = await services.runs.list();
    expect(list.length).toBe(15);
    for (const { id, state } of list) {
      expect(state).toBe('finished');
      expect((await services.runs.get(id)).traceRows).toBe(3000);
    }
    for (let waited = 0; seenElsewhere.size < 15 && waited < 5000; waited += 50) await pause(50);
    expect(seenElsewhere.size).toBe(15);
    watching.abort();
    await watcher;
    await services.close();
  }, 60_000);

  it('shows the run of another lab as running, and refuses to cancel or remove it', async () => {
    const data = join(folder, 'elsewhere');
    const other = startLab(data, 'until stopped', 1);
    const { started = '' } = await other.next((line) => line.started !== undefined);
    const services = await openLab(data);
    expect((await services.runs.list()).map(({ id, state }) => [id, state])).toEqual([
      [started, 'running'],
    ]);
    await expect(services.runs.cancel(started)).rejects.toMatchObject({ code: 'run.elsewhere' });
    await expect(services.runs.remove(started)).rejects.toMatchObject({ code: 'run.not-ended' });
    const ended = (async () => {
      for await (const event of services.runs.watch(started)) return event;
      return null;
    })();
    other.child.kill('SIGKILL');
    expect(await ended).toEqual({ kind: 'ended', state: 'unfinished', failure: null });
    await other.gone;
    expect(await services.runs.remove(started)).toEqual({ removed: true });
    await services.close();
  }, 60_000);

  it('purges removed runs at the next start of another process, not before', async () => {
    const data = join(folder, 'purge');
    const maker = startLab(data, 'rows 1', 2);
    expect(await maker.gone).toBe(0);
    const first = await openLab(data);
    const [one, two] = (await first.runs.list()).map(({ id }) => id) as [string, string];
    await first.runs.remove(one);
    await first.close();
    // The process that removed it (this one) still lives: it may want it back.
    const second = await openLab(data);
    expect(existsSync(join(second.paths.runs, one))).toBe(true);
    expect((await second.runs.list()).map(({ id }) => id)).toEqual([two]);
    expect((await second.runs.restore(one)).state).toBe('finished');
    await second.close();
    // Mark it as removed by a process that is gone.
    const { writeFileSync } = await import('node:fs');
    const removedBy = { pid: 1, startTicks: -1, bootId: 'an older boot' };
    writeFileSync(
      join(data, 'runs', one, 'label.json'),
      JSON.stringify({ version: 1, name: null, removedBy }),
    );
    const third = await openLab(data);
    expect(existsSync(join(third.paths.runs, one))).toBe(false);
    expect((await third.runs.list()).map(({ id }) => id)).toEqual([two]);
    await third.close();
  }, 60_000);
});
