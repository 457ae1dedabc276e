// SPDX-License-Identifier: GPL-2.0-only
/** judgeAlignment against worked cases and against the kernel's own expression. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeAlignment, type AlignmentQuestion } from './alignment.ts';

const question = (changes: Partial<AlignmentQuestion> = {}): AlignmentQuestion => ({
  offsetBytes: 0,
  lengthBytes: 4096,
  memoryBytes: 0,
  fsBlockBytes: 4096,
  logicalBlockBytes: 512,
  ...changes,
});

describe('judgeAlignment', () => {
  it('passes in file system blocks where all three are multiples', () => {
    const verdict = judgeAlignment(question({ offsetBytes: 8192, lengthBytes: 65536 }));
    expect(verdict).toMatchObject({ passes: true, unitBytes: 4096, blockFactorBits: 0 });
    expect(verdict.offenders).toEqual([]);
    expect(verdict.nearest).toEqual([]);
  });

  it('falls to the logical block, says why, and offers the large unit', () => {
    const verdict = judgeAlignment(question({ lengthBytes: 4608, memoryBytes: 512 }));
    expect(verdict).toMatchObject({ passes: true, unitBytes: 512, blockFactorBits: 3 });
    expect(verdict.offenders).toEqual(['length', 'memory']);
    expect(verdict.nearest[0]).toEqual({ offsetBytes: 0, lengthBytes: 4096, memoryBytes: 0 });
  });

  it('refuses what is finer than the logical block', () => {
    const verdict = judgeAlignment(question({ offsetBytes: 1000, lengthBytes: 4096 }));
    expect(verdict).toMatchObject({ passes: false, unitBytes: null, blockFactorBits: null });
    expect(verdict.offenders).toEqual(['offset']);
    expect(verdict.text).toContain('offset 1000 is not a multiple of 512 bytes');
    expect(verdict.nearest.map((near) => near.offsetBytes)).toEqual([1024, 512]);
  });

  it('has no smaller unit on a 4096-byte device or without a device', () => {
    for (const logicalBlockBytes of [4096, null]) {
      const verdict = judgeAlignment(question({ lengthBytes: 512, logicalBlockBytes }));
      expect(verdict.passes).toBe(false);
      expect(verdict.nearest).toEqual([{ offsetBytes: 0, lengthBytes: 4096, memoryBytes: 0 }]);
    }
  });

  it('agrees with the kernel expression, and what it proposes passes', () => {
    const size = fc.constantFrom(512, 1024, 2048, 4096);
    const steps = fc.constantFrom(1, 256, 512, 1024, 4096);
    const value = (max: number) =>
      fc
        .tuple(fc.integer({ min: 0, max }), steps)
        .map(([count, step]) => Math.floor(count / step) * step);
    fc.assert(
      fc.property(
        fc.record({
          offsetBytes: value(1 << 20),
          lengthBytes: value(1 << 20),
          memoryBytes: value(4095),
          fsBlockBytes: size,
          logicalBlockBytes: size,
        }),
        (asked) => {
          fc.pre(asked.logicalBlockBytes <= asked.fsBlockBytes);
          const align = asked.offsetBytes | asked.lengthBytes | asked.memoryBytes;
          const large = (align & (asked.fsBlockBytes - 1)) === 0;
          const small = (align & (asked.logicalBlockBytes - 1)) === 0;
          const verdict = judgeAlignment(asked);
          expect(verdict.passes).toBe(large || small);
          expect(verdict.unitBytes).toBe(
            large ? asked.fsBlockBytes : small ? asked.logicalBlockBytes : null,
          );
          expect(verdict.offenders.length > 0).toBe(!large);
          if (!large) expect(verdict.nearest.length).toBeGreaterThan(0);
          for (const near of verdict.nearest) {
            expect(judgeAlignment({ ...asked, ...near }).passes).toBe(true);
          }
        },
      ),
    );
  });
});
