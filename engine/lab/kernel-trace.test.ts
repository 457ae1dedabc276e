// SPDX-License-Identifier: GPL-2.0-only
/** Lines of the kernel's tracing as rows, and rows as the text of blkparse. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Trace, TRACE, VirtualClock, traceRows } from '../base/index.ts';
import { blkparseLines } from './blkparse.ts';
import { addKernelEvents, compareWithKernel, parseKernelEvents } from './kernel-trace.ts';

const TEXT = `
      node-4711    [001] .....   100.000100: block_bio_queue: 7,3 RS 2048 + 8 [node]
      node-4711    [001] .....   100.000110: block_getrq: 7,3 RS 2048 + 8 [node]
kworker/u8:1-17    [000] d..1.   100.000150: block_rq_issue: 7,3 RS 4096 () 2048 + 8 none,0,0 [kworker/u8:1]
CPU:1 [LOST 12 EVENTS]
  two words-4712   [000] .....   100.000300: block_split: 7,3 WS 4096 / 6144 [two words]
      node-4711    [001] .....   100.000200: block_rq_complete: 7,3 RS () 2048 + 8 none,0,0 [-5]
      node-4711    [001] .....   100.000400: block_bio_queue: 7,3 FF 0 + 0 [node]
      node-4711    [001] .....   100.000500: block_bio_complete: 7,3 RS 2048 + 8 [0]
what is this
`;

it('reads the events of a device, in the order of their times', () => {
  const { events, lostCount, unknownCount } = parseKernelEvents(TEXT);
  expect(lostCount).toBe(12);
  expect(unknownCount).toBe(1);
  const trace = new Trace(new VirtualClock(), 100);
  addKernelEvents(trace, { events, lostCount, unknownCount }, -100e9);
  const rows = traceRows(trace.columns()).map(({ kind, atNs, values }) => [
    kind,
    Math.round(atNs),
    ...values,
  ]);
  expect(rows).toEqual([
    ['kernel-queue', 100_000, 2048, 4096, 0, 1, 4711],
    ['kernel-request', 110_000, 2048, 4096, 0, 1, 4711],
    ['kernel-issue', 150_000, 2048, 4096, 0, 1, 17],
    ['kernel-end', 200_000, 2048, 4096, 0, 1, 4711, -5],
    ['kernel-split', 300_000, 4096, 6144, 1, 1, 4712],
    ['kernel-queue', 400_000, 0, 0, 2, 16, 4711],
  ]);
});

it('holds the engine’s requests against the kernel’s bios', () => {
  const trace = new Trace(new VirtualClock(), 100);
  expect(compareWithKernel(trace.columns())).toBeNull();
  trace.add(TRACE.dispatch, 0, -1, 2048, 4096, 0, 1);
  trace.add(TRACE.dispatch, 0, -1, 64, 512, 1, 2);
  trace.add(TRACE.dispatch, 0, -1, -1, 0, 2, 3);
  addKernelEvents(trace, parseKernelEvents(TEXT), 0);
  trace.addAt(0, TRACE['kernel-queue'], [9999, 512, 0, 0, 1]);
  const found = compareWithKernel(trace.columns());
  expect(found).toMatchObject({ predicted: 3, actual: 3, equal: 2 });
  expect(found?.onlyPredicted).toMatchObject([{ op: 1, sectorStart: 64, sizeBytes: 512 }]);
  expect(found?.onlyActual).toMatchObject([{ sectorStart: 9999 }]);
});

it('writes what blkparse would print', () => {
  const trace = new Trace(new VirtualClock(), 100);
  trace.add(TRACE['bio-submit'], 1, 1, 2048, 4096, 1, 1, 1);
  trace.add(TRACE.dispatch, 0, -1, 2048, 4096, 1, 1);
  addKernelEvents(trace, parseKernelEvents(TEXT), -100e9);
  const lines = [...blkparseLines(trace.columns(), { device: '7,3', startNs: 0 })];
  expect(lines.slice(0, 3)).toEqual([
    '   0,0   0        1      0.000000000     0  Q  WS 2048 + 8 [engine]\n',
    '   0,0   0        2      0.000000000     0  D   W 2048 + 8 [engine]\n',
    '   7,3   0        3      0.000100000  4711  Q  RS 2048 + 8 [kernel]\n',
  ]);
  expect(lines[6]).toBe('   7,3   0        7      0.000300000  4712  X  WS 4096 / 6144 [kernel]\n');
  expect(lines[5]).toBe('   7,3   0        6      0.000200000  4711  C  RS 2048 + 8 [-5]\n');
});

it('never throws, whatever the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      parseKernelEvents(text);
    }),
  );
});
