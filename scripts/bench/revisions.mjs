// SPDX-License-Identifier: GPL-2.0-only
/**
 * The engine alone, for every revision, side by side: the same loads in processes of their own, in passes whose order turns, and of all
 * rounds the best, so that other work on the machine does not decide. The ratio is to the fastest revision for the same load.
 */
import { join } from 'node:path';
import { capture } from './measure.mjs';

const RATIO_MAX = 1.3;
const call = (name, options) =>
  capture(process.execPath, [
    join(import.meta.dirname, 'call.mjs'),
    'engine',
    name,
    JSON.stringify(options),
  ]);

const keyOf = ({ op, requestBytes, blocksPerMapping }) =>
  `${requestBytes / 1024} KiB ${op}, ${blocksPerMapping === null ? 'one mapping' : `${blocksPerMapping} a mapping`}`;

export const section = {
  id: 'revisions',
  needs: ['bench'],
  title: 'Every revision, engine alone: ns per request (ratio to the fastest)',
  columns: ['load', 'slowest', 'by revision'],
  async run({ quick }) {
    const ids = JSON.parse(await call('revisionIds', {}));
    const passes = quick ? 2 : 5;
    const options = { requestsPerRound: quick ? 3000 : 5000, rounds: quick ? 8 : 20 };
    /** Load to revision to best time. */
    const best = new Map();
    for (let pass = 0; pass < passes; pass++) {
      const turned = [...ids.slice(pass % ids.length), ...ids.slice(0, pass % ids.length)];
      for (const id of turned) {
        const rows = JSON.parse(await call('benchEngine', { ...options, revisions: [id] }));
        for (const row of rows) {
          const times = best.get(keyOf(row)) ?? new Map();
          times.set(id, Math.min(times.get(id) ?? Infinity, row.bestNsPerRequest));
          best.set(keyOf(row), times);
        }
      }
    }
    return [...best].map(([load, times]) => {
      const fastest = Math.min(...times.values());
      const slowest = Math.max(...times.values()) / fastest;
      const texts = ids.map((id) => {
        const time = times.get(id);
        return `${id}: ${time.toFixed(0)} (${(time / fastest).toFixed(2)})`;
      });
      return {
        cells: [load, slowest.toFixed(2), texts.join(', ')],
        values: { load, nsPerRequest: Object.fromEntries(times), slowest },
        aim: { text: `none over ${RATIO_MAX}`, isMet: slowest <= RATIO_MAX },
      };
    });
  },
};
