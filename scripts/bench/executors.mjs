// SPDX-License-Identifier: GPL-2.0-only
/** The executors alone against fio: what the road to the kernel costs, without the engine above it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from '../build.mjs';
import { findProgram } from '../tools-table.mjs';
import { root } from './measure.mjs';

const MIB = 2 ** 20;

export const section = {
  id: 'executors',
  title: 'Executors alone against fio (medians of pairs)',
  columns: ['what', 'diolab', 'fio', 'ratio'],
  async run({ quick, folder }) {
    if (findProgram('fio') === null) {
      return [{ cells: ['all', 'not measured', 'fio is missing', ''], values: null, aim: null }];
    }
    await build({ only: ['bench'] });
    const { benchRaw } = await import(pathToFileURL(join(root, 'dist/bench/executors.js')).href);
    const sizeBytes = (quick ? 128 : 1024) * MIB;
    const path = join(folder, 'executors.img');
    // Written whole: holes and unwritten blocks would be read from nowhere.
    const piece = Buffer.alloc(MIB, 0xa5);
    writeFileSync(path, '');
    for (let at = 0; at < sizeBytes; at += MIB) writeFileSync(path, piece, { flag: 'a' });
    const rows = benchRaw({
      path,
      sizeBytes,
      pairs: quick ? 1 : 5,
      runtimeMs: quick ? 1000 : 4000,
      only: [],
    });
    return rows.map((row) => ({
      cells: [
        row.title,
        `${Math.round(row.ours).toLocaleString('en')} ${row.unit}`,
        row.peer === null ? '' : `${Math.round(row.peer).toLocaleString('en')} ${row.unit}`,
        row.ratioMedian === null ? '' : row.ratioMedian.toFixed(2),
      ],
      values: row,
      aim:
        row.bar === null
          ? null
          : { text: `at least ${row.bar.toFixed(2)}`, isMet: row.ratioMedian >= row.bar },
    }));
  },
};
