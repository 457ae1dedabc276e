// SPDX-License-Identifier: GPL-2.0-only
/**
 * Against fio, in pairs on the same data: the executors alone, the engine's whole path on a raw image, and through ext2 in an image
 * against fio on the kernel's own mount of that image.
 */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../tools-table.mjs';
import { capture } from './measure.mjs';

const MIB = 2 ** 20;
/** The loads of loads.ts by id, one process each. */
const LOADS = [
  'sync-randread-4k-qd1',
  'libaio-randread-4k-qd32',
  'io_uring-randread-4k-qd32',
  'io_uring-randwrite-4k-qd32',
  'io_uring-read-1m-qd8',
];

const asRow = (row) => ({
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
});

/**
 * A file written whole: holes and unwritten blocks would be read from nowhere. And written out: a direct read that meets a dirty page
 * of the host's cache waits for its write, and whoever is measured first would pay for all of them.
 */
function writeWhole(path, sizeBytes) {
  const piece = Buffer.alloc(MIB, 0xa5);
  const fd = openSync(path, 'w');
  for (let at = 0; at < sizeBytes; at += MIB) writeSync(fd, piece);
  fsyncSync(fd);
  closeSync(fd);
}

/** A section over one function of dist/bench: `module` and `name` as in call.mjs, `prefix` of its ids. */
const makeSection = ({ id, title, module, name, prefix, needsRoot }) => ({
  id,
  title,
  columns: ['what', 'diolab', 'fio', 'ratio'],
  needs: ['bench'],
  async run({ quick, folder, log }) {
    const missing = (why) => [{ cells: ['all', 'not measured', why, ''], values: null, aim: null }];
    if (findProgram('fio') === null) return missing('fio is missing');
    if (needsRoot && process.getuid?.() !== 0) return missing('the kernel mount needs root');
    const sizeBytes = (quick ? 128 : 1024) * MIB;
    const path = join(folder, `${id}.img`);
    writeWhole(path, sizeBytes);
    const rows = [];
    for (const load of LOADS) {
      log(`${prefix}.${load}`);
      const options = {
        path,
        sizeBytes,
        pairs: quick ? 1 : 5,
        runtimeMs: quick ? 1000 : 3000,
        only: [`${prefix}.${load}`],
      };
      const words = [join(import.meta.dirname, 'call.mjs'), module, name, JSON.stringify(options)];
      const output = await capture(process.execPath, words);
      rows.push(...JSON.parse(output).map(asRow));
    }
    rmSync(path);
    return rows;
  },
});

export const sections = [
  makeSection({
    id: 'executors',
    title: 'Executors alone against fio (medians of pairs)',
    module: 'executors',
    name: 'benchRaw',
    prefix: 'executor',
    needsRoot: false,
  }),
  makeSection({
    id: 'raw',
    title: 'The whole path on a raw image, against fio on the same file (medians of pairs)',
    module: 'path',
    name: 'benchEngineRaw',
    prefix: 'raw',
    needsRoot: false,
  }),
  makeSection({
    id: 'ext2',
    title: "Through ext2 in an image, against fio on the kernel's mount of it (medians of pairs)",
    module: 'path',
    name: 'benchEngineExt2',
    prefix: 'ext2',
    needsRoot: true,
  }),
];
