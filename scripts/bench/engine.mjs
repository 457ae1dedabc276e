// SPDX-License-Identifier: GPL-2.0-only
/** The engine alone: direct-I/O core and block layer over a device that completes inline, trace off. */
import { join } from 'node:path';
import { capture } from './measure.mjs';

const QUICK = { requestsPerRound: 5000, rounds: 3 };

export const section = {
  id: 'engine',
  needs: ['bench'],
  title: 'Engine alone (revision 6.4, memory device, inline completion, trace off)',
  columns: ['request', 'blocks per mapping', 'ns per request', 'requests per second'],
  async run({ quick }) {
    const options = { revisions: ['6.4'], ...(quick ? QUICK : { rounds: 15 }) };
    const words = [join(import.meta.dirname, 'call.mjs'), 'engine', 'benchEngine'];
    const rows = JSON.parse(await capture(process.execPath, [...words, JSON.stringify(options)]));
    return rows.map((row) => ({
      cells: [
        `${row.requestBytes / 1024} KiB ${row.op}`,
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
