// SPDX-License-Identifier: GPL-2.0-only
/**
 * What an eighth revision costs, as docs/adding/revision.md says: one file and one line in the list (with its import). A copy of the
 * engine gets them, and everything that runs over the list knows the revision: conform, the dial, the page of revisions.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nanoseconds } from '../../engine/base/index.ts';
import type * as Dio from '../../engine/dio/index.ts';
import type * as Compare from '../../engine/lab/compare.ts';
import type * as Conformance from '../../engine/lab/conformance/index.ts';
import type { LabPorts } from '../../engine/lab/door.ts';
import type * as MemoryModule from '../../engine/memory/index.ts';
import { revisionsPage } from '../../scripts/revisions.mjs';

const root = join(import.meta.dirname, '../..');
const text = (path: string): string => readFileSync(path, 'utf8');

describe('an eighth revision', () => {
  let folder: string;
  const load = async <T>(module: string): Promise<T> =>
    (await import(/* @vite-ignore */ join(folder, 'engine', module))) as T;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'diolab-eighth-'));
    cpSync(join(root, 'engine'), join(folder, 'engine'), {
      recursive: true,
      filter: (path) => !path.endsWith('.test.ts'),
    });
    cpSync(join(root, 'tsconfig.base.json'), join(folder, 'tsconfig.base.json'));
    const list = join(folder, 'engine/dio/revisions/index.ts');
    cpSync(
      join(root, 'test/support/eighth-revision/eager.ts.txt'),
      join(folder, 'engine/dio/revisions/eager.ts'),
    );
    const start = 'export const REVISIONS: readonly RevisionSpec[] = [\n';
    expect(text(list)).toContain(start);
    writeFileSync(
      list,
      text(list)
        .replace(start, `${start}  revisionEager,\n`)
        .replace(/^import \{ revision/m, "import { revisionEager } from './eager.ts';\n$&"),
    );
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('is found by its id, and resolves to a full record', async () => {
    const dio = await load<typeof Dio>('dio/index.ts');
    expect(dio.REVISIONS).toHaveLength(8);
    const eager = dio.resolveRevision(dio.findRevision('eager'));
    const base = dio.resolveRevision(dio.findRevision('6.4'));
    expect(Object.keys(eager).toSorted()).toEqual(Object.keys(base).toSorted());
    expect({ ...eager.traits, createRule: base.traits.createRule }).toEqual(base.traits);
  });

  it('runs through conform, which shows where it differs', async () => {
    const lab = await load<typeof Conformance>('lab/conformance/index.ts');
    const lines = text(join(root, 'test/golden/6.4-named.jsonl')).trim().split('\n');
    const written: string[] = [];
    const options = {
      fileName: '6.4-named.jsonl',
      detail: true,
      json: false,
      print: false,
      revision: 'eager',
    };
    const { createHash } = await import('node:crypto');
    const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    const summary = lab.conformLines(lines, options, hash, (line) => written.push(line));
    expect(summary.failedCount).toBeGreaterThan(0);
    expect(summary.passedCount).toBeGreaterThan(summary.failedCount);
    expect(written.join('\n')).toContain('write-hole-inside-size');
  });

  it('is on the dial, and its difference has its name', async () => {
    const { compareRevisions } = await load<typeof Compare>('lab/compare.ts');
    const { plainArena } = await load<typeof MemoryModule>('memory/index.ts');
    const ports: LabPorts = {
      clock: { nowNs: () => nanoseconds(0) },
      unixMs: () => 0,
      makeArena: plainArena,
      cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
    };
    const { runs, differences } = compareRevisions(
      {
        revisions: ['6.4', 'eager'],
        request: {
          target: {
            device: { id: 'memory', options: { sizeKib: 4096 } },
            fileSystem: { id: 'ext2', options: {} },
            filePath: '/data',
            fileSizeBytes: 65536,
            create: null,
            consentToWrite: false,
          },
          op: 'write',
          offsetBytes: 0,
          lengthBytes: 4096,
          memoryOffsetBytes: 0,
          isAsync: false,
          isDsync: false,
        },
      },
      ports,
    );
    expect(runs.map(({ summary }) => summary.returned)).toEqual([4096, 4096]);
    expect(differences[1]?.change).toMatchObject({ revision: 'eager' });
  });

  it('has its section on the page of revisions', async () => {
    const { REVISIONS } = await load<typeof Dio>('dio/index.ts');
    const page = await revisionsPage(REVISIONS);
    expect(page).toContain('## eager\n');
    expect(page).toContain('Based on [6.4](#64)');
  });
});
