// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBandwidth, formatBytes, formatCount, formatElapsed, formatExactBytes, formatIops, formatLatency,
  formatSizeShares, groupThousands, joinShown, NONE, parseBytes, parseSeconds, parseSizeShares,
} from './numbers.ts'; // prettier-ignore

const thin = (text: string): string => text.replaceAll('_', '\u2009');

describe('numbers for people', () => {
  it('puts thin spaces between thousands and leaves fractions alone', () => {
    expect(groupThousands('1300908.25')).toBe(thin('1_300_908.25'));
    expect(formatCount(999)).toBe('999');
    expect(formatCount(-1536)).toBe(thin('\u22121_536'));
    expect(formatCount(null)).toBe(NONE);
  });
  it('shows latencies with three digits in the unit that fits', () => {
    expect(formatLatency(87)).toEqual({ value: '87', unit: 'ns' });
    expect(formatLatency(271_400)).toEqual({ value: '271', unit: 'µs' });
    expect(formatLatency(1_840_000)).toEqual({ value: '1.84', unit: 'ms' });
    expect(formatLatency(999_900)).toEqual({ value: '1.00', unit: 'ms' });
    expect(formatLatency(undefined)).toEqual({ value: NONE, unit: 'µs' });
  });
  it('shows exact sizes in the largest unit that divides them', () => {
    expect(joinShown(formatExactBytes(4096))).toBe('4\u00a0KiB');
    expect(joinShown(formatExactBytes(1536))).toBe(thin('1_536\u00a0B'));
    expect(joinShown(formatExactBytes(0))).toBe('0\u00a0B');
  });
  it('shows rates and measured sizes with the digits that are known', () => {
    expect(formatBandwidth(429_719_552)).toEqual({ value: '409.8', unit: 'MiB/s' });
    expect(formatBytes(1.5 * 2 ** 30)).toEqual({ value: '1.50', unit: 'GiB' });
    expect(formatIops(104_912.4)).toBe(thin('104_912'));
    expect(formatIops(3.14159)).toBe('3.14');
  });
  it('shows lengths of time as on a clock', () => {
    expect(formatElapsed(12.4e9)).toBe('12.4 s');
    expect(formatElapsed(200e9)).toBe('3 min 20 s');
    expect(formatElapsed(7500e9)).toBe('2 h 05 min');
  });
  it('reads sizes as people write them', () => {
    expect(['4k', '4 KiB', '4096', thin('4_096'), '4096 B'].map(parseBytes)).toEqual(
      Array.from({ length: 5 }, () => 4096),
    );
    expect(parseBytes('1.5g')).toBe(1.5 * 2 ** 30);
    expect(['', 'k', '4x', '0.3', '--4'].map(parseBytes)).toEqual([null, null, null, null, null]);
  });
  it('reads seconds in any unit', () => {
    expect([
      parseSeconds('20'),
      parseSeconds('5 min'),
      parseSeconds('500ms'),
      parseSeconds('x'),
    ]).toEqual([20, 300, 0.5, null]);
  });
  it('reads and writes block size splits in the form of bssplit', () => {
    expect(parseSizeShares('4k/60:64k/40')).toEqual([
      { sizeBytes: 4096, percent: 60 },
      { sizeBytes: 65536, percent: 40 },
    ]);
    expect(parseSizeShares('4k/50:8k:16k')?.map((share) => share.percent)).toEqual([50, 25, 25]);
    expect(parseSizeShares('4k/90:8k/20')).toBeNull();
    expect(parseSizeShares('0')).toBeNull();
  });
  it('reads back every exact size and every split that it shows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 46 }),
        (bytes) => parseBytes(joinShown(formatExactBytes(bytes))) === bytes,
      ),
    );
    const share = fc.record({
      sizeBytes: fc.integer({ min: 1, max: 2 ** 28 }),
      percent: fc.constant(25),
    });
    fc.assert(
      fc.property(fc.array(share, { minLength: 4, maxLength: 4 }), (shares) => {
        expect(parseSizeShares(formatSizeShares(shares))).toEqual(shares);
      }),
    );
  });
});
