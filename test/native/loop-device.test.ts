// SPDX-License-Identifier: GPL-2.0-only
/** Whole experiments on real loop devices: the kernel's rules of alignment, file systems through the device, and what is left behind. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TRACE_OP, traceRows, type TraceColumns } from '../../engine/base/index.ts';
import type { RunOutcome } from '../../engine/lab/door.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import { compareWithKernel } from '../../engine/lab/kernel-trace.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { closeHelperSession } from '../../main/host/native/loops.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { parseExperiment } from '../../main/services/formats/index.ts';
import { useHelper, whyNoHelper } from '../support/helper.ts';
import { describeUnless } from '../support/tools.ts';

const MIB = 2 ** 20;
let folder = '';

function freshImage(name: string, sizeMib: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeMib * MIB);
  return path;
}

/** `device`: the options of the loop device; `target`: the rest of the target, after a comma. */
function run(
  path: string,
  device: string,
  job: string,
  { target = '', trace = 'requests' } = {},
): RunOutcome {
  const text = `trace: ${trace}\ntarget: { device: { id: loop, path: ${JSON.stringify(path)}, ${device} }, consent_to_write: true ${target} }\njobs:\n  - { ${job} }\n`;
  const parsed = parseExperiment(text, 'yaml');
  expect(parsed.problems).toEqual([]);
  return runExperiment(parsed.experiment as Experiment, nativePorts(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
  });
}

describeUnless(whyNoHelper(), 'experiments on a loop device', () => {
  let helper: ReturnType<typeof useHelper> | null = null;
  beforeAll(() => {
    helper = useHelper();
    folder = mkdtempSync(join(tmpdir(), 'diolab-loop-'));
  });
  afterAll(() => {
    closeHelperSession();
    helper?.dispose();
    const left = execFileSync('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], {
      encoding: 'utf8',
    });
    expect(left).not.toContain(folder);
    rmSync(folder, { recursive: true });
  });

  it('refuses 512-aligned requests on 4096-byte sectors, and takes them on 512', () => {
    const path = freshImage('sectors.img', 16);
    const job = 'rw: randread, bs: 512, ioengine: libaio, iodepth: 4, io_size: 1m';
    const refused = run(path, 'sectorBytes: "4096"', job).result.jobs[0];
    expect(Object.keys(refused?.errors ?? {})).toEqual(['EINVAL']);
    const taken = run(path, 'sectorBytes: "512"', job).result.jobs[0];
    expect(taken?.errors).toEqual({});
    expect(taken?.read.totalIos).toBe(2048);
  });

  it('shows what the kernel did beside what the engine asked for', () => {
    const path = freshImage('trace.img', 16);
    const job = 'rw: randwrite, bs: 16k, ioengine: libaio, iodepth: 4, io_size: 1m';
    const { result, trace } = run(path, 'sectorBytes: "512"', job, {
      target: ', filesystem: raw',
      trace: 'full',
    });
    expect(result.failure).toBeNull();
    const compared = trace === null ? null : compareWithKernel(trace);
    // The flush of the unmount comes when the kernel is not watched any more.
    expect(compared).toMatchObject({ actual: 64, equal: 64, onlyActual: [] });
    expect(compared?.onlyPredicted.every(({ op }) => op === TRACE_OP.flush)).toBe(true);
    const kernels = traceRows(trace as TraceColumns).filter(({ kind }) => kind === 'kernel-queue');
    // On the run's own clock: none before the first request, none after the end.
    for (const { atNs } of kernels) expect(atNs).toBeGreaterThan(trace?.atNs[0] ?? Infinity);
    expect(result.notes.join(' ')).toContain('64 of them the same');
  });

  it.each(['true', 'false'])('writes a file system through it, direct-io %s', (directIo) => {
    const path = freshImage(`ext2-${directIo}.img`, 64);
    const { result } = run(
      path,
      `directIo: ${directIo}`,
      'rw: randwrite, bs: 4k, ioengine: io_uring, iodepth: 8, io_size: 8m, end_fsync: true',
      { target: ', filesystem: ext2, file: /data, file_size: 16m, create: 64m' },
    );
    expect(result.jobs[0]).toMatchObject({ errors: {}, write: { totalIos: 2048 } });
    expect(execFileSync('e2fsck', ['-fn', path], { encoding: 'utf8' })).toContain('non-contiguous');
  });
});
