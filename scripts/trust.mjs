// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run trust [-- OPTIONS]`: the trust suites at full size. They run in `npm test`, too, with small sizes.
 *
 *   --suites crash,hostile,writes,maps,faults,kernel-truth     which; all where it is absent
 *   --fs ext2,ext4,fat                                         which file systems; all where it is absent
 *   --states N --images N --lists N --trees N --workloads N    sizes for each image; 10000, 10000, 2000, 1000, 100
 *   --minutes N     most time for each image, a clean stop; 60
 *   --seed N        repeats a run
 *   --record        writes docs/TRUST.md
 *   --kernel-truth  writes docs/KERNEL-TRUTH.md, and runs that suite alone
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram } from './tools-table.mjs';

const root = join(import.meta.dirname, '..');
export const SUITES = ['crash', 'hostile', 'writes', 'maps', 'faults', 'kernel-truth'];

const options = {
  suites: { type: 'string' },
  fs: { type: 'string' },
  states: { type: 'string', default: '10000' },
  images: { type: 'string', default: '10000' },
  lists: { type: 'string', default: '2000' },
  trees: { type: 'string', default: '1000' },
  workloads: { type: 'string', default: '100' },
  minutes: { type: 'string', default: '60' },
  seed: { type: 'string' },
  record: { type: 'boolean', default: false },
  'kernel-truth': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

/** Environment of the suites, from what was asked for. */
export function environmentOf(values, resultsPath) {
  const seed = values.seed ?? String(Date.now() % 1_000_000);
  return {
    DIOLAB_SEED: seed,
    DIOLAB_CRASH_STATES: values.states,
    DIOLAB_HOSTILE_IMAGES: values.images,
    DIOLAB_WRITE_LISTS: values.lists,
    DIOLAB_MAP_TREES: values.trees,
    DIOLAB_FAULT_WORKLOADS: values.workloads,
    DIOLAB_TRUST_MINUTES: values.minutes,
    DIOLAB_TRUST_FULL: '1',
    DIOLAB_TRUST_RESULTS: resultsPath,
    ...(values.fs !== undefined && { DIOLAB_TRUST_FS: values.fs }),
    ...(values['kernel-truth'] && { DIOLAB_WRITE_KERNEL_TRUTH: '1' }),
  };
}

/** Rows of one suite and image, their counts added up: the mutants of one file system are one row. */
export function rowsOf(lines) {
  const rows = new Map();
  for (const line of lines) {
    const { suite, name, count, seed, details } = JSON.parse(line);
    const key = `${suite} ${name}`;
    const row = rows.get(key) ?? { suite, name, count: 0, seed, details: {} };
    rows.set(key, { ...row, count: row.count + count, details: { ...row.details, ...details } });
  }
  return [...rows.values()].sort(
    (a, b) => a.suite.localeCompare(b.suite) || a.name.localeCompare(b.name),
  );
}

export function tableOf(rows) {
  const said = ({ suite, details }) =>
    suite === 'mutants'
      ? Object.keys(details).join('; ')
      : Object.entries(details)
          .map(([name, value]) => `${name} ${String(value)}`)
          .join(', ');
  return [
    '| suite | image | reached | seed | details |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      (row) =>
        `| ${row.suite} | ${row.name} | ${String(row.count)} | ${String(row.seed)} | ${said(row)} |`,
    ),
  ].join('\n');
}

/** What the checkers and makers of this machine are. */
function toolVersions() {
  const asked = [
    ['mke2fs', '-V'],
    ['fsck.fat', '--version'],
    ['mkfs.xfs', '-V'],
    ['mkfs.btrfs', '--version'],
    ['mtools', '--version'],
    ['uname', '-sr'],
  ];
  return asked.flatMap(([program, flag]) => {
    const path = findProgram(program);
    if (path === null) return [];
    const { stdout, stderr } = spawnSync(path, [flag], { encoding: 'utf8' });
    const text = `${stdout}${stderr}`.split('\n')[0].trim();
    return [`${program}: ${text}`];
  });
}

export function page(table, values, isGood) {
  return [
    '# The last run of the trust suites',
    '',
    'Written by `npm run trust -- --record`. `reached` is how many states, images, lists, trees or requests each suite looked at without',
    'finding anything; a suite that finds something fails and is not in the table. Each row is repeated with',
    '`npm run trust -- --seed SEED --suites SUITE`.',
    '',
    '<!-- prettier-ignore-start -->',
    '',
    `- date: ${new Date().toISOString().slice(0, 10)}`,
    `- asked for: ${String(values.states)} crash states, ${String(values.images)} hostile images, ${String(values.lists)} lists, ${String(values.trees)} trees, ${String(values.workloads)} workloads of faults; at most ${String(values.minutes)} minutes an image`,
    `- ended: ${isGood ? 'everything held' : 'something failed; see the rows that are missing'}`,
    ...toolVersions().map((line) => `- ${line}`),
    '',
    table,
    '',
    '<!-- prettier-ignore-end -->',
    '',
  ].join('\n');
}

async function main() {
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(readFileSync(import.meta.filename, 'utf8').split('*/')[0]);
    return;
  }
  const wanted = values['kernel-truth'] ? ['kernel-truth'] : (values.suites?.split(',') ?? SUITES);
  const unknown = wanted.filter((suite) => !SUITES.includes(suite));
  if (unknown.length > 0)
    throw new Error(`no suite ${unknown.join(', ')}; there are ${SUITES.join(', ')}`);
  const folder = mkdtempSync(join(tmpdir(), 'diolab-trust-'));
  const resultsPath = join(folder, 'results.jsonl');
  const files = wanted.map((suite) => `test/trust/${suite}.test.ts`);
  const words = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'trust'];
  const child = spawn(process.execPath, [...words, '--reporter=verbose', ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, NODE_ENV: 'test', ...environmentOf(values, resultsPath) },
  });
  const status = await new Promise((resolve) => {
    process.on('SIGINT', () => child.kill('SIGINT'));
    child.on('close', (code) => resolve(code ?? 1));
  });
  const lines = existsSync(resultsPath)
    ? readFileSync(resultsPath, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];
  rmSync(folder, { recursive: true });
  const table = tableOf(rowsOf(lines));
  process.stdout.write(`\n${table}\n`);
  if (values.record) {
    writeFileSync(join(root, 'docs/TRUST.md'), page(table, values, status === 0));
  }
  process.exitCode = status;
}

if (process.argv[1] === import.meta.filename) await main();
