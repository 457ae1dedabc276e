// SPDX-License-Identifier: GPL-2.0-only
/** What is printed of a result: fio's shape and the report, of a run over the memory device; and that every preset is in order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkExperiment } from '../../../engine/lab/check.ts';
import type { LabPorts } from '../../../engine/lab/door.ts';
import type { Experiment } from '../../../engine/lab/experiment.ts';
import { runExperiment } from '../../../engine/lab/run.ts';
import { plainArena } from '../../../engine/memory/index.ts';
import { experimentSchema } from '../../contract/schemas.ts';
import type { RunResult } from '../../contract/types.ts';
import { presets } from '../presets.ts';
import { formatExperiment, formatFioResult, formatReport, parseExperiment } from './index.ts';

const ports: LabPorts = {
  clock: { nowNs: () => (performance.now() * 1e6) as never },
  unixMs: () => 1_700_000_000_000,
  makeArena: (pageCount) => plainArena(pageCount),
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};
const run = (experiment: Experiment): RunResult =>
  runExperiment(experiment, ports, { isStopRequested: () => false, onProgress: () => undefined })
    .result;

let result: RunResult;
beforeAll(() => {
  const { experiment } = parseExperiment(
    'name: both\ntarget: { device: { id: memory, sizeKib: 4096 }, filesystem: raw }\njobs:\n  - { name: mix, rw: randrw, bs: 4k/50:8k/50, ioengine: libaio, iodepth: 8, fsync: 32 }\n  - { name: bad, rw: read, ioengine: libaio, align_offset: 7 }\n',
    'yaml',
  );
  result = run(experiment as Experiment);
});

interface FioDirection {
  io_bytes: number;
  total_ios: number;
  bw: number;
  bw_bytes: number;
  clat_ns: { N: number; percentile: Record<string, number>; bins: Record<string, number> };
}
interface FioJob {
  jobname: string;
  error: number;
  read: FioDirection;
  write: FioDirection;
  sync: { total_ios: number };
  iodepth_level: Record<string, number>;
  latency_ns: Record<string, number>;
  latency_us: Record<string, number>;
  latency_ms: Record<string, number>;
}

describe('the shape of fio', () => {
  it('carries the numbers of the run, and the whole result beside them', () => {
    const document = formatFioResult(result);
    const [mix, bad] = document['jobs'] as FioJob[];
    expect(mix?.jobname).toBe('mix');
    expect((mix?.read.io_bytes ?? 0) + (mix?.write.io_bytes ?? 0)).toBe(4096 * 1024);
    for (const direction of [mix?.read, mix?.write]) {
      const counts = Object.values(direction?.clat_ns.bins ?? {}).reduce((a, b) => a + b, 0);
      expect(counts).toBe(direction?.total_ios);
      expect(direction?.clat_ns.N).toBe(direction?.total_ios);
      expect(Object.keys(direction?.clat_ns.percentile ?? {})).toContain('99.000000');
      expect(Math.round((direction?.bw_bytes ?? 0) / 1024)).toBeCloseTo(direction?.bw ?? -1, 0);
    }
    expect(mix?.sync.total_ios).toBeGreaterThan(0);
    expect(mix?.iodepth_level).toMatchObject({ '8': 100, '4': 0 });
    expect([mix?.error, bad?.error]).toEqual([0, 22]);
    expect(document['diolab']).toBe(result);
    const packageFile = join(import.meta.dirname, '../../../package.json');
    const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
    expect(JSON.parse(JSON.stringify(document))).toMatchObject({
      'fio version': `diolab-${version}`,
    });
  });

  it('shares out every request over the three latency tables', () => {
    const [mix] = formatFioResult(result)['jobs'] as FioJob[];
    const tables = [mix?.latency_ns, mix?.latency_us, mix?.latency_ms];
    const sum = tables.flatMap((table) => Object.values(table ?? {})).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(100, 6);
  });
});

describe('the report', () => {
  it('says the verdict first, then every job, and stays within a hundred columns of text', () => {
    const text = formatReport(result);
    for (const job of text.split('\n\n')) {
      const edges = [...job.matchAll(/≤ (\S+\s\S+)/g)].map(([, edge]) => edge);
      expect(edges.filter((edge, at) => edge === edges[at + 1])).toEqual([]);
    }
    const shrunk = { ...result, host: { ...result.host, pageCacheGrowthBytes: -8192 } };
    expect(formatReport(shrunk)).toMatch(/page cache shrank by 8\sKiB/);
    const lines = text.split('\n');
    expect(lines[0]).toMatch(/^both {2}finished after/);
    expect(lines[2]).toMatch(/^✗ Job bad stopped at its first error/);
    expect(text).toMatch(/mix {2}randrw, 4k\/50:8k\/50, libaio, depth 8, direct/);
    expect(text).toMatch(/errors {4}\d × EINVAL/);
    expect(text).toMatch(/bios {6}/);
    for (const line of lines.slice(2)) expect(line.length).toBeLessThanOrEqual(130);
  });

  it('leaves colours to the caller', () => {
    const painted = formatReport(result, (tone, text) => `<${tone}>${text}`);
    expect(painted).toContain('<bad>✗ Job bad');
  });
});

describe('presets', () => {
  const all = presets('/data');
  it('are in order, say what they show, and go through both formats', () => {
    expect(new Set(all.map((preset) => preset.id)).size).toBe(all.length);
    for (const { experiment, help } of all) {
      expect(checkExperiment(experiment)).toEqual([]);
      expect(experimentSchema.safeParse(experiment).success).toBe(true);
      expect(help).toMatch(/^[A-Z].*\.$/);
      const { text } = formatExperiment(experiment, 'yaml');
      expect(parseExperiment(text, 'yaml').experiment).toEqual(experiment);
    }
  });

  it.each(all.filter(({ experiment }) => experiment.target.device.id !== 'image-file'))(
    '$title runs',
    ({ experiment }) => {
      const jobs = experiment.jobs.map((job) => ({ ...job, runtimeSeconds: 0.05 }));
      const done = run({ ...experiment, jobs });
      expect(done.state).toBe('finished');
      expect(done.jobs.every((job) => Object.keys(job.errors).length === 0)).toBe(true);
    },
  );
});
