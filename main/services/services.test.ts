// SPDX-License-Identifier: GPL-2.0-only
/** The contract over the services, with real engine processes and a scripted lab: in process, over a MessagePort, over a WebSocket. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Experiment } from '../../engine/lab/experiment.ts';
import { makePage, openTestLab, type TestLab } from '../../test/support/engine/lab.ts';
import { experimentOf, jobOf, requestColumns } from '../../test/support/engine/samples.ts';
import {
  bulkExportPath,
  bulkRequestsPath,
  decodeRequestColumns,
  EXPORT_FORMATS,
} from '../contract/bulk.ts';
import {
  connectMessagePort,
  connectWebSocket,
  hostErrorOf,
  tokenFromFragment,
  type LabClient,
  type LabConnection,
  type SocketLike,
} from '../contract/client.ts';
import type { HostErrorData, RunEvent, RunListEntry } from '../contract/types.ts';
import { startWebHost, type WebHost } from '../headless/server.ts';
import { clientInProcess, servePorts } from './router.ts';

let lab: TestLab;
let host: WebHost;
const faults: string[] = [];
const connections: LabConnection[] = [];
const clients = new Map<string, LabClient>();

beforeAll(async () => {
  lab = await openTestLab();
  host = await startWebHost({
    services: lab.services,
    version: '0.0.0',
    pageFolder: makePage(lab.folder),
    port: 0,
    log: (text) => faults.push(text),
  });
  clients.set('in process', clientInProcess(lab.services));
  const { port1, port2 } = new MessageChannel();
  servePorts(lab.services, (text) => faults.push(text))(port2);
  const overPort = connectMessagePort({ port: port1 });
  connections.push(overPort);
  clients.set('message port', overPort.client);
  const token = tokenFromFragment(new URL(host.newLink()).hash) ?? '';
  const overSocket = await connectWebSocket({
    socket: new WebSocket(`${host.origin.replace('http', 'ws')}/rpc`, {
      origin: host.origin,
    }) as unknown as SocketLike,
    token,
    origin: host.origin,
  });
  connections.push(overSocket);
  clients.set('web socket', overSocket.client);
}, 60_000);

afterAll(async () => {
  for (const connection of connections) connection.close();
  await host.close();
  await lab.dispose();
  expect(faults).toEqual([]);
});

const clientOf = (face: string): LabClient => clients.get(face) as LabClient;
async function refusalOf(call: Promise<unknown>): Promise<HostErrorData> {
  try {
    await call;
  } catch (error) {
    return hostErrorOf(error);
  }
  throw new Error('it was not refused');
}
async function eventsOf(client: LabClient, runId: string): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of await client.runs.watch({ runId })) events.push(event);
  return events;
}
async function runToEnd(
  client: LabClient,
  experiment: Experiment,
): Promise<{ id: string; events: RunEvent[] }> {
  const { runId } = await client.runs.start(experiment);
  return { id: runId, events: await eventsOf(client, runId) };
}
function onImage(
  name: string,
  path: string,
  changes: Partial<Experiment['target']> = {},
): Experiment {
  const base = experimentOf(name);
  const device = { id: 'image-file', options: { path } };
  return { ...base, target: { ...base.target, device, ...changes } };
}

describe.each(['in process', 'message port', 'web socket'])('the contract, %s', (face) => {
  it('says what there is', async () => {
    const client = clientOf(face);
    const catalogue = await client.host.catalogue();
    expect(catalogue.devices.map(({ id }) => id)).toContain('image-file');
    expect(catalogue.executors.map(({ id }) => id).sort()).toEqual([
      'io_uring',
      'libaio',
      'sync',
      'threads',
    ]);
    expect(catalogue.fileSystems.map(({ id }) => id)).toContain('ext2');
    expect(catalogue.revisions.map(({ id }) => id)).toContain('6.4');
    expect(catalogue.presets.length).toBeGreaterThan(0);
    const facts = await client.host.facts({ folder: '/somewhere' });
    expect(facts.facts).toMatchObject([{ text: 'asked of /somewhere' }]);
    expect(facts.dataFolder).toBe(lab.paths.data);
  });

  it('runs, tells progress, and gives the result and its rows', async () => {
    const client = clientOf(face);
    const { id, events } = await runToEnd(client, experimentOf('rows 5000'));
    expect(events.at(-1)).toEqual({ kind: 'ended', state: 'finished', failure: null });
    expect(events.some(({ kind }) => kind === 'progress')).toBe(true);
    const result = await client.runs.get({ runId: id });
    expect(result.experiment.name).toBe('rows 5000');
    expect(result.traceRows).toBe(5000);
    const entry = (await client.runs.list()).find((one) => one.id === id);
    expect(entry).toMatchObject({ state: 'finished', summary: { iops: 200_000, p99Ns: 8900 } });
    // A later watcher is told the end at once.
    expect(await eventsOf(client, id)).toEqual([
      { kind: 'ended', state: 'finished', failure: null },
    ]);
  });

  it('passes a refusal whole, and names bad input', async () => {
    const client = clientOf(face);
    expect(await refusalOf(client.images.probe({ path: '/nowhere/at/all' }))).toMatchObject({
      code: 'image.missing',
      where: '/nowhere/at/all',
      exitCode: 66,
    });
    const bad = { ...experimentOf('x'), jobs: [{ ...jobOf(), ioDepth: 0 }] };
    const refused = await refusalOf(client.runs.start(bad));
    expect(refused).toMatchObject({ code: 'input.refused', exitCode: 65 });
    expect(refused.message).toContain('ioDepth');
    const unknownKey = { ...experimentOf('x'), surprise: 1 } as Experiment;
    expect((await refusalOf(client.runs.start(unknownKey))).message).toContain('surprise');
    expect(await refusalOf(client.runs.get({ runId: '00000000-none' }))).toMatchObject({
      code: 'run.unknown',
    });
    expect(await refusalOf(eventsOf(client, '00000000-none'))).toMatchObject({
      code: 'run.unknown',
    });
  });

  it('cancels: acknowledged, drained, kept', async () => {
    const client = clientOf(face);
    const { runId } = await client.runs.start(experimentOf('until stopped'));
    const states: string[] = [];
    for await (const event of await client.runs.watch({ runId })) {
      if (event.kind === 'progress' && event.progress.phase === 'running' && states.length === 0) {
        states.push('asked');
        expect(await client.runs.cancel({ runId })).toEqual({ acknowledged: true });
      }
      if (event.kind === 'ended') states.push(event.state);
    }
    expect(states).toEqual(['asked', 'cancelled']);
    expect((await client.runs.get({ runId })).state).toBe('cancelled');
    expect(await client.runs.cancel({ runId })).toEqual({ acknowledged: false });
  });

  it('gives up a stream when its watcher goes', async () => {
    const client = clientOf(face);
    const { runId } = await client.runs.start(experimentOf('until stopped'));
    const stop = new AbortController();
    const seen: string[] = [];
    await (async () => {
      for await (const event of await client.runs.watch({ runId }, { signal: stop.signal })) {
        seen.push(event.kind);
        stop.abort();
      }
    })().catch(() => undefined);
    expect(seen.length).toBeGreaterThan(0);
    await client.runs.cancel({ runId });
    expect((await eventsOf(client, runId)).at(-1)).toMatchObject({
      kind: 'ended',
      state: 'cancelled',
    });
  });

  it('tells when the list changes', async () => {
    const client = clientOf(face);
    const stop = new AbortController();
    const list = await client.runs.watchList(undefined, { signal: stop.signal });
    const first = await list.next();
    const { id } = await runToEnd(client, experimentOf('rows 1'));
    await client.runs.rename({ runId: id, name: `renamed ${face}` });
    for (;;) {
      const { value } = await list.next();
      if (
        (value as RunListEntry[] | undefined)?.some((entry) => entry.name === `renamed ${face}`) ===
        true
      )
        break;
    }
    stop.abort();
    expect(first.done).toBe(false);
  });
});

describe('runs', () => {
  it('are marked aborted when the engine process dies, with how it died', async () => {
    const client = clientOf('in process');
    const { id, events } = await runToEnd(client, experimentOf('kill'));
    expect(events.at(-1)).toMatchObject({
      kind: 'ended',
      state: 'aborted',
      failure: { code: 'engine.died', data: { signal: 'SIGKILL' } },
    });
    expect(await refusalOf(client.runs.get({ runId: id }))).toMatchObject({
      code: 'run.no-result',
      data: { state: 'aborted' },
    });
    expect((await client.runs.list()).find((one) => one.id === id)?.state).toBe('aborted');
    expect(readdirSync(join(lab.paths.runs, id)).sort()).toEqual(['done.json', 'intent.json']);
  });

  it('fail with the refusal of the engine', async () => {
    const client = clientOf('in process');
    const { id, events } = await runToEnd(client, experimentOf('refuse'));
    expect(events.at(-1)).toMatchObject({
      state: 'failed',
      failure: { code: 'image.not-regular' },
    });
    expect(await refusalOf(client.runs.get({ runId: id }))).toMatchObject({ exitCode: 65 });
  });

  it('wait for each other, and say so', async () => {
    const client = clientOf('in process');
    const first = await client.runs.start(experimentOf('until stopped'));
    const second = await client.runs.start(experimentOf('rows 1'));
    const third = await client.runs.start(experimentOf('rows 2'));
    const [waiting] = await (async () => {
      for await (const event of await client.runs.watch(second)) return [event];
      return [];
    })();
    expect(waiting).toMatchObject({
      progress: { phase: 'preparing', phaseText: 'Waiting for the run before it' },
    });
    const states = new Map((await client.runs.list()).map((entry) => [entry.id, entry.state]));
    expect([second, third].map(({ runId }) => states.get(runId))).toEqual([
      'preparing',
      'preparing',
    ]);
    // A waiting run is cancelled without having begun.
    expect(await client.runs.cancel(third)).toEqual({ acknowledged: true });
    await client.runs.cancel(first);
    expect((await eventsOf(client, second.runId)).at(-1)).toMatchObject({ state: 'finished' });
    expect((await eventsOf(client, third.runId)).at(-1)).toEqual({
      kind: 'ended',
      state: 'cancelled',
      failure: null,
    });
    expect(await refusalOf(client.runs.get(third))).toMatchObject({ code: 'run.no-result' });
  });

  it('can be removed and restored', async () => {
    const client = clientOf('in process');
    const { id } = await runToEnd(client, experimentOf('rows 1'));
    expect(await client.runs.remove({ runId: id })).toEqual({ removed: true });
    expect((await client.runs.list()).some((entry) => entry.id === id)).toBe(false);
    expect(await client.runs.restore({ runId: id })).toMatchObject({ id, state: 'finished' });
    expect((await client.runs.list()).some((entry) => entry.id === id)).toBe(true);
    expect((await client.runs.get({ runId: id })).state).toBe('finished');
  });

  it('give bulk data in every format, with the session only', async () => {
    const client = clientOf('web socket');
    const { id } = await runToEnd(client, experimentOf('rows 2000'));
    const connection = connections.at(-1) as LabConnection;
    const columns = decodeRequestColumns(
      await (await connection.fetchBulk(bulkRequestsPath(id))).arrayBuffer(),
    );
    expect(columns).toEqual(requestColumns(2000));
    const part = await connection.fetchBulk(`${bulkRequestsPath(id)}?from=1000&to=3000`);
    expect(decodeRequestColumns(await part.arrayBuffer()).rowCount).toBe(3);
    const texts = new Map<string, string>();
    for (const format of EXPORT_FORMATS.filter((each) => each !== 'blkparse')) {
      const response = await connection.fetchBulk(bulkExportPath(id, format));
      expect(response.headers.get('content-disposition')).toContain(
        'attachment; filename="rows-2000.',
      );
      texts.set(format, await response.text());
    }
    expect((JSON.parse(texts.get('json') ?? '') as { state: string }).state).toBe('finished');
    expect(JSON.parse(texts.get('fio') ?? '')).toHaveProperty('jobs');
    expect(texts.get('csv')?.split('\n').slice(0, 2)).toEqual([
      'at_ns,latency_ns,sector,length_bytes,op,status_errno,job',
      '0.0,1000.0,0.0,4096,read,0,0',
    ]);
    expect(texts.get('parquet')?.startsWith('PAR1')).toBe(true);
    expect(texts.get('latency-log')?.split('\n')[2]).toBe('0, 1002, 1, 4096, 8192, 0');
    expect(texts.get('yaml')).toContain('rows 2000');
    // The scripted run has no rows of the block layer: told, and not an empty file.
    await expect(connection.fetchBulk(bulkExportPath(id, 'blkparse'))).rejects.toMatchObject({
      code: 'export.no-trace',
    });
    await expect(connection.fetchBulk('/bulk/runs/00000000-none/requests')).rejects.toMatchObject({
      code: 'run.unknown',
    });
    await expect(connection.fetchBulk(`${bulkRequestsPath(id)}?from=x`)).rejects.toMatchObject({
      code: 'bulk.bad-query',
    });
    await expect(connection.fetchBulk('/bulk/runs/../../x')).rejects.toMatchObject({
      code: 'bulk.refused',
    });
  });
});

describe('images and consent', () => {
  it('are made whole or not at all, and never over an existing file', async () => {
    const client = clientOf('in process');
    const made = await client.images.make({
      path: null, name: 'one.img', sizeBytes: 1024 * 1024, fileSystemId: 'ext2', options: {},
    }); // prettier-ignore
    expect(made).toMatchObject({ madeByLab: true, sizeBytes: 1024 * 1024, refusal: null });
    expect(readFileSync(made.path).subarray(0, 17).toString()).toBe('formatted as ext2');
    const again = {
      path: made.path,
      name: null,
      sizeBytes: 65536,
      fileSystemId: 'ext2',
      options: {},
    };
    expect(await refusalOf(client.images.make(again))).toMatchObject({
      code: 'image.exists',
      exitCode: 73,
    });
    expect(await refusalOf(client.images.make({ ...again, path: 'relative.img' }))).toMatchObject({
      code: 'image.bad-path',
    });
    expect(
      await refusalOf(client.images.make({ ...again, path: '/nowhere/at/all.img' })),
    ).toMatchObject({
      code: 'image.no-folder',
      message: '/nowhere/at/all.img cannot be made: /nowhere/at is not there',
      exitCode: 73,
    });
    const bad = { ...again, path: null, name: '../escape' };
    expect(await refusalOf(client.images.make(bad))).toMatchObject({ code: 'image.bad-name' });
    const unknown = { ...again, path: join(lab.folder, 'x.img'), fileSystemId: 'zfs' };
    expect(await refusalOf(client.images.make(unknown))).toMatchObject({
      code: 'file-system.unknown',
    });
    expect(existsSync(join(lab.folder, 'x.img'))).toBe(false);
    // Replacing is for those who were asked.
    const replaced = await lab.services.images.make({ ...again }, { replaceExisting: true });
    expect(replaced.sizeBytes).toBe(65536);
    const listed = await client.images.list();
    expect(listed.map(({ path }) => path)).toContain(made.path);
    expect(readdirSync(lab.paths.images).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('fill a raw image, so that reading it reads the disk', async () => {
    const made = await clientOf('in process').images.make({
      path: null, name: 'raw.img', sizeBytes: 3 * 1024 * 1024 + 512, fileSystemId: 'raw', options: {},
    }); // prettier-ignore
    expect(made.sizeBytes).toBe(3 * 1024 * 1024 + 512);
    expect(made.allocatedBytes).toBeGreaterThanOrEqual(made.sizeBytes);
  });

  it('refuse an image that does not fit, and leave nothing behind', async () => {
    const refused = await refusalOf(
      clientOf('in process').images.make({
        path: null, name: 'huge.img', sizeBytes: 2 ** 46, fileSystemId: 'raw', options: {},
      }), // prettier-ignore
    );
    expect(refused).toMatchObject({ code: 'host.no-space', exitCode: 73 });
    expect(readdirSync(lab.paths.images).filter((name) => /huge|tmp/.test(name))).toEqual([]);
  });

  it('an image of somebody else is only written with consent', async () => {
    const client = clientOf('in process');
    const path = join(lab.folder, 'foreign.img');
    writeFileSync(path, '');
    truncateSync(path, 1024 * 1024);
    const writing = { ...onImage('rows 1', path), jobs: [jobOf({ rw: 'randwrite' })] };
    const check = await client.experiments.check(writing);
    expect(check.needsConsent).toBe(true);
    expect(check.problems).toMatchObject([{ code: 'image.consent', where: path }]);
    expect(await refusalOf(client.runs.start(writing))).toMatchObject({
      code: 'image.consent',
      exitCode: 77,
    });
    const agreed = { ...writing, target: { ...writing.target, consentToWrite: true } };
    expect((await client.experiments.check(agreed)).problems).toEqual([]);
    expect((await runToEnd(client, agreed)).events.at(-1)).toMatchObject({ state: 'finished' });
    const reading = onImage('rows 1', path);
    expect((await client.experiments.check(reading)).needsConsent).toBe(false);
    expect((await runToEnd(client, reading)).events.at(-1)).toMatchObject({ state: 'finished' });
    await expect(
      lab.services.images.writeFile(path, '/f', (async function* () {})(), false),
    ).rejects.toMatchObject({ code: 'image.consent' });
    // Another file in the place of one of ours is not ours.
    const ours = await client.images.make({
      path: join(lab.folder, 'ours.img'), name: null, sizeBytes: 65536, fileSystemId: 'ext2', options: {},
    }); // prettier-ignore
    expect(await lab.services.images.isOurs(ours.path)).toBe(true);
    writeFileSync(`${ours.path}.new`, 'other');
    const { renameSync } = await import('node:fs');
    renameSync(`${ours.path}.new`, ours.path);
    expect(await lab.services.images.isOurs(ours.path)).toBe(false);
  });

  it('an experiment makes its own image once, and may write it', async () => {
    const client = clientOf('in process');
    const path = join(lab.folder, 'made-by-run.img');
    const target = {
      create: { sizeBytes: 1024 * 1024 },
      fileSystem: { id: 'ext2', options: {} },
      filePath: '/data',
    };
    const experiment = { ...onImage('rows 1', path, target), jobs: [jobOf({ rw: 'randwrite' })] };
    const check = await client.experiments.check(experiment);
    expect(check).toMatchObject({ problems: [], needsConsent: false });
    expect(check.summary[0]).toBe(`Makes the image ${path} of 1 MiB with ext2.`);
    expect((await runToEnd(client, experiment)).events.at(-1)).toMatchObject({ state: 'finished' });
    expect(readFileSync(path).subarray(0, 17).toString()).toBe('formatted as ext2');
    writeFileSync(path, 'content that the second run keeps', { flag: 'r+' });
    expect((await runToEnd(client, experiment)).events.at(-1)).toMatchObject({ state: 'finished' });
    expect(readFileSync(path).subarray(0, 33).toString()).toBe('content that the second run keeps');
  });

  it('names an image that is missing', async () => {
    const client = clientOf('in process');
    const missing = onImage('rows 1', join(lab.folder, 'none.img'));
    expect((await client.experiments.check(missing)).problems).toMatchObject([
      { code: 'image.missing' },
    ]);
    expect(await refusalOf(client.runs.start(missing))).toMatchObject({
      code: 'image.missing',
      exitCode: 66,
    });
  });

  it('browses folders, and what cannot be looked at is left out', async () => {
    const client = clientOf('in process');
    symlinkSync('/nowhere', join(lab.folder, 'dangling'));
    const found = await client.images.browse({ folder: lab.folder });
    expect(found.parent).not.toBeNull();
    expect(found.entries.map(({ name }) => name)).toContain('data');
    expect(found.entries.map(({ name }) => name)).not.toContain('dangling');
    expect(found.entries[0]?.kind).toBe('folder');
    expect(await refusalOf(client.images.browse({ folder: '/nowhere' }))).toMatchObject({
      code: 'host.not-found',
    });
  });
});

describe('experiments', () => {
  it('are judged before they run', async () => {
    const client = clientOf('in process');
    const { runId } = await client.runs.start(experimentOf('rows 10'));
    await eventsOf(client, runId);
    const check = await client.experiments.check({
      ...experimentOf('x'),
      jobs: [jobOf({ blockSizes: [{ sizeBytes: 4096, percent: 50 }, { sizeBytes: 100, percent: 50 }], ioSizeBytes: 819_200_000 })],
    }); // prettier-ignore
    expect(check.alignment.map(({ passes }) => passes)).toEqual([true, false]);
    expect(check.willWriteBytes).toBe(0);
    expect(check.estimateSeconds).toBeCloseTo(1);
    const timed = await client.experiments.check({
      ...experimentOf('x'),
      jobs: [jobOf({ rw: 'randwrite', timeBased: true, runtimeSeconds: 90 })],
    });
    expect(timed).toMatchObject({ estimateSeconds: 90, willWriteBytes: null });
    expect(timed.summary.at(-1)).toBe('It takes 1 min 30 s, as its runtime says.');
  });

  it('go to text and back', async () => {
    const client = clientOf('web socket');
    const { text } = await client.experiments.format({
      experiment: experimentOf('round trip'),
      kind: 'yaml',
    });
    const parsed = await client.experiments.parse({ text, kind: 'yaml' });
    expect(parsed.problems).toEqual([]);
    expect(parsed.experiment?.name).toBe('round trip');
  });
});
