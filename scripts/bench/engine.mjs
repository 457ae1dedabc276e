// SPDX-License-Identifier: GPL-2.0-only
/** The engine alone: direct-I/O core and block layer over a device that completes inline, trace off. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './measure.mjs';

export const section = {
  id: 'engine',
  needs: ['bench'],
  title: 'Engine alone (memory device, inline completion, trace off)',
  columns: ['request', 'blocks per mapping', 'ns per request', 'requests per second'],
  async run({ quick }) {
    const { benchEngine } = await import(pathToFileURL(join(root, 'dist/bench/engine.js')).href);
    const rows = benchEngine(quick ? { requestsPerRound: 5000, rounds: 3 } : { rounds: 9 });
    return rows.map((row) => ({
      cells: [
        `${row.requestBytes / 1024} KiB ${row.op}, ${row.revision}`,
        row.blocksPerMapping === null ? 'no limit' : String(row.blocksPerMapping),
        row.nsPerRequest.toFixed(0),
        Math.round(row.requestsPerSecond).toLocaleString('en'),
      ],
      values: row,
      // The aim of the design: a 64 KiB request on one extent.
      aim:
        row.requestBytes === 65536 && row.blocksPerMapping === null
          ? { text: 'under 1,500 ns', isMet: row.nsPerRequest < 1500 }
          : null,
    }));
  },
};
