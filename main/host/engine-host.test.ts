// SPDX-License-Identifier: GPL-2.0-only
/** The engine process and its lifecycle, with real processes and threads and a scripted lab. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RunProgress } from '../../engine/lab/result.ts';
import { buildScriptedEngine, type BuiltEngine } from '../../test/support/engine/build.ts';
import { experimentOf, requestColumns, traceColumns } from '../../test/support/engine/samples.ts';
import { EngineHost, type RunListener } from './engine-host.ts';
import { ROWS_PER_BATCH, type RowBatch } from './messages.ts';
import { forkEngine } from './spawn.ts';

let engine: BuiltEngine;
let host: EngineHost;
const folder = mkdtempSync(join(tmpdir(), 'diolab-host-'));
beforeAll(async () => {
  engine = await buildScriptedEngine();
  host = new EngineHost({ spawn: forkEngine, entryPath: engine.entryPath });
}, 60_000);
afterEach(async () => {
  await host.close();
});
afterAll(() => {
  engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

class Recorder implements RunListener {
  readonly progress: RunProgress[] = [];
  readonly batches: RowBatch[] = [];
  onFirst: () => void = () => undefined;
  readonly first = new Promise<void>((resolve) => {
    this.onFirst = resolve;
  });
  onProgress(progress: RunProgress): void {
    this.progress.push(progress);
    this.onFirst();
  }
  onBatch(batch: RowBatch): Promise<void> {
    this.batches.push(batch);
    return Promise.resolve();
  }
}

describe('a run in its own process', () => {
  it('gives the result and all columns in batches, in order', async () => {
    const rows = ROWS_PER_BATCH + 17;
    const recorder = new Recorder();
    const run = host.startRun(experimentOf(`rows ${String(rows)}`), recorder);
    expect(run.pid).not.toBe(process.pid);
    const end = await run.ended;
    expect(end.kind).toBe('ended');
    expect(recorder.batches.map((b) => [b.table, b.fromRow, b.columns.rowCount])).toEqual([
      ['requests', 0, ROWS_PER_BATCH],
      ['requests', ROWS_PER_BATCH, 17],
      ['trace', 0, ROWS_PER_BATCH],
      ['trace', ROWS_PER_BATCH, 17],
    ]);
    const [, requests, , trace] = recorder.batches;
    const expected = requestColumns(rows);
    expect(requests?.columns).toEqual({
      ...expected,
      rowCount: 17,
      ...Object.fromEntries(
        Object.entries(expected)
          .filter(([, value]) => ArrayBuffer.isView(value))
          .map(([name, value]) => [name, (value as Float64Array).slice(ROWS_PER_BATCH)]),
      ),
    });
    const expectedTrace = traceColumns(rows);
    expect(trace?.table === 'trace' && trace.columns.values).toEqual(
      expectedTrace.values.slice(6 * ROWS_PER_BATCH),
    );
    expect(recorder.progress.length).toBeGreaterThan(0);
  });

  it('passes a refusal whole', async () => {
    const end = await host.startRun(experimentOf('refuse'), new Recorder()).ended;
    expect(end).toEqual({
      kind: 'failed',
      error: {
        code: 'image.not-regular',
        message: 'not a regular file',
        where: '/dev/null',
        hint: 'Choose a file.',
        exitCode: 65,
        data: { type: 'character device' },
      },
    });
  });

  it('tells a broken invariant with its values', async () => {
    const end = await host.startRun(experimentOf('broken'), new Recorder()).ended;
    expect(end.kind).toBe('failed');
    expect(end).toMatchObject({ error: { code: 'engine.invariant', data: { two: 2 } } });
  });

  it.each([
    ['kill', 'SIGKILL'],
    ['exit 0', 'SIGSEGV'],
    ['exit 1', 'SIGABRT'],
  ])('outlives the death of the process: %s', async (name, signal) => {
    const end = await host.startRun(experimentOf(name), new Recorder()).ended;
    expect(end.kind).toBe('died');
    expect(end).toMatchObject({ error: { code: 'engine.died', data: { signal } } });
    const next = await host.startRun(experimentOf('rows 1'), new Recorder()).ended;
    expect(next.kind).toBe('ended');
  });

  it('stops on order and is acknowledged', async () => {
    const recorder = new Recorder();
    const run = host.startRun(experimentOf('until stopped'), recorder);
    await recorder.first;
    expect(await run.stop()).toBe(true);
    const end = await run.ended;
    expect(end).toMatchObject({ kind: 'ended', result: { state: 'cancelled' } });
    expect(await run.stop()).toBe(false);
  });

  it('ends itself where the thread does not drain', async () => {
    const recorder = new Recorder();
    const run = host.startRun(experimentOf('deaf'), recorder);
    await recorder.first;
    expect(await run.stop()).toBe(true);
    const end = await run.ended;
    expect(end).toMatchObject({ kind: 'died', error: { code: 'engine.watchdog' } });
  }, 20_000);

  it('fails the run where its rows cannot be kept', async () => {
    const run = host.startRun(experimentOf('rows 10'), {
      onProgress: () => undefined,
      onBatch: () => Promise.reject(new Error('disk full')),
    });
    const end = await run.ended;
    expect(end).toMatchObject({ kind: 'failed', error: { message: 'Error: disk full' } });
  });

  it('says where the engine is not built', () => {
    const missing = new EngineHost({ spawn: forkEngine, entryPath: join(folder, 'none.js') });
    expect(() => missing.startRun(experimentOf('x'), new Recorder())).toThrow('not built');
  });
});

describe('the tools process', () => {
  it('answers, and passes refusals whole', async () => {
    const path = join(folder, 'image');
    writeFileSync(path, 'x'.repeat(1000));
    expect((await host.call('probe', { path })).sizeBytes).toBe(1000);
    expect(await host.call('facts', { folder: '/x' })).toMatchObject([{ text: 'asked of /x' }]);
    await expect(
      host.call('format', { path, fileSystemId: 'full', options: {} }),
    ).rejects.toMatchObject({ code: 'image.no-space', where: path, exitCode: 73 });
  });

  it('streams content both ways, slower than it comes', async () => {
    const path = join(folder, 'stream');
    const content = Buffer.alloc(1_500_000, 'abcdefg');
    let at = 0;
    await host.writeFile({ path, file: '/f' }, () => {
      const piece = at >= content.length ? null : content.subarray(at, at + 100_000);
      at += 100_000;
      return Promise.resolve(piece);
    });
    expect(readFileSync(path).equals(content)).toBe(true);
    const pieces: Uint8Array[] = [];
    await host.readFile({ path, file: '/f' }, async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve));
      pieces.push(bytes);
    });
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
    // What a reader that gave up left behind does not disturb the next call.
    await expect(
      host.readFile({ path, file: '/f' }, () => Promise.reject(new Error('closed pipe'))),
    ).rejects.toThrow('closed pipe');
    await expect(
      host.writeFile({ path, file: '/f' }, () => Promise.reject(new Error('source gone'))),
    ).rejects.toThrow('source gone');
    expect((await host.call('list', { path, folder: '/' })).length).toBe(1);
  });

  it('comes back after it died', async () => {
    const path = join(folder, 'image');
    writeFileSync(path, 'y'.repeat(5_000_000)); // more than its credit, so that it is not done
    let pid: number | null = null;
    const own = new EngineHost({
      entryPath: engine.entryPath,
      spawn: (entry) => {
        const child = forkEngine(entry);
        pid = child.pid;
        return child;
      },
    });
    await own.call('probe', { path });
    const dying = own.readFile({ path, file: '/f' }, () => {
      process.kill(pid as unknown as number, 'SIGKILL');
      return new Promise(() => undefined);
    });
    await expect(dying).rejects.toMatchObject({ code: 'engine.died', data: { signal: 'SIGKILL' } });
    expect((await own.call('probe', { path })).sizeBytes).toBe(5_000_000);
    await own.close();
  });
});
