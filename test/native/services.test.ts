// SPDX-License-Identifier: GPL-2.0-only
/** The whole lab behind the contract on real images: the built engine in its own process, O_DIRECT, e2fsck as the judge. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Experiment, Job } from '../../engine/lab/experiment.ts';
import type { LabClient } from '../../main/contract/client.ts';
import { hostErrorOf } from '../../main/contract/client.ts';
import { decodeRequestColumns, bulkRequestsPath } from '../../main/contract/bulk.ts';
import type { RunEvent } from '../../main/contract/types.ts';
import { forkEngine } from '../../main/host/spawn.ts';
import { makeServices, type Services } from '../../main/services/index.ts';
import { clientInProcess } from '../../main/services/router.ts';
import { buildRealEngine } from '../support/engine/build.ts';
import { openTestLab, type TestLab } from '../support/engine/lab.ts';
import { experimentOf, jobOf } from '../support/engine/samples.ts';
import { describeUnless, describeWith } from '../support/tools.ts';

const MIB = 1024 * 1024;
let lab: TestLab;
let services: Services;
let client: LabClient;
const enginePids: number[] = [];

beforeAll(async () => {
  lab = await openTestLab(buildRealEngine);
  services = await makeServices({
    face: 'terminal',
    version: '0.0.0',
    paths: lab.paths,
    engineEntryPath: lab.engine.entryPath,
    spawn: (entry) => {
      const child = forkEngine(entry);
      enginePids.push(child.pid ?? 0);
      return child;
    },
  });
  client = clientInProcess(services);
}, 120_000);
afterAll(async () => {
  await services.close();
  await lab.dispose();
  // Nothing stays behind.
  for (const pid of enginePids)
    expect(existsSync(`/proc/${String(pid)}/exe`), String(pid)).toBe(false);
});

function onNewImage(name: string, job: Partial<Job>, blockSizeBytes = 4096): Experiment {
  const base = experimentOf(name, { jobs: [jobOf(job)] });
  return {
    ...base,
    target: {
      device: { id: 'image-file', options: { path: join(lab.paths.images, `${name}.img`) } },
      fileSystem: { id: 'ext2', options: blockSizeOf(blockSizeBytes) },
      filePath: '/data',
      fileSizeBytes: 16 * MIB,
      create: { sizeBytes: 64 * MIB },
      consentToWrite: false,
    },
  };
}
let blockSizeOf: (bytes: number) => Record<string, string | number> = () => ({});

async function runToEnd(
  experiment: Experiment,
  at?: (event: RunEvent, id: string) => void,
): Promise<string> {
  const { runId } = await client.runs.start(experiment);
  for await (const event of await client.runs.watch({ runId })) {
    at?.(event, runId);
    if (event.kind === 'ended') expect(event).toMatchObject({ failure: null });
  }
  return runId;
}

const isSound = (path: string): void => {
  execFileSync('e2fsck', ['-fn', path], { stdio: 'pipe' });
};

describeWith(['e2fsprogs'], 'on a real ext2 image', () => {
  beforeAll(async () => {
    const { fileSystems } = await client.host.catalogue();
    const options = fileSystems.find(({ id }) => id === 'ext2')?.options ?? {};
    const [name = '', field] =
      Object.entries(options).find(([key]) => /^blockSize/.test(key)) ?? [];
    blockSizeOf = (bytes) => ({ [name]: field?.type === 'choice' ? String(bytes) : bytes });
  });

  it.each(['sync', 'threads', 'libaio', 'io_uring'] as const)(
    '%s: runs, counts, keeps every request',
    async (ioEngine) => {
      const experiment = onNewImage(`real-${ioEngine}`, {
        rw: 'randrw',
        ioEngine,
        ioDepth: 8,
        ioSizeBytes: 8 * MIB,
      });
      const id = await runToEnd(experiment);
      const result = await client.runs.get({ runId: id });
      const job = result.jobs[0];
      expect(result.state).toBe('finished');
      expect((job?.read.totalIos ?? 0) + (job?.write.totalIos ?? 0)).toBe(2048);
      expect(job?.errors).toEqual({});
      const response = await services.bulk.handle(new Request(`http://lab${bulkRequestsPath(id)}`));
      const columns = decodeRequestColumns(await response.arrayBuffer());
      expect(columns.rowCount).toBe(2048);
      const path = String(experiment.target.device.options['path']);
      isSound(path);
      expect((await client.images.probe({ path })).madeByLab).toBe(true);
    },
    60_000,
  );

  it('the first preset: its numbers agree with what the kernel counts within 1 %', async () => {
    const [preset] = (await client.host.catalogue()).presets;
    expect(preset?.id).toBe('first-light');
    const { experiment } = preset as { experiment: Experiment };
    const { target } = experiment;
    const small = {
      ...experiment,
      target: { ...target, create: { sizeBytes: 128 * MIB }, fileSizeBytes: 32 * MIB },
      jobs: experiment.jobs.map((job) => ({ ...job, runtimeSeconds: 1 })),
    };
    expect((await client.experiments.check(small)).problems).toEqual([]);
    for (const time of ['making its image', 'on the image that is there']) {
      const result = await client.runs.get({ runId: await runToEnd(small) });
      const engineBytes = result.jobs.reduce((sum, job) => sum + job.read.bytes, 0);
      const kernelBytes = result.host.processReadBytes ?? 0;
      expect(engineBytes, time).toBeGreaterThan(MIB);
      expect(Math.abs(kernelBytes - engineBytes) / engineBytes, time).toBeLessThan(0.01);
      expect(result.host.isDirect, result.host.directRefusedWhy ?? '').toBe(true);
    }
    isSound(String(target.device.options['path']));
    const estimate = await client.experiments.check({
      ...small,
      jobs: small.jobs.map((job) => ({ ...job, timeBased: false, runtimeSeconds: 0 })),
    });
    expect(estimate.estimateSeconds).toBeGreaterThan(0);
  }, 60_000);

  it('cancels within its promise, and leaves the image sound', async () => {
    const experiment = onNewImage('cancelled', {
      rw: 'randwrite',
      ioEngine: 'io_uring',
      ioDepth: 32,
      timeBased: true,
      runtimeSeconds: 60,
    });
    let askedMs = 0;
    let acknowledgedMs = 0;
    let endedMs = 0;
    const { runId } = await client.runs.start(experiment);
    for await (const event of await client.runs.watch({ runId })) {
      if (event.kind === 'progress' && event.progress.phase === 'running' && askedMs === 0) {
        askedMs = performance.now();
        expect(await client.runs.cancel({ runId })).toEqual({ acknowledged: true });
        acknowledgedMs = performance.now();
      }
      if (event.kind === 'ended') {
        endedMs = performance.now();
        expect(event.state).toBe('cancelled');
      }
    }
    // Measured, not asserted: the machine may be busy.
    console.info(
      `cancel: acknowledged after ${(acknowledgedMs - askedMs).toFixed(1)} ms, ended after ${(endedMs - askedMs).toFixed(0)} ms`,
    );
    expect((await client.runs.get({ runId })).state).toBe('cancelled');
    isSound(String(experiment.target.device.options['path']));
  }, 60_000);

  it('an engine killed in the middle of a run: aborted, and the lab goes on', async () => {
    const experiment = onNewImage('killed', {
      rw: 'randwrite',
      ioEngine: 'libaio',
      ioDepth: 16,
      timeBased: true,
      runtimeSeconds: 60,
    });
    const { runId } = await client.runs.start(experiment);
    let killed = false;
    for await (const event of await client.runs.watch({ runId })) {
      if (event.kind === 'progress' && event.progress.phase === 'running' && !killed) {
        killed = true;
        process.kill(enginePids.at(-1) ?? 0, 'SIGKILL');
      }
      if (event.kind === 'ended') {
        expect(event).toMatchObject({
          state: 'aborted',
          failure: { code: 'engine.died', data: { signal: 'SIGKILL' } },
        });
      }
    }
    await runToEnd(onNewImage('after-kill', { rw: 'read', ioEngine: 'sync', ioSizeBytes: MIB }));
  }, 60_000);

  it('carries files in and out, also through the page cache of the last piece', async () => {
    const path = join(lab.paths.images, 'files.img');
    await client.images.make({
      path,
      name: null,
      sizeBytes: 32 * MIB,
      fileSystemId: 'ext2',
      options: {},
    });
    const content = Buffer.alloc(3 * MIB + 777);
    for (let at = 0; at < content.length; at += 4)
      content.writeUInt32LE(at, Math.min(at, content.length - 4));
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000);
    };
    await services.images.writeFile(path, '/file', source(), false);
    const pieces: Uint8Array[] = [];
    await services.images.readFile(path, '/file', (bytes) => {
      pieces.push(bytes);
      return Promise.resolve();
    });
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
    isSound(path);
    const entries = await client.images.entries({ path, folder: '/' });
    expect(entries.find(({ name }) => name === 'file')?.sizeBytes).toBe(content.length);
    const map = await client.images.map({ path, file: '/file' });
    const blocks = map.extents.reduce((sum, { count }) => sum + count, 0);
    expect(blocks).toBe(Math.ceil(content.length / map.blockSizeBytes));
  }, 60_000);

  it('explains a request, and leaves the image as it was, byte for byte', async () => {
    const path = join(lab.paths.images, 'files.img');
    const before = readFileSync(path);
    const { target } = onNewImage('files', {});
    const explanation = await client.experiments.explain({
      target: { ...target, filePath: '/file', fileSizeBytes: null, create: null },
      op: 'write', offsetBytes: 512, lengthBytes: 4096, memoryOffsetBytes: 0, isAsync: true, isDsync: false, revision: '6.4',
    }); // prettier-ignore
    expect(explanation.steps.length).toBeGreaterThan(0);
    const request = {
      target: { ...target, filePath: '/file', fileSizeBytes: null, create: null },
      op: 'write', offsetBytes: 0, lengthBytes: 4096, memoryOffsetBytes: 0, isAsync: true, isDsync: false,
    } as const; // prettier-ignore
    const { runs } = await client.experiments.compare({ request, revisions: ['6.4', '3.1'] });
    expect(runs.map(({ revision }) => revision)).toEqual(['6.4', '3.1']);
    expect(readFileSync(path).equals(before)).toBe(true);
    const unknown = client.experiments.compare({ request, revisions: ['6.4', '7.0'] });
    const refusal = await unknown.then(() => null, (error: unknown) => hostErrorOf(error)); // prettier-ignore
    expect(refusal).toMatchObject({ code: 'revision.unknown' });
  }, 60_000);

  it('runs an exhibit of the gallery in the engine process', async () => {
    const [exhibit] = await client.gallery.list();
    const { comparison, exhibit: shown } = await client.gallery.run({ id: exhibit?.id ?? '' });
    expect(shown).toEqual(exhibit);
    expect(comparison.runs).toHaveLength(2);
    const refusal = await client.gallery.run({ id: 'none' }).then(() => null, (error: unknown) => hostErrorOf(error)); // prettier-ignore
    expect(refusal).toMatchObject({ code: 'gallery.unknown' });
  }, 60_000);
});

describe('bad input, end to end', () => {
  it('names what is wrong with an image', async () => {
    const notImage = join(lab.folder, 'zeros.img');
    writeFileSync(notImage, '');
    truncateSync(notImage, MIB);
    const refused = async (call: Promise<unknown>): Promise<unknown> =>
      call.then(() => null, (error: unknown) => hostErrorOf(error)); // prettier-ignore
    expect(await refused(client.images.entries({ path: notImage, folder: '/' }))).toMatchObject({
      where: notImage,
    });
    expect((await client.images.probe({ path: lab.folder })).refusal).toMatchObject({
      code: 'image.not-regular',
    });
    expect(await refused(client.images.probe({ path: join(lab.folder, 'none') }))).toMatchObject({
      code: 'image.missing',
    });
  });
});

const whyNoMount = process.getuid?.() === 0 ? null : 'only root may mount a small file system';
describeUnless(whyNoMount, 'a full disk', () => {
  it('leaves neither an image nor a temporary file', async () => {
    const small = join(lab.folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small], { stdio: 'pipe' });
    try {
      const ask = { path: join(small, 'a.img'), name: null, sizeBytes: 8 * MIB, options: {} };
      const make = client.images.make({ ...ask, fileSystemId: 'raw' });
      const refused = await make.catch((error: unknown) => hostErrorOf(error));
      expect(refused).toMatchObject({ code: 'host.no-space', exitCode: 73 });
      expect(readdirSync(small)).toEqual([]);
    } finally {
      execFileSync('umount', [small]);
    }
  });

  it.each([
    ['stops the layout of its file', 'randread', 32 * MIB],
    ['stops a run that appends to its file', 'write', 4096],
  ] as const)('under a sparse image %s, and leaves the image sound', async (_, rw, fileBytes) => {
    const small = join(lab.folder, `sparse-${rw}`);
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small], { stdio: 'pipe' });
    try {
      const path = join(small, 'a.img');
      const ask = { path, name: null, sizeBytes: 64 * MIB, fileSystemId: 'ext2', options: {} };
      await client.images.make(ask);
      const { target } = experimentOf('full');
      const device = { id: 'image-file', options: { path } };
      const fileSystem = { id: 'ext2', options: {} };
      const file = { filePath: '/data', fileSizeBytes: fileBytes };
      const experiment = experimentOf('full', {
        target: { ...target, ...file, device, fileSystem },
        jobs: [jobOf({ rw, sizeBytes: rw === 'write' ? 32 * MIB : null })],
      });
      const { runId } = await client.runs.start(experiment);
      const events: RunEvent[] = [];
      for await (const event of await client.runs.watch({ runId })) events.push(event);
      const ended = events.at(-1);
      if (rw === 'write') {
        const { jobs, verdict, notes } = await client.runs.get({ runId });
        expect(jobs[0]?.errors).toEqual({ EIO: 1 });
        expect(verdict[0]?.text).toMatch(/On the host it was ENOSPC for a write/);
        expect(notes.join()).toContain('cut back to 4096 bytes');
      } else {
        expect(ended).toMatchObject({
          kind: 'ended',
          state: 'failed',
          failure: { code: 'host.no-space', exitCode: 74 },
        });
        expect(JSON.stringify(ended)).toMatch(/On the host it was ENOSPC for a write/);
      }
      isSound(path);
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

describeWith(['e2fsprogs'], 'many questions to the tools process', () => {
  it('do not fill the memory', async () => {
    const path = join(lab.paths.images, 'files.img');
    const rssOf = (): number => {
      const pid = enginePids.find((one) => existsSync(`/proc/${String(one)}/exe`)) ?? 0;
      const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
    };
    for (let ask = 0; ask < 30; ask++) await client.images.probe({ path });
    const early = rssOf();
    for (let ask = 0; ask < 120; ask++) await client.images.probe({ path });
    const late = rssOf();
    console.info(
      `tools process: ${early.toFixed(0)} MiB after 30 questions, ${late.toFixed(0)} MiB after 150`,
    );
    expect(late - early).toBeLessThan(256);
  }, 60_000);
});
