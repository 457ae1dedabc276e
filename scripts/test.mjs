// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm test [-- FILTER...]`: everything this machine can check, in one command. Installs and builds what is missing, runs every step
 * even where one fails, names what it skipped and the one line that would install it, and ends with one line of counts alone:
 * `N passed, N failed` or `N passed, N failed, N skipped`. A check step counts as one, a vitest test as one.
 *
 *   npm test                     all steps
 *   npm test -- unit native      these steps
 *   npm test -- main/cli         vitest files whose path contains this, in every vitest step
 *   DIOLAB_REQUIRE_ALL=1         what is missing fails instead of being skipped
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { installMissing } from './install.mjs';

const root = join(import.meta.dirname, '..');
const resultsFolder = join(root, 'test-results');
const requireAll = process.env['DIOLAB_REQUIRE_ALL'] === '1';
const say = (line) => process.stdout.write(`${line}\n`);

const totals = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const skips = [];
let current = null;

/** Runs a program of node_modules under this Node; its output goes through. Returns the exit status and what it printed. */
function run(program, words, { quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', program), ...words], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        // Building sets it to 'production' in this process, and Vue would then leave out what its test tools look at.
        NODE_ENV: 'test',
        ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
      },
    });
    current = child;
    let output = '';
    const take = (data) => {
      output += data;
      if (!quiet) process.stdout.write(data);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => resolve({ status: 1, output: error.message }));
    child.on('close', (status) => resolve({ status: status ?? 1, output }));
  });
}

function count(name, ok, output = '') {
  if (ok) {
    totals.passed += 1;
    say(`  ok      ${name}`);
    return;
  }
  totals.failed += 1;
  failures.push(name);
  say(`  FAILED  ${name}`);
  if (output !== '') say(output.trimEnd());
}

/** Counts of vitest's JSON report; a file that could not even be loaded counts as one failure. */
export function countReport(report) {
  const counts = { passed: 0, failed: 0, skipped: 0, failedNames: [], skippedNames: [] };
  for (const file of report.testResults ?? []) {
    const tests = file.assertionResults ?? [];
    for (const test of tests) {
      const name = `${file.name}: ${test.fullName}`;
      if (test.status === 'passed') counts.passed += 1;
      else if (test.status === 'failed') {
        counts.failed += 1;
        counts.failedNames.push(name);
      } else {
        counts.skipped += 1;
        counts.skippedNames.push(name);
      }
    }
    const isBroken = file.status === 'failed' && !tests.some((test) => test.status === 'failed');
    if (isBroken) {
      counts.failed += 1;
      counts.failedNames.push(`${file.name}: ${file.message || 'could not be run'}`);
    }
  }
  return counts;
}

async function vitest(step, filters) {
  const reportPath = join(resultsFolder, `${step.id.replace(/\W/g, '-')}.json`);
  rmSync(reportPath, { force: true });
  const words = ['run', '--project', step.project, '--passWithNoTests', '--reporter=dot'];
  words.push('--reporter=json', `--outputFile.json=${reportPath}`);
  // Vitest leaves a processor free, which on two of them is half the machine.
  words.push(`--maxWorkers=${String(availableParallelism())}`);
  for (const pattern of step.exclude ?? []) words.push('--exclude', pattern);
  const { status } = await run('vitest/vitest.mjs', [...words, ...(step.only ?? []), ...filters]);
  if (!existsSync(reportPath)) {
    // No report: no tests matched (fine), or vitest itself fell over.
    if (status !== 0) count(`${step.id}: vitest ended with status ${String(status)}`, false);
    return;
  }
  const counts = countReport(JSON.parse(readFileSync(reportPath, 'utf8')));
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  totals.skipped += counts.skipped;
  failures.push(...counts.failedNames.map((name) => name.replace(`${root}/`, '')));
  skips.push(...counts.skippedNames.map((name) => name.replace(`${root}/`, '')));
  // Errors outside any test (an unhandled rejection) end vitest with a status and are in no test's name.
  if (status !== 0 && counts.failed === 0) count(`${step.id}: errors outside the tests`, false);
}

const checkSteps = {
  async types() {
    const { typecheck } = await import('./typecheck.mjs');
    await typecheck((id, ok, output) => count(`types of ${id}`, ok, output));
  },
  async layers() {
    const { checkLayers } = await import('./layers.mjs');
    const { errors, fileCount } = checkLayers(root);
    count(`layer table, ${String(fileCount)} files`, errors.length === 0, errors.join('\n'));
  },
  async lint() {
    const lint = await run('eslint/bin/eslint.js', ['.'], { quiet: true });
    count('eslint', lint.status === 0, lint.output);
    const style = await run('prettier/bin/prettier.cjs', ['--check', '.'], { quiet: true });
    count('prettier', style.status === 0, style.output);
  },
  async build() {
    const { build } = await import('./build.mjs');
    try {
      const built = await build({ log: (line) => say(`  ${line}`) });
      count(built.length === 0 ? 'build (up to date)' : 'build', true);
    } catch (error) {
      count('build', false, error.message);
    }
  },
};

const steps = [
  { id: 'types', run: checkSteps.types },
  { id: 'layers', run: checkSteps.layers },
  { id: 'lint', run: checkSteps.lint },
  { id: 'build', run: checkSteps.build },
  { id: 'unit', project: 'unit', exclude: ['main/desktop/**'] },
  { id: 'desktop glue', project: 'unit', only: ['main/desktop/'] },
  { id: 'renderer', project: 'renderer' },
  { id: 'conformance', project: 'conformance' },
  { id: 'property', project: 'property' },
  { id: 'trust', project: 'trust' },
  { id: 'native', project: 'native' },
  { id: 'packaging', project: 'packaging' },
  { id: 'e2e', project: 'e2e' },
];

/** Steps and file filters that the words ask for. */
export function chooseSteps(words) {
  const named = (word) =>
    steps.some((step) => step.id === word || step.id === word.replace('-', ' '));
  const ids = words.filter(named).map((word) => word.replace('-', ' '));
  const filters = words.filter((word) => !named(word)).map((word) => relative(root, word) || word);
  const chosen = steps.filter(
    (step) =>
      (ids.length === 0 || ids.includes(step.id)) &&
      // A file filter is about tests: check steps run only where they are named, but what is tested must be built.
      (filters.length === 0 ||
        step.project !== undefined ||
        ids.includes(step.id) ||
        step.id === 'build'),
  );
  return { chosen, filters };
}

/** What the machine lacks, and the one line that installs it. */
async function reportTools() {
  const { missingTools } = await import('./tools-table.mjs');
  const missing = missingTools();
  if (missing.length === 0) return;
  say('\nThis machine lacks:');
  for (const tool of missing) {
    const programs = tool.programs.join(', ');
    say(`  ${programs}: ${tool.usedFor}`);
    if (requireAll) count(`has ${programs} (DIOLAB_REQUIRE_ALL=1)`, false);
  }
  const packages = [...new Set(missing.map((tool) => tool.package))].join(' ');
  say(`To run what needs it: sudo apt-get install -y ${packages}`);
}

async function main() {
  const words = process.argv.slice(2);
  if (words.includes('--help')) {
    say('npm test [-- STEP... FILTER...]');
    say(
      `steps: ${steps.map((step) => step.id.replace(' ', '-')).join(', ')}; a filter is part of a test file's path`,
    );
    return;
  }
  installMissing(say);
  mkdirSync(resultsFolder, { recursive: true });
  const { chosen, filters } = chooseSteps(words);
  for (const step of chosen) {
    const startedAtMs = Date.now();
    say(`\n== ${step.id}`);
    if (step.project === undefined) await step.run();
    else await vitest(step, filters);
    say(`   ${step.id}: ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s`);
  }
  if (skips.length > 0) {
    say('\nSkipped:');
    for (const name of skips) say(`  ${name}`);
  }
  await reportTools();
  if (failures.length > 0) {
    say('\nFailed:');
    for (const name of failures) say(`  ${name}`);
  }
  const tail = totals.skipped > 0 ? `, ${String(totals.skipped)} skipped` : '';
  say(`\n${String(totals.passed)} passed, ${String(totals.failed)} failed${tail}`);
  process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) {
  process.on('SIGINT', () => {
    current?.kill('SIGINT');
    process.exit(130);
  });
  await main();
}
