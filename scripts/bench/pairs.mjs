// SPDX-License-Identifier: GPL-2.0-only
/**
 * Pairs: the same fio job through `diolab run` and through fio, one after the other on the same data, the order swapped each round;
 * medians of the ratios of each round. Raw: engine and fio on the same image file. ext2: the engine on a file inside the image against
 * fio on the kernel's own mount of that image, over a loop device with direct I/O (needs root).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../tools-table.mjs';
import { capture, diolab, median } from './measure.mjs';

const CASES = [
  {
    name: '4 KiB random read, psync, depth 1',
    rw: 'randread',
    bs: '4k',
    ioengine: 'psync',
    iodepth: 1,
  },
  {
    name: '4 KiB random read, libaio, depth 32',
    rw: 'randread',
    bs: '4k',
    ioengine: 'libaio',
    iodepth: 32,
  },
  {
    name: '4 KiB random read, io_uring, depth 32',
    rw: 'randread',
    bs: '4k',
    ioengine: 'io_uring',
    iodepth: 32,
  },
  {
    name: '4 KiB random write, io_uring, depth 32',
    rw: 'randwrite',
    bs: '4k',
    ioengine: 'io_uring',
    iodepth: 32,
  },
  {
    name: '1 MiB sequential read, io_uring, depth 8',
    rw: 'read',
    bs: '1m',
    ioengine: 'io_uring',
    iodepth: 8,
  },
];
const SIZE_MIB = 1024;

const jobText = (test, filename, seconds, extra = '') =>
  `[job]\nfilename=${filename}\nrw=${test.rw}\nbs=${test.bs}\nioengine=${test.ioengine}\niodepth=${test.iodepth}\n` +
  `direct=1\nsize=${SIZE_MIB}m\nruntime=${seconds}\ntime_based\nrandseed=7\nnorandommap\n${extra}`;

const iopsOf = (json) => {
  const { read, write } = JSON.parse(json).jobs[0];
  return read.iops + write.iops;
};

async function fioIops(folder, test, filename, seconds) {
  const job = join(folder, 'fio.fio');
  writeFileSync(job, jobText(test, filename, seconds));
  return iopsOf(await capture('fio', ['--output-format=json', job]));
}

async function diolabIops(folder, test, image, seconds, fileSystem, file) {
  const job = join(folder, 'diolab.fio');
  writeFileSync(job, jobText(test, image, seconds));
  const words = [
    diolab,
    'run',
    job,
    '--output',
    'json',
    '--consent',
    '--set',
    `filesystem=${fileSystem}`,
  ];
  if (file !== null) words.push('--set', `file=${file}`);
  words.push('--set', 'trace=off');
  const env = { DIOLAB_DATA: join(folder, 'data') };
  return iopsOf(await capture(process.execPath, words, { env }));
}

/** Runs a case in rounds; the side that goes first alternates. */
async function pair(test, rounds, ours, theirs) {
  const results = [];
  for (let round = 0; round < rounds; round += 1) {
    const pairOf = {};
    const order = round % 2 === 0 ? ['ours', 'theirs'] : ['theirs', 'ours'];
    for (const side of order) pairOf[side] = await (side === 'ours' ? ours(test) : theirs(test));
    results.push(pairOf);
  }
  const ratio = median(results.map((each) => each.ours / each.theirs));
  const ourIops = median(results.map((each) => each.ours));
  const theirIops = median(results.map((each) => each.theirs));
  return { ratio, ourIops, theirIops, results };
}

const asRow = (ground, test, found, limit) => ({
  cells: [
    `${ground}: ${test.name}`,
    Math.round(found.ourIops).toLocaleString('en'),
    Math.round(found.theirIops).toLocaleString('en'),
    found.ratio.toFixed(2),
  ],
  values: { ground, ...test, ...found },
  aim: { text: `at least ${limit.toFixed(2)}`, isMet: found.ratio >= limit },
});

async function rawPairs(folder, rounds, seconds, log) {
  const image = join(folder, 'raw.img');
  const env = { DIOLAB_DATA: join(folder, 'data') };
  await capture(
    process.execPath,
    [diolab, 'mkfs', image, '--fs', 'raw', '--size', `${SIZE_MIB}m`],
    { env },
  );
  const rows = [];
  for (const test of CASES) {
    log(`raw: ${test.name}`);
    const found = await pair(
      test,
      rounds,
      (each) => diolabIops(folder, each, image, seconds, 'raw', null),
      (each) => fioIops(folder, each, image, seconds),
    );
    rows.push(asRow('raw', test, found, 0.95));
  }
  return rows;
}

/** The kernel's own mount of an image over a loop device with direct I/O; `use` gets its folder. */
async function withMount(image, folder, use) {
  const run = (program, ...words) =>
    execFileSync(findProgram(program) ?? program, words, { encoding: 'utf8' }).trim();
  const device = run('losetup', '--direct-io=on', '-f', '--show', image);
  const mount = join(folder, 'mount');
  try {
    const direct = run('losetup', '-n', '-O', 'DIO', device).trim();
    if (direct !== '1') throw new Error('the loop device did not take direct I/O');
    mkdirSync(mount, { recursive: true });
    run('mount', device, mount);
    try {
      return await use(mount);
    } finally {
      run('umount', mount);
    }
  } finally {
    run('losetup', '-d', device);
  }
}

async function ext2Pairs(folder, rounds, seconds, log) {
  if (process.getuid?.() !== 0) {
    return [
      {
        cells: ['ext2', 'not measured', 'the kernel mount needs root', ''],
        values: null,
        aim: null,
      },
    ];
  }
  const image = join(folder, 'ext2.img');
  const env = { DIOLAB_DATA: join(folder, 'data') };
  await capture(
    process.execPath,
    [diolab, 'mkfs', image, '--fs', 'ext2', '--size', `${SIZE_MIB + 256}m`, '--block-size', '4096'],
    { env },
  );
  // The kernel lays the file out and writes it; both sides then use the same blocks.
  await withMount(image, folder, (mount) =>
    capture('dd', [
      'if=/dev/urandom',
      `of=${join(mount, 'data')}`,
      'bs=1M',
      `count=${SIZE_MIB}`,
      'conv=fsync',
    ]),
  );
  const rows = [];
  for (const test of CASES) {
    log(`ext2: ${test.name}`);
    const found = await pair(
      test,
      rounds,
      (each) => diolabIops(folder, each, image, seconds, 'ext2', '/data'),
      (each) =>
        withMount(image, folder, (mount) => fioIops(folder, each, join(mount, 'data'), seconds)),
    );
    rows.push(asRow('ext2', test, found, 1));
  }
  return rows;
}

export const section = {
  id: 'pairs',
  title: 'Against fio (IOPS, medians of pairs)',
  columns: ['what', 'diolab', 'fio', 'ratio'],
  async run({ quick, folder, log }) {
    if (findProgram('fio') === null) {
      return [{ cells: ['all', 'not measured', 'fio is missing', ''], values: null, aim: null }];
    }
    const rounds = quick ? 1 : 5;
    const seconds = quick ? 2 : 8;
    return [
      ...(await rawPairs(folder, rounds, seconds, log)),
      ...(await ext2Pairs(folder, rounds, seconds, log)),
    ];
  },
};
