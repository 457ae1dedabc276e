// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every revision of direct I/O on real images with the real executors: e2fsck finds nothing, and the file holds what was written. The
 * buffers of the load hold a sequence whose words differ by one number, so a block that was written says so, and from which word.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { REVISIONS, type RevisionSpec } from '../../engine/dio/index.ts';
import { resolveRevision } from '../../engine/dio/revisions/resolve.ts';
import type { RunOutcome } from '../../engine/lab/door.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import { imageTools } from '../../engine/lab/image-tools.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { nativePorts } from '../../main/host/native/index.ts';
import { parseExperiment } from '../../main/services/formats/index.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const KIB = 1024;
const FILE_BYTES = 512 * KIB;
const EXECUTORS = ['sync', 'threads', 'libaio', 'io_uring'] as const;
/** Between two words of a buffer of the load. */
const WORD_STEP = 0x9e3779b1;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-revisions-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function run(spec: RevisionSpec, path: string, jobs: string, target: string): RunOutcome {
  const text = `target: { image: ${JSON.stringify(path)}, consent_to_write: true, ${target} }\njobs:\n  - { ${jobs} }\n`;
  const parsed = parseExperiment(text, 'yaml');
  expect(parsed.problems).toEqual([]);
  const experiment = { ...(parsed.experiment as Experiment), revision: spec.id };
  return runExperiment(experiment, nativePorts(), {
    isStopRequested: () => false,
    onProgress: () => undefined,
  });
}

function freshImage(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, 8 * KIB * KIB);
  return path;
}

/** e2fsck -fn must find nothing, not even a mark of being in use. */
function expectSound(path: string): void {
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.stdout).not.toMatch(/WARNING|not cleanly unmounted/);
  expect(found.status, found.stdout).toBe(0);
}

function contentOf(path: string): Buffer {
  const pieces: Buffer[] = [];
  imageTools.read(nativePorts(), path, '/data', (bytes) => pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

/** Where in each unit a word does not follow the one before it; none where all of it came from one piece of a buffer. */
function breaksIn(content: Buffer, unitBytes: number): number[] {
  const breaks = new Set<number>();
  for (let at = 4; at < content.length; at += 4) {
    if (at % unitBytes === 0) continue;
    const step = (content.readUInt32LE(at) - content.readUInt32LE(at - 4)) >>> 0;
    if (step !== WORD_STEP) breaks.add(at % unitBytes);
  }
  return [...breaks];
}

function expectWritten(content: Buffer, unitBytes: number): void {
  expect(content.length % unitBytes).toBe(0);
  expect(breaksIn(content, unitBytes)).toEqual([]);
}

const hasChange = (spec: RevisionSpec, words: RegExp): boolean =>
  resolveRevision(spec).changes.some((change) => words.test(change.what));
const misplaces = (spec: RevisionSpec): boolean =>
  hasChange(spec, /gives data from the wrong place/);

describeUnless(missingReason(['e2fsprogs']), 'real images with every revision', () => {
  const cases = REVISIONS.flatMap((spec) =>
    EXECUTORS.map((engine) => ({ spec, id: spec.id, engine })),
  );

  it.each(cases)('$id with $engine: overwrites a file, and every byte is there', (asked) => {
    const { spec, engine } = asked;
    const path = freshImage(`over-${spec.id}-${engine}`);
    const { result } = run(
      spec,
      path,
      `rw: randwrite, bs: 4k, ioengine: ${engine}, iodepth: 8, end_fsync: true`,
      'filesystem: ext2, file: /data, file_size: 512k, create: 8m',
    );
    expect(result).toMatchObject({ state: 'finished', failure: null });
    expect(result.jobs[0]).toMatchObject({ errors: {}, write: { totalIos: 128, shortIos: 0 } });
    expect(result.revisionEffects).toMatchObject({ leakedReferences: 0, lostBytes: 0 });
    expectSound(path);
    const content = contentOf(path);
    expect(content.length).toBe(FILE_BYTES);
    expectWritten(content, 4096);
  });

  it.each(cases)(
    '$id with $engine: extends a file, and loses what it is known to lose',
    (asked) => {
      const { spec, engine } = asked;
      const path = freshImage(`grow-${spec.id}-${engine}`);
      const { result } = run(
        spec,
        path,
        `rw: write, bs: 16k, size: 512k, ioengine: ${engine}, iodepth: 4, fsync: 8`,
        'filesystem: ext2, file: /data, create: 8m',
      );
      expect(result).toMatchObject({ state: 'finished', failure: null });
      expect(result.jobs[0]?.write).toMatchObject({ totalIos: 32, bytes: FILE_BYTES, shortIos: 0 });
      expectSound(path);
      const content = contentOf(path);
      expectWritten(content, 4096);
      const lostBytes = result.revisionEffects?.lostBytes ?? 0;
      expect(content.length + lostBytes).toBe(FILE_BYTES);
      const canLose =
        engine !== 'sync' &&
        hasChange(spec, /extends the file stays asynchronous/) &&
        !resolveRevision(spec).callers.queueCounts;
      if (!canLose) expect(lostBytes).toBe(0);
    },
  );

  it.each(REVISIONS)('$id goes through holes, small units and O_DSYNC, and stays sound', (spec) => {
    const path = freshImage(`mixed-${spec.id}`);
    const holes = run(
      spec,
      path,
      'rw: randwrite, bs: 4k, size: 512k, ioengine: sync',
      'filesystem: ext2, file: /data, create: 8m',
    ).result;
    expect(holes.jobs[0]?.write).toMatchObject({ totalIos: 128, bytes: FILE_BYTES });
    expectSound(path);
    expectWritten(contentOf(path), 4096);
    const small = run(
      spec,
      path,
      'rw: randwrite, bs: 512, size: 512k, ioengine: libaio, iodepth: 8, sync: dsync, io_size: 64k',
      'file: /data',
    ).result;
    expect(small).toMatchObject({ state: 'finished', failure: null });
    expect(small.jobs[0]).toMatchObject({ errors: {}, write: { totalIos: 128 } });
    expectSound(path);
    expectWritten(contentOf(path), 512);
  });

  it.each(cases)('$id with $engine: a buffer inside a page, or the stop of the kernel', (asked) => {
    const { spec, engine } = asked;
    const path = freshImage(`inside-${spec.id}-${engine}`);
    const inside = (memory: number): RunOutcome =>
      run(
        spec,
        path,
        `rw: randwrite, bs: 4k, ioengine: ${engine}, iodepth: 4, numjobs: 2, align_memory: ${String(memory)}`,
        'filesystem: ext2, file: /data, file_size: 512k, create: 8m',
      );
    const near = inside(1024).result;
    expect(near).toMatchObject({ state: 'finished', failure: null });
    expectSound(path);
    // Where the offset counts twice, the five units from byte 1,536 of the page come first, and then its last one again.
    expect(breaksIn(contentOf(path), 4096)).toEqual(misplaces(spec) ? [2560] : []);
    const { result } = inside(3072);
    if (misplaces(spec)) {
      expect(result.state).toBe('failed');
      expect(result.failure).toMatchObject({ code: 'kernel.bug' });
      expect(result.notes.join(' ')).toMatch(/unmounted in order/);
      // The process is alive, and the image good for the next run.
      expectSound(path);
      expect(run(spec, path, 'rw: read, bs: 64k', 'file: /data').result.state).toBe('finished');
    } else {
      expect(result).toMatchObject({ state: 'finished', failure: null });
      expectWritten(contentOf(path), 4096);
    }
    expectSound(path);
  });
});
