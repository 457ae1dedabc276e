// SPDX-License-Identifier: GPL-2.0-only
/** Coverage of the random map, mixes, shapes of the distributions, and that no request ever leaves its area. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HostError, Sfc32 } from '../base/index.ts';
import { rankSource } from './distributions.ts';
import { FreeMap } from './free-map.ts';
import { Permutation } from './permutation.ts';
import { RequestStream, type WorkloadJob, type WorkloadRequest } from './request-stream.ts';

const job = (over: Partial<WorkloadJob> = {}): WorkloadJob => ({
  name: 'job',
  rw: 'randread',
  rwMixReadPercent: 50,
  blockSizes: [{ sizeBytes: 4096, percent: 100 }],
  offsetBytes: 0,
  sizeBytes: null,
  ioSizeBytes: null,
  alignment: { offsetBytes: 0, lengthBytes: 0 },
  timeBased: false,
  randSeed: 1,
  noRandomMap: false,
  distribution: { kind: 'random', parameter: 0 },
  ...over,
});

function take(stream: RequestStream, countMax = Infinity): WorkloadRequest[] {
  const requests: WorkloadRequest[] = [];
  const into = { isWrite: false, fileOffsetBytes: 0, lengthBytes: 0 };
  while (requests.length < countMax && stream.next(into)) requests.push({ ...into });
  return requests;
}
const blocksOf = (requests: WorkloadRequest[], grid = 4096): number[] =>
  requests.flatMap(({ fileOffsetBytes, lengthBytes }) =>
    Array.from(
      { length: Math.ceil(lengthBytes / grid) },
      (_, index) => fileOffsetBytes / grid + index,
    ),
  );
const ascending = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('Permutation and FreeMap', () => {
  it('permutes any count', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), (count, seed) => {
        const permutation = new Permutation(count);
        permutation.reseed(new Sfc32(seed));
        const seen = ascending(count).map((index) => permutation.at(index));
        expect(seen.sort((a, b) => a - b)).toEqual(ascending(count));
      }),
    );
  });

  it('stays inside a count beyond 32 bits', () => {
    const permutation = new Permutation(2 ** 37 + 5);
    permutation.reseed(new Sfc32(3));
    const seen = new Set<number>();
    for (let index = 0; index < 1000; index++) {
      const value = permutation.at(2 ** 36 + index);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(2 ** 37 + 5);
      seen.add(value);
    }
    expect(seen.size).toBe(1000);
  });

  it('finds free blocks as a plain list would', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 70 })), { maxLength: 200 }),
        (count, takes) => {
          const map = new FreeMap(count);
          const free = new Set(ascending(count));
          for (const [from, length] of takes) {
            const start = from % count;
            let expected = -1;
            for (let step = 0; step < count && expected < 0; step++) {
              if (free.has((start + step) % count)) expected = (start + step) % count;
            }
            expect(map.nextFree(start)).toBe(expected);
            if (expected < 0) break;
            let run = 0;
            while (run < length && free.delete(expected + run)) run++;
            expect(map.take(expected, length)).toBe(run);
            expect(map.freeCount).toBe(free.size);
          }
        },
      ),
    );
  });
});

describe('RequestStream', () => {
  it('touches every block exactly once a pass, in another order each pass', () => {
    const stream = new RequestStream(job({ ioSizeBytes: 3 * 1000 * 4096 }), 1000 * 4096);
    const blocks = blocksOf(take(stream));
    expect(blocks).toHaveLength(3000);
    const passes = [0, 1, 2].map((pass) => blocks.slice(pass * 1000, (pass + 1) * 1000));
    for (const pass of passes) expect([...pass].sort((a, b) => a - b)).toEqual(ascending(1000));
    expect(passes[0]).not.toEqual(passes[1]);
  });

  it('covers exactly with mixed block sizes too, cutting what does not fit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), fc.nat(), (blocks, randSeed) => {
        const blockSizes = [
          { sizeBytes: 4096, percent: 50 },
          { sizeBytes: 16384, percent: 30 },
          { sizeBytes: 65536, percent: 20 },
        ];
        const stream = new RequestStream(job({ blockSizes, randSeed }), blocks * 4096);
        const seen = blocksOf(take(stream)).sort((a, b) => a - b);
        expect(seen).toEqual(ascending(blocks));
      }),
    );
  });

  it('goes through the area in order, reads and writes each on their own', () => {
    const only = take(new RequestStream(job({ rw: 'write', offsetBytes: 8192 }), 8192 + 40960));
    expect(only.map((request) => request.fileOffsetBytes)).toEqual(
      ascending(10).map((index) => 8192 + index * 4096),
    );
    const mixed = take(new RequestStream(job({ rw: 'rw', ioSizeBytes: 4096 * 400 }), 4096 * 400));
    for (const isWrite of [false, true]) {
      const own = mixed.filter((request) => request.isWrite === isWrite);
      expect(own.map((request) => request.fileOffsetBytes / 4096)).toEqual(ascending(own.length));
    }
  });

  it('keeps every request inside its area, with dials, splits and every distribution', () => {
    const jobs = fc.record({
      rw: fc.constantFrom('read', 'write', 'rw', 'randread', 'randwrite', 'randrw'),
      sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
      offset: fc.integer({ min: 0, max: 20000 }),
      size: fc.option(fc.integer({ min: 1, max: 300_000 })),
      dial: fc.integer({ min: 0, max: 5000 }),
      lengthDial: fc.integer({ min: -511, max: 5000 }),
      noRandomMap: fc.boolean(),
      kind: fc.constantFrom('random', 'zipf', 'pareto', 'normal'),
      seed: fc.nat(),
    });
    const fileBytes = 250_000;
    fc.assert(
      fc.property(jobs, (drawn) => {
        const workload = job({
          rw: drawn.rw,
          blockSizes: drawn.sizes.map((s) => ({ sizeBytes: s * 512, percent: 1 })),
          offsetBytes: drawn.offset,
          sizeBytes: drawn.size,
          alignment: { offsetBytes: drawn.dial, lengthBytes: drawn.lengthDial },
          timeBased: true,
          randSeed: drawn.seed,
          noRandomMap: drawn.noRandomMap,
          distribution: { kind: drawn.kind, parameter: 0.7 },
        });
        let stream: RequestStream;
        try {
          stream = new RequestStream(workload, fileBytes);
        } catch (error) {
          expect((error as HostError).code).toBe('job.area-too-small');
          return;
        }
        const end = Math.min(fileBytes, drawn.offset + (drawn.size ?? fileBytes));
        for (const request of take(stream, 300)) {
          expect(request.fileOffsetBytes).toBeGreaterThanOrEqual(drawn.offset + drawn.dial);
          expect(request.lengthBytes).toBeGreaterThan(0);
          expect(request.fileOffsetBytes + request.lengthBytes).toBeLessThanOrEqual(end);
          expect((request.fileOffsetBytes - drawn.offset - drawn.dial) % 512).toBe(0);
        }
      }),
    );
  });

  it('mixes reads and writes, and block sizes, as asked', () => {
    const stream = new RequestStream(
      job({
        rw: 'randrw',
        rwMixReadPercent: 70,
        timeBased: true,
        noRandomMap: true,
        blockSizes: [
          { sizeBytes: 4096, percent: 60 },
          { sizeBytes: 8192, percent: 40 },
        ],
      }),
      2 ** 34,
    );
    const requests = take(stream, 50_000);
    const reads = requests.filter((request) => !request.isWrite).length / requests.length;
    const small = requests.filter((request) => request.lengthBytes === 4096).length;
    expect(reads).toBeCloseTo(0.7, 1);
    expect(Math.abs(reads - 0.7)).toBeLessThan(0.01);
    expect(Math.abs(small / requests.length - 0.6)).toBeLessThan(0.01);
  });

  it('is the same for the same seed, and another for another seed, job or clone', () => {
    const first = (seed: number, jobIndex: number, clone: number): WorkloadRequest[] =>
      take(new RequestStream(job({ randSeed: seed, rw: 'randrw' }), 2 ** 24, jobIndex, clone), 100);
    expect(first(5, 0, 0)).toEqual(first(5, 0, 0));
    for (const other of [first(6, 0, 0), first(5, 1, 0), first(5, 0, 1)]) {
      expect(other).not.toEqual(first(5, 0, 0));
    }
  });

  it('gives ranks of zipf their exact share, also for theta 1', () => {
    for (const theta of [0.6, 1, 1.4]) {
      const ranks = rankSource('zipf', theta, 1000);
      const random = new Sfc32(11);
      const hits = new Float64Array(1000);
      const draws = 200_000;
      for (let n = 0; n < draws; n++) (hits[ranks?.drawRank(random) ?? -1] as number)++;
      const zeta = ascending(1000).reduce((sum, rank) => sum + (rank + 1) ** -theta, 0);
      for (const rank of [0, 1, 2, 5, 10, 50]) {
        const expected = (draws * (rank + 1) ** -theta) / zeta;
        const sigma = Math.sqrt(expected);
        expect(Math.abs((hits[rank] as number) - expected)).toBeLessThan(5 * sigma);
      }
    }
  });

  it('sends 80 % of a pareto 0.2 load to 20 % of the blocks, and a normal one to the middle', () => {
    const share = (kind: 'pareto' | 'normal', parameter: number): Map<number, number> => {
      const workload = job({ timeBased: true, distribution: { kind, parameter } });
      const hits = new Map<number, number>();
      for (const block of blocksOf(take(new RequestStream(workload, 1000 * 4096), 50_000))) {
        hits.set(block, (hits.get(block) ?? 0) + 1);
      }
      return hits;
    };
    const pareto = [...share('pareto', 0.2).values()].sort((a, b) => b - a);
    const top = pareto.slice(0, 200).reduce((sum, count) => sum + count, 0);
    expect(Math.abs(top / 50_000 - 0.8)).toBeLessThan(0.02);
    let within = 0;
    for (const [block, count] of share('normal', 10))
      if (Math.abs(block - 500) < 100) within += count;
    expect(Math.abs(within / 50_000 - 0.683)).toBeLessThan(0.02);
  });

  it.each([
    ['zipf', 0],
    ['pareto', 1],
    ['normal', 101],
  ] as const)('refuses %s with parameter %d', (kind, parameter) => {
    expect(() => new RequestStream(job({ distribution: { kind, parameter } }), 2 ** 20)).toThrow(
      HostError,
    );
  });

  it('says where an area is too small for one request', () => {
    expect(() => new RequestStream(job({ offsetBytes: 4096 }), 8191)).toThrow(/no room/);
    expect(
      () => new RequestStream(job({ alignment: { offsetBytes: 0, lengthBytes: -4096 } }), 2 ** 20),
    ).toThrow(/leaves nothing/);
  });
});
