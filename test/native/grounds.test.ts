// SPDX-License-Identifier: GPL-2.0-only
/** The same load on the grounds of the host: a plain file, and the file in the image through the kernel's own mount of a loop device. */
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunOutcome } from '../../engine/lab/door.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { closeHelperSession } from '../../main/host/native/loops.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { parseExperiment } from '../../main/services/formats/index.ts';
import { useHelper, whyNoHelper } from '../support/helper.ts';
import { describeUnless } from '../support/tools.ts';

const MIB = 2 ** 20;
const EXECUTORS = ['sync', 'threads', 'libaio', 'io_uring'] as const;
let folder = '';

function run(target: string, job: string): RunOutcome {
  const text = `target: { ${target}, consent_to_write: true }\njobs:\n  - { ${job} }\n`;
  const parsed = parseExperiment(text, 'yaml');
  expect(parsed.problems).toEqual([]);
  return runExperiment(parsed.experiment as Experiment, nativePorts(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
  });
}

describeUnless(whyNoHelper(), 'the grounds of the host', () => {
  let helper: ReturnType<typeof useHelper> | null = null;
  let path = '';
  const device = (): string => JSON.stringify(path);
  beforeAll(() => {
    helper = useHelper();
    folder = mkdtempSync(join(tmpdir(), 'diolab-grounds-'));
    path = join(folder, 'disk.img');
    writeFileSync(path, '');
    truncateSync(path, 64 * MIB);
    const made = 'filesystem: ext2, file: /data, file_size: 16m, create: 64m';
    run(`image: ${device()}, ${made}`, 'rw: write, bs: 1m, ioengine: sync');
  });
  afterAll(() => {
    closeHelperSession();
    helper?.dispose();
    rmSync(folder, { recursive: true });
  });

  it.each(EXECUTORS)('reads and writes a plain file with %s, and takes it away', (engine) => {
    const job = `rw: randrw, bs: 4k, ioengine: ${engine}, iodepth: 8, numjobs: 2, size: 4m, end_fsync: true`;
    const { result } = run(`image: ${device()}, by: host, file: /data, file_size: 16m`, job);
    expect(result.failure).toBeNull();
    const [first] = result.jobs;
    expect(first?.errors).toEqual({});
    expect((first?.read.totalIos ?? 0) + (first?.write.totalIos ?? 0)).toBe(2048);
    expect(result.device.readBytes).toBe(first?.read.bytes);
    expect(result.device.writeBytes).toBe(first?.write.bytes);
    expect(first?.executor.got).toBe(engine === 'sync' ? 'threads' : engine);
    expect(readdirSync(folder)).toEqual(['disk.img']);
  });

  it.each(['sync', 'io_uring'])(
    'reads the file through the kernel’s own mount with %s',
    (engine) => {
      const target = `device: { id: loop, path: ${device()} }, by: host, file: /data`;
      const { result } = run(target, `rw: randread, bs: 4k, ioengine: ${engine}, iodepth: 8`);
      expect(result.failure).toBeNull();
      expect(result.jobs[0]).toMatchObject({ errors: {}, read: { totalIos: 4096, shortIos: 0 } });
    },
  );

  it('says why a ground cannot take a load', () => {
    const target = `device: { id: loop, path: ${device()} }, by: host`;
    const writes = 'rw: write, bs: 4k, ioengine: sync';
    expect(() => run(`${target}, file: /data`, writes)).toThrow(/read-only/);
    expect(() => run(`${target}, file: /none`, 'rw: read, bs: 4k')).toThrow(/does not exist/);
    expect(() => run('device: memory, by: host', writes)).toThrow(/no file of the host/);
  });
});
