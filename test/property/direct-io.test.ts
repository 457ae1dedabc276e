// SPDX-License-Identifier: GPL-2.0-only
/**
 * What direct I/O promises, checked from outside on random requests: bytes land exactly where they belong, reads see the file or
 * zeros, nothing stale becomes part of the file, every page reference and every count is given back. Repeat a failure with the seed
 * and path that fast-check prints.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  findRevision,
  resolveRevision,
  REVISIONS,
  type DioPromise,
} from '../../engine/dio/index.ts';
import { runScenario } from '../../engine/lab/conformance/index.ts';
import { EXHIBITS, findExhibit } from '../../engine/lab/gallery/index.ts';
import type { Scenario, ScenarioExtent } from '../../engine/lab/conformance/index.ts';

const RUNS = 100;
/** A promise that a revision's own changes say it breaks is not asked of it; the bug gallery shows it breaking. */
const REVISION_PROMISES = REVISIONS.map((spec) => {
  const broken = new Set<DioPromise>();
  for (const { breaks } of resolveRevision(spec).changes)
    for (const name of breaks ?? []) broken.add(name);
  return { id: spec.id, keeps: (promise: DioPromise): boolean => !broken.has(promise) };
});
const PAGES = 40;
const SECTORS = 512;

/** Start byte j of page p, as the format defines it. */
const pageByte = (page: number, j: number): number =>
  (73 * page + 11 * j + 29 * Math.floor(j / 256) + 195) % 256;
/** Start byte j of sector s. */
const sectorByte = (sector: number, j: number): number =>
  (31 * sector + 7 * Math.floor(sector / 256) + 5 * j + 3 * Math.floor(j / 256) + 90) % 256;

const startMemory = Uint8Array.from({ length: PAGES * 4096 }, (_, at) =>
  pageByte(Math.floor(at / 4096), at % 4096),
);
const startDisk = Uint8Array.from({ length: SECTORS * 512 }, (_, at) =>
  sectorByte(Math.floor(at / 512), at % 512),
);

interface Case {
  readonly scenario: Scenario;
  readonly iov: readonly (readonly [number, number])[];
  readonly totalBytes: number;
}

/** Extents one after the other with gaps, each on its own place of the disk. */
function layExtents(
  blkbits: number,
  parts: readonly (readonly [number, number, boolean])[],
): { readonly extents: ScenarioExtent[]; readonly diskBlocks: number } {
  const extents: ScenarioExtent[] = [];
  let fileBlock = 0;
  let diskBlock = 2;
  const limit = Math.floor((SECTORS * 512) / 2 ** blkbits / 2);
  for (const [gap, count, isUnwritten] of parts) {
    fileBlock += gap;
    if (diskBlock + count > limit) break;
    extents.push(isUnwritten ? [fileBlock, count, diskBlock, 'u'] : [fileBlock, count, diskBlock]);
    fileBlock += count;
    // A place apart now and then: adjacent in the file, not on disk.
    diskBlock += count + (gap % 2);
  }
  return { extents, diskBlocks: diskBlock };
}

const policies = fc.constantFrom('inline', 'fifo', 'lifo', 'shuffle:77', 'lag:2');

function cases(op: 'r' | 'w', faults: boolean): fc.Arbitrary<Case> {
  return fc
    .record({
      blkbits: fc.integer({ min: 9, max: 12 }),
      parts: fc.array(
        fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 9 }), fc.boolean()),
        { maxLength: 6 },
      ),
      maxmap: fc.integer({ min: 0, max: 5 }),
      boundary: fc.constantFrom(0, 0, 3),
      contig: fc.constantFrom(0, 1),
      policy: policies,
      posUnits: fc.integer({ min: 0, max: 48 }),
      lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
      unitBits: fc.constantFrom(9, 9, 12),
      shift: fc.constantFrom(0, 0, 512, 1024),
      sizeBytes: fc.integer({ min: 0, max: 60000 }),
      isAsync: fc.boolean(),
      locking: fc.boolean(),
      skip: fc.boolean(),
      badPage: fc.integer({ min: 0, max: PAGES - 1 }),
      badSector: fc.integer({ min: 16, max: 300 }),
      faultKind: fc.constantFrom('memory', 'device', 'map'),
    })
    .map((given) => {
      const { blkbits, unitBits } = given;
      const { extents, diskBlocks } = layExtents(blkbits, given.parts);
      const iov: [number, number][] = [];
      let address = given.shift;
      for (const length of given.lengths) {
        const lengthBytes = Math.min(length << unitBits, 9 * 4096);
        iov.push([address, lengthBytes]);
        address += Math.ceil(lengthBytes / 4096) * 4096;
      }
      const request = {
        op,
        pos: given.posUnits << unitBits,
        iov,
        async: given.isAsync ? 1 : 0,
        locking: given.locking ? 1 : 0,
        skip: given.skip ? 1 : 0,
      };
      const broken = faults ? given.faultKind : 'none';
      const scenario: Scenario = {
        blkbits,
        extents,
        size: given.sizeBytes,
        pages: PAGES,
        sectors: SECTORS,
        alloc: [diskBlocks + 1, 3],
        maxmap: given.maxmap,
        boundary: given.boundary,
        contig: given.contig,
        policy: given.policy,
        ...(broken === 'memory' && { bad: [[given.badPage, 1]] }),
        ...(broken === 'device' && { bioerr: [[given.badSector, 8, 'EIO']] }),
        ...(broken === 'map' && { gberr: [[2, 'ENOSPC']] }),
        reqs: [request],
      };
      return { scenario, iov, totalBytes: iov.reduce((sum, [, length]) => sum + length, 0) };
    });
}

interface Outcome {
  readonly result: number | string;
  readonly memory: Uint8Array;
  readonly disk: Uint8Array;
  /** File block to disk block; `isNew`: allocated or converted by this request. */
  readonly blocks: ReadonlyMap<number, { readonly disk: number; readonly isNew: boolean }>;
}

interface Promises {
  readonly id: string;
  readonly keeps: (promise: DioPromise) => boolean;
}

/** Runs the case, checks what must hold whatever happened, and gives what is to be looked at; null where the kernel may stop and did. */
function run({ id, keeps }: Promises, { scenario }: Case): Outcome | null {
  const contents: Uint8Array[] = [];
  const { trace } = runScenario(id, scenario, (bytes) => {
    contents.push(bytes.slice());
    return '';
  });
  if (trace.bug !== undefined && !keeps('goes-on')) return null;
  expect(trace.bug).toBeUndefined();
  if (keeps('references')) expect(trace.refs).toEqual({});
  expect(trace.dio).toBe(0);
  expect(trace.sem).toBeUndefined();
  expect(trace.live).toBeUndefined();
  const request = trace.reqs[0];
  if (request?.ret === undefined) throw new Error('the request has no result');
  const completion = request.ev.find((event) => event[0] === 'kc');
  const result = request.ret === 'EIOCBQUEUED' ? completion?.[1] : request.ret;
  const blocks = new Map<number, { disk: number; isNew: boolean }>();
  for (const [fileBlock, count, diskBlock, state] of scenario.extents ?? []) {
    if (state === 'u') continue;
    for (let index = 0; index < count; index++) {
      blocks.set(fileBlock + index, { disk: diskBlock + index, isNew: false });
    }
  }
  for (const event of request.ev) {
    if (event[0] !== 'gb' || !String(event[4]).includes('N')) continue;
    const [, fileBlock, , , , diskBlock, count] = event as unknown as [
      string, number, number, number, string, number, number,
    ]; // prettier-ignore
    for (let index = 0; index < count; index++) {
      blocks.set(fileBlock + index, { disk: diskBlock + index, isNew: true });
    }
  }
  const [memory, disk] = contents as [Uint8Array, Uint8Array];
  return { result: result as number | string, memory, disk, blocks };
}

const equal = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Calls `visit` for every byte of the buffers: its place in memory and in the request. */
function eachByte(one: Case, upTo: number, visit: (address: number, at: number) => void): void {
  let at = 0;
  for (const [address, length] of one.iov) {
    for (let index = 0; index < length && at < upTo; index++) visit(address + index, at++);
  }
}

const posOf = (one: Case): number => one.scenario.reqs[0]?.pos ?? 0;
const blockBytesOf = (one: Case): number => 2 ** (one.scenario.blkbits ?? 12);

/** Where a byte of the file lies on disk, or -1 in a hole. */
function diskPlace(one: Case, outcome: Outcome, fileByte: number): number {
  const blockBytes = blockBytesOf(one);
  const block = outcome.blocks.get(Math.floor(fileByte / blockBytes));
  return block === undefined ? -1 : block.disk * blockBytes + (fileByte % blockBytes);
}

/** Every byte of the disk is the old one, the written one, or a zero in a block that the request may zero. */
function checkDisk(
  one: Case,
  outcome: Outcome,
  writtenBytes: number,
  mayZeroMapped: boolean,
): void {
  const pos = posOf(one);
  const written = new Int16Array(outcome.disk.length).fill(-1);
  eachByte(one, one.totalBytes, (address, at) => {
    const place = diskPlace(one, outcome, pos + at);
    if (place < 0) {
      if (at < writtenBytes) expect.fail(`byte ${String(at)} counts as written into a hole`);
      return;
    }
    written[place] = startMemory[address] as number;
    if (at < writtenBytes && outcome.disk[place] !== startMemory[address]) {
      expect.fail(`byte ${String(at)} is not at ${String(place)} of the disk`);
    }
  });
  const blockBytes = blockBytesOf(one);
  const newBlocks = new Set<number>();
  for (const block of outcome.blocks.values()) if (block.isNew) newBlocks.add(block.disk);
  let wrong = -1;
  for (let at = 0; at < outcome.disk.length && wrong < 0; at++) {
    const byte = outcome.disk[at];
    if (byte === startDisk[at]) continue;
    if (written[at] === byte) continue;
    const isZeroable = newBlocks.has(Math.floor(at / blockBytes)) || mayZeroMapped;
    if (byte !== 0 || !isZeroable) wrong = at;
  }
  expect(wrong).toBe(-1);
}

/** In a block that the request allocated, every byte is written data or zero: what the disk held before is gone. */
function checkNothingStale(one: Case, outcome: Outcome): void {
  const pos = posOf(one);
  const blockBytes = blockBytesOf(one);
  const expected = new Int16Array(outcome.disk.length).fill(-1);
  eachByte(one, one.totalBytes, (address, at) => {
    const place = diskPlace(one, outcome, pos + at);
    if (place >= 0) expected[place] = startMemory[address] as number;
  });
  for (const block of outcome.blocks.values()) {
    if (!block.isNew) continue;
    for (let index = 0; index < blockBytes; index++) {
      const at = block.disk * blockBytes + index;
      const byte = outcome.disk[at];
      if (byte !== 0 && byte !== expected[at]) {
        expect.fail(`stale byte ${String(byte)} at ${String(at)} of the disk`);
      }
    }
  }
}

const ERRORS = ['EFAULT', 'EIO', 'ENOSPC'];

describe.each(REVISION_PROMISES)('direct I/O of revision $id', (revision) => {
  const { keeps } = revision;
  const always = (op: 'r' | 'w', faults: boolean, check: (one: Case, outcome: Outcome) => void) => {
    fc.assert(
      fc.property(cases(op, faults), (one) => {
        const outcome = run(revision, one);
        if (outcome !== null) check(one, outcome);
      }),
      { numRuns: RUNS },
    );
  };

  it('puts every byte of a successful write exactly where it belongs', () => {
    always('w', false, (one, outcome) => {
      if (keeps('write-memory')) expect(equal(outcome.memory, startMemory)).toBe(true);
      const { result } = outcome;
      // The disk is small: an allocation can find no room.
      if (typeof result !== 'number') expect(result).toBe('ENOSPC');
      if (!keeps('write-place')) return;
      const written = typeof result === 'number' && keeps('write-count') ? result : 0;
      checkDisk(one, outcome, written, false);
      if (keeps('nothing-stale')) checkNothingStale(one, outcome);
    });
  });

  it('reads what the file holds, zeros in holes, and touches no other memory', () => {
    always('r', false, (one, outcome) => {
      const size = one.scenario.size ?? 0;
      expect(equal(outcome.disk, startDisk)).toBe(true);
      expect(outcome.result).toBeTypeOf('number');
      const result = outcome.result as number;
      const inFile = Math.max(0, Math.min(one.totalBytes, size - posOf(one)));
      if (keeps('read-count')) expect(result).toBe(inFile);
      if (!keeps('read-content')) return;
      const buffers = new Set<number>();
      eachByte(one, one.totalBytes, (address) => buffers.add(address));
      eachByte(one, Math.min(result, inFile), (address, at) => {
        const place = diskPlace(one, outcome, posOf(one) + at);
        const expected = place < 0 ? 0 : startDisk[place];
        if (outcome.memory[address] !== expected) {
          expect.fail(`byte ${String(at)} is ${String(outcome.memory[address])}`);
        }
      });
      const stray = outcome.memory.findIndex(
        (byte, at) => byte !== startMemory[at] && !buffers.has(at),
      );
      expect(stray).toBe(-1);
    });
  });

  it('loses nothing and shows nothing stale where memory, disk or map fail during a write', () => {
    always('w', true, (one, outcome) => {
      if (keeps('write-memory')) expect(equal(outcome.memory, startMemory)).toBe(true);
      const { result } = outcome;
      if (typeof result !== 'number') expect(ERRORS).toContain(result);
      if (!keeps('write-place')) return;
      const written = typeof result === 'number' && keeps('write-count') ? result : 0;
      checkDisk(one, outcome, written, one.scenario.bad !== undefined);
      const isDiskSound = one.scenario.bioerr === undefined;
      if (isDiskSound && keeps('nothing-stale')) checkNothingStale(one, outcome);
    });
  });

  it('reports a fault, a disk error or a map error of a read, and never bytes that were not read', () => {
    always('r', true, (one, outcome) => {
      const { result } = outcome;
      expect(equal(outcome.disk, startDisk)).toBe(true);
      if (typeof result !== 'number') {
        expect(ERRORS).toContain(result);
        return;
      }
      if (!keeps('read-content')) return;
      const inFile = Math.max(0, (one.scenario.size ?? 0) - posOf(one));
      eachByte(one, Math.min(result, inFile), (address, at) => {
        const place = diskPlace(one, outcome, posOf(one) + at);
        const expected = place < 0 ? 0 : startDisk[place];
        if (outcome.memory[address] !== expected) expect.fail(`byte ${String(at)} was not read`);
      });
    });
  });
});

describe('promises that a revision says it breaks', () => {
  const told = REVISIONS.flatMap((spec) => spec.changes.map((change) => ({ spec, change })));

  it('are shown in the bug gallery, on that revision or one based on it', () => {
    for (const { spec, change } of told) {
      const { exhibit } = change;
      if (exhibit === undefined) continue;
      const { info } = findExhibit(exhibit);
      const hasIt = (id: string): boolean =>
        resolveRevision(findRevision(id)).changes.some(({ what }) => what === change.what);
      // One of the two has the change, the other has not.
      expect({
        spec: spec.id,
        exhibit,
        has: hasIt(info.oldRevision) !== hasIt(info.fixedRevision),
      }).toEqual({
        spec: spec.id,
        exhibit,
        has: true,
      });
    }
    const shown = new Set(told.map(({ change }) => change.exhibit));
    for (const { info } of EXHIBITS.filter(({ info }) => info.id !== 'sub-block-tails')) {
      expect(shown).toContain(info.id);
    }
  });
});
