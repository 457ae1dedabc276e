// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import {
  bandwidthText,
  bytesText,
  countText,
  durationText,
  numberText,
  percentText,
} from './words.ts';

/** Thin and narrow spaces as plain ones, so that the table can be read. */
const plain = (text: string): string => text.replaceAll(/[\u2009\u202f]/g, ' ');

describe('numbers for people', () => {
  it.each([
    [0, 0, '0'],
    [999, 0, '999'],
    [1234, 0, '1234'],
    [12345, 0, '12 345'],
    [1234567.891, 2, '1 234 567.89'],
    [1.5, 2, '1.5'],
    [2.004, 2, '2'],
    [-5, 0, '−5'],
    [-0.001, 2, '0'],
    [NaN, 0, 'NaN'],
  ])('numberText(%d, %d) is %s', (value, digits, text) => {
    expect(plain(numberText(value, digits))).toBe(text);
  });
  it.each([
    [0, '0 B'],
    [512, '512 B'],
    [4096, '4 KiB'],
    [1536, '1.5 KiB'],
    [2 ** 30, '1 GiB'],
    [123456789, '118 MiB'],
    [1048577, '1 MiB'],
  ])('bytesText(%d) is %s', (bytes, text) => {
    expect(plain(bytesText(bytes))).toBe(text);
  });
  it.each([
    [0, '0 ns'],
    [871, '871 ns'],
    [83_500, '83.5 µs'],
    [999_600, '1 ms'],
    [1_234_000, '1.23 ms'],
    [12e9, '12 s'],
    [185e9, '3 min 5 s'],
    [120e9, '2 min'],
  ])('durationText(%d) is %s', (ns, text) => {
    expect(plain(durationText(ns))).toBe(text);
  });
  it('says rates, shares and counts', () => {
    expect(plain(bandwidthText(482 * 2 ** 20))).toBe('482 MiB/s');
    expect(plain(percentText(1, 3))).toBe('33.3 %');
    expect(plain(percentText(0, 0))).toBe('0 %');
    expect(countText(1, 'request')).toBe('1 request');
    expect(countText(2, 'flush', 'flushes')).toBe('2 flushes');
  });
});
