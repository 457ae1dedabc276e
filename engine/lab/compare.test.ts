// SPDX-License-Identifier: GPL-2.0-only
/** The dial on a device in memory: one request on every revision, counted and held against the first. */
import { describe, expect, it } from 'vitest';
import { nanoseconds } from '../base/index.ts';
import { REVISIONS } from '../dio/index.ts';
import { plainArena } from '../memory/index.ts';
import { compareRevisions } from './compare.ts';
import type { CompareRequest } from './comparison.ts';
import type { LabPorts } from './door.ts';

const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: plainArena,
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};
const ALL = REVISIONS.map(({ id }) => id);

function ask(
  changes: Partial<CompareRequest['request']> = {},
  revisions: readonly string[] = ALL,
): CompareRequest {
  return {
    revisions,
    request: {
      target: {
        device: { id: 'memory', options: { sizeKib: 4096 } },
        fileSystem: { id: 'ext2', options: { blockSize: '4096' } },
        filePath: '/data',
        fileSizeBytes: 65536,
        create: null,
        consentToWrite: false,
      },
      op: 'read',
      offsetBytes: 0,
      lengthBytes: 16384,
      memoryOffsetBytes: 0,
      isAsync: false,
      isDsync: false,
      ...changes,
    },
  };
}
const summariesOf = (asked: CompareRequest) =>
  compareRevisions(asked, ports).runs.map(({ revision, summary }) => ({ revision, ...summary }));

describe('a comparison of revisions', () => {
  it('runs the same request on each, in the order asked for', () => {
    const { runs, differences } = compareRevisions(ask(), ports);
    expect(runs.map(({ revision }) => revision)).toEqual(ALL);
    for (const { summary, stopped, explanation } of runs) {
      expect(summary).toMatchObject({
        returned: 16384,
        completedWith: null,
        bios: 1,
        bytesPerBio: 16384,
        leakedReferences: 0,
        zeroedBytes: 0,
      });
      expect(stopped).toBeNull();
      expect(explanation.result).toMatchObject({ ok: true, returned: 16384 });
      for (const { site } of explanation.steps) expect(site).toMatch(/\.c(:\w+)?$/);
    }
    expect(differences[0]).toBeNull();
    // The list begins with the revision that has no effect of its own.
    expect(differences[1]).toBeNull();
  });

  it('says where bytes are zeroed', () => {
    for (const summary of summariesOf(
      ask({ op: 'write', offsetBytes: 65536 + 512, lengthBytes: 512 }),
    )) {
      expect(summary).toMatchObject({
        returned: 512,
        zeroedBytes: 3584,
        zeroed: { onDiskBytes: 3584, inMemoryBytes: 0 },
      });
    }
  });

  it('counts locks, waits and completions', () => {
    const reads = summariesOf(ask());
    expect(reads.find(({ revision }) => revision === '6.4')?.locks).toEqual(['inode lock']);
    expect(reads.find(({ revision }) => revision === '2.6.31')?.locks).toContain('i_alloc_sem');
    expect(reads.find(({ revision }) => revision === '2.5.47')?.locks).toEqual([]);
    // Writes of an overlay end after the call, as on a disk.
    const [newest, oldest] = summariesOf(ask({ op: 'write', isAsync: true }, ['6.4', '2.5.47']));
    expect(newest).toMatchObject({ returned: 'EIOCBQUEUED', completedWith: 16384, waits: 0 });
    expect(oldest).toMatchObject({ returned: 16384, completedWith: 16384, waits: 0 });
    const sync = summariesOf(ask({ op: 'write' }, ['6.4', '2.5.47']));
    for (const summary of sync) expect(summary).toMatchObject({ completedWith: null, waits: 1 });
  });

  it('survives a kernel that stops, and says where and why', () => {
    const asked = ask({ memoryOffsetBytes: 3584, lengthBytes: 8192 }, ['2.6.31', '2.6.31-pages']);
    const { runs, differences } = compareRevisions(asked, ports);
    const [fixed, stopped] = runs;
    expect(fixed?.stopped).toBeNull();
    expect(stopped?.stopped?.what).toMatch(/^BUG: /);
    expect(stopped?.stopped?.why.length).toBeGreaterThan(10);
    expect(stopped?.summary.returned).toBe(stopped?.stopped?.what);
    expect(differences[1]?.change?.what).toMatch(/^A buffer that starts inside a page/);
    expect(stopped?.explanation.result.ok).toBe(false);
  });

  it('changes nothing: the next comparison finds what the first one found', () => {
    const asked = ask({ op: 'write', offsetBytes: 65536, lengthBytes: 8192 });
    expect(summariesOf(asked)).toEqual(summariesOf(asked));
  });

  it('refuses an unknown revision and an empty list', () => {
    expect(() => compareRevisions(ask({}, ['6.4', '7.0']), ports)).toThrow(
      expect.objectContaining({ code: 'revision.unknown', exitCode: 65 }),
    );
    expect(() => compareRevisions(ask({}, []), ports)).toThrow(
      expect.objectContaining({ code: 'compare.no-revision' }),
    );
  });
});
