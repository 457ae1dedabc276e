// SPDX-License-Identifier: GPL-2.0-only
/** Numbers and lines for people: pure functions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import type { RunProgress } from '../contract/types.ts';
import { kindOfJob } from './commands/run.ts';
import { paintWithAnsi, showsColours } from './paint.ts';
import { barText, ProgressLine, progressText } from './progress.ts';
import { bytesText, countText, durationText } from './quantities.ts';
import { parseSizeBytes, parseWhole } from './size.ts';
import type { Terminal } from './terminal.ts';

const PROGRESS: RunProgress = {
  phase: 'running',
  phaseText: 'running',
  elapsedNs: 1e9,
  fraction: 0.5,
  remainingNs: 2.5e9,
  doneIos: 10,
  doneBytes: 40960,
  inFlight: 3,
  depth: 4,
  latest: {
    atNs: 1e9,
    readIops: 41_000,
    writeIops: 300,
    readBytesPerSecond: 168e6,
    writeBytesPerSecond: 0,
    p50Ns: 20_000,
    p99Ns: 812_000,
    p999Ns: 1e6,
    inFlight: 3,
  },
  engineUserPercent: 50,
  engineSystemPercent: 10,
};

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['4k', 4096],
    ['4K', 4096],
    ['4KiB', 4096],
    ['4kb', 4000],
    ['1.5g', 1_610_612_736],
    ['2T', 2_199_023_255_552],
  ])('reads %s as %i bytes', (text, bytes) => {
    expect(parseSizeBytes(text, '--size')).toBe(bytes);
  });
  it.each(['', 'big', '-1', '1x', '0.3', '1e3', '99999999t', '4 096'])('refuses %j', (text) => {
    expect(() => parseSizeBytes(text, '--size')).toThrow(HostError);
  });
  it('reads every whole number of bytes as itself', () => {
    fc.assert(
      fc.property(fc.nat(), (bytes) => parseSizeBytes(String(bytes), '--size') === bytes),
      { verbose: true },
    );
  });
  it('reads whole numbers in a range', () => {
    expect(parseWhole('80', '--port', 0, 65535)).toBe(80);
    for (const text of ['', '-1', '65536', '8080x', '1.5']) {
      expect(() => parseWhole(text, '--port', 0, 65535), text).toThrow(HostError);
    }
  });
});

describe('numbers for people', () => {
  it('scales and labels', () => {
    expect(durationText(812)).toBe('812 ns');
    expect(durationText(41_300)).toBe('41.3 us');
    expect(durationText(1_200_000)).toBe('1.20 ms');
    expect(durationText(200e9)).toBe('3 min 20 s');
    expect(bytesText(512)).toBe('512 B');
    expect(bytesText(1536)).toBe('1.50 KiB');
    expect(countText(950)).toBe('950');
    expect(countText(41_300)).toBe('41.3 k');
  });
});

describe('the progress line', () => {
  it('shows a bar, or dots where the end cannot be known', () => {
    expect(barText(0.5)).toBe('[############............]  50 %');
    expect(barText(2)).toContain('100 %');
    expect(barText(null)).toContain('--');
  });
  it('fits the terminal', () => {
    expect(progressText(PROGRESS, 200)).toBe(
      '[############............]  50 %  running  2.50 s left  41.3 k IOPS  160 MiB/s  p99 812 us',
    );
    expect(progressText(PROGRESS, 80)).toBe(
      '[############............]  50 %  running  2.50 s left  41.3 k IOPS  160 MiB/s',
    );
    expect(progressText(PROGRESS, 45)).toBe('[############............]  50 %  running');
  });
  it('draws on a terminal only', () => {
    const drawn: string[] = [];
    const terminal = (isInteractive: boolean): Terminal =>
      ({
        isInteractive,
        columns: 80,
        error: (text: string) => drawn.push(text),
      }) as unknown as Terminal;
    const piped = new ProgressLine(terminal(false));
    piped.show(PROGRESS);
    piped.end();
    expect(drawn).toEqual([]);
    const shown = new ProgressLine(terminal(true));
    shown.show(PROGRESS);
    shown.end();
    shown.end();
    expect(drawn).toHaveLength(2);
    expect(drawn[0]).toMatch(/^\r/);
  });
});

describe('colours', () => {
  it('are escape codes around the text, and only on a terminal that wants them', () => {
    expect(paintWithAnsi('bad', 'x')).toBe('\x1b[31mx\x1b[39m');
    expect(paintWithAnsi('plain', 'x')).toBe('x');
    expect(showsColours(true, {})).toBe(true);
    expect(showsColours(false, {})).toBe(false);
    expect(showsColours(true, { NO_COLOR: '1' })).toBe(false);
    expect(showsColours(true, { TERM: 'dumb' })).toBe(false);
  });
});

describe('the kind of a job file', () => {
  it.each([
    ['a.yaml', '[x]', 'yaml'],
    ['a.yml', '', 'yaml'],
    ['a.fio', 'name: x', 'fio'],
    ['a.job', '', 'fio'],
    ['a', '; comment\n[global]\nrw=read\n', 'fio'],
    ['-', 'name: x\njobs:\n  - rw: read\n', 'yaml'],
    ['-', 'jobs: [a, b]\n', 'yaml'],
  ])('%s %j is %s', (name, text, kind) => {
    expect(kindOfJob(name, text)).toBe(kind);
  });
});
