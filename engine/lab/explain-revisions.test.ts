// SPDX-License-Identifier: GPL-2.0-only
/** Explaining on every revision: each step has words, numbers and its kernel function; results and refusals say why. */
import { describe, expect, it } from 'vitest';
import { nanoseconds, TRACE_KINDS } from '../base/index.ts';
import { REVISIONS } from '../dio/index.ts';
import { plainArena } from '../memory/index.ts';
import type { LabPorts } from './door.ts';
import { explain } from './explain.ts';
import type { ExplainRequest } from './explanation.ts';

const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: plainArena,
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};
const SIZE_BYTES = 65536;

function ask(revision: string, changes: Partial<ExplainRequest>): ExplainRequest {
  return {
    target: {
      device: { id: 'memory', options: { sizeKib: 4096 } },
      fileSystem: { id: 'ext2', options: { blockSize: '4096' } },
      filePath: '/data',
      fileSizeBytes: SIZE_BYTES,
      create: null,
      consentToWrite: false,
    },
    op: 'read',
    offsetBytes: 0,
    lengthBytes: 16384,
    memoryOffsetBytes: 0,
    isAsync: false,
    isDsync: false,
    revision,
    ...changes,
  };
}

/** Requests that take the different ways through the code. */
const REQUESTS: readonly Partial<ExplainRequest>[] = [
  {},
  { isAsync: true },
  { op: 'write' },
  { op: 'write', isAsync: true, isDsync: true },
  { op: 'write', offsetBytes: SIZE_BYTES },
  { op: 'write', offsetBytes: SIZE_BYTES + 512, lengthBytes: 1024 },
  { offsetBytes: SIZE_BYTES - 4096, lengthBytes: 16384 },
  { offsetBytes: SIZE_BYTES * 2 },
  { offsetBytes: 512, lengthBytes: 512, memoryOffsetBytes: 512 },
  { memoryOffsetBytes: 3584, lengthBytes: 8192 },
  { lengthBytes: 0 },
  { offsetBytes: 7 },
];

it('every kind of row stands for a function of the kernel', () => {
  for (const { id, level, site } of TRACE_KINDS) {
    // The host kernel's own events name themselves.
    if (level === 'request' || level === 'kernel') continue;
    expect({ id, site }).toEqual({
      id,
      site: expect.stringMatching(/^(\w+\/)+[\w-]+\.c:\w+$/) as string,
    });
  }
});

describe.each(REVISIONS.map(({ id }) => id))('explain on %s', (revision) => {
  it.each(REQUESTS)('tells %o', (changes) => {
    const { steps, result, alignment, trace } = explain(ask(revision, changes), ports);
    for (const { title, text, site } of steps) {
      expect(title).not.toBe('');
      expect(text).toMatch(/\.$/);
      expect(text).not.toMatch(/undefined|NaN/);
      expect(site).toMatch(/^\w+\/[\w-]+\.c:\w+$/);
    }
    expect(result.text).not.toBe('');
    // Each bio says why it ended.
    const count = (kind: string): number => trace.filter((row) => row.kind === kind).length;
    const stopsAtOne = steps.at(-1)?.title === 'The kernel stopped here' ? 1 : 0;
    const submitted = count('bio-submit');
    expect([submitted, submitted + stopsAtOne]).toContain(count('bio-close'));
    if (!alignment.passes) {
      expect(result).toMatchObject({ ok: false, returned: 'EINVAL' });
      expect(alignment.nearest.length).toBeGreaterThan(0);
      for (const near of alignment.nearest) {
        const { offsetBytes, lengthBytes, memoryBytes } = near;
        const passing = explain(
          ask(revision, { ...changes, offsetBytes, lengthBytes, memoryOffsetBytes: memoryBytes }),
          ports,
        );
        expect(passing.alignment.passes).toBe(true);
      }
    }
  });

  it('tells what wins where a request both transfers and fails', () => {
    const { steps, result } = explain(ask(revision, { op: 'write', lengthBytes: 8192 }), ports);
    const last = steps.findLast((step) => step.title.toLowerCase().startsWith('result'));
    expect(last?.text).toMatch(/were transferred.*The result is/);
    expect(result.returned).toBe(8192);
  });
});
