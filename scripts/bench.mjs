// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run bench [-- --quick] [--json] [--readme] [SECTION...]`: measures this checkout on this machine. Prints a table a section,
 * writes everything to bench-results/, and with --readme puts the tables into the README with the date and the machine.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installMissing } from './install.mjs';

const root = join(import.meta.dirname, '..');
const words = process.argv.slice(2);
const has = (name) => words.includes(name);
const asked = words.filter((word) => !word.startsWith('--'));
const note = (line) => process.stderr.write(`${line}\n`);

/** A section as a Markdown table; the aim of a row and whether it is met come last. */
export function tableOf({ title, columns, rows }) {
  const head = [...columns, 'aim'];
  const lines = rows.map(({ cells, aim }) => {
    const padded = [...cells, ...Array(Math.max(0, columns.length - cells.length)).fill('')];
    const verdict = aim === null ? '' : `${aim.text}: ${aim.isMet ? 'met' : 'NOT met'}`;
    return `| ${[...padded, verdict].join(' | ')} |`;
  });
  return [
    `**${title}**`,
    '',
    `| ${head.join(' | ')} |`,
    `| ${head.map(() => '---').join(' | ')} |`,
    ...lines,
  ].join('\n');
}

/** The README with these tables between its marks. */
export function withBench(readme, text) {
  const start = '<!-- bench -->';
  const end = '<!-- /bench -->';
  const from = readme.indexOf(start);
  const to = readme.indexOf(end);
  if (from < 0 || to < from)
    throw new Error(`the marks ${start} and ${end} are missing in README.md`);
  return `${readme.slice(0, from + start.length)}\n\n${text}\n\n${readme.slice(to)}`;
}

async function loadSections() {
  const engine = await import('./bench/engine.mjs');
  const fio = await import('./bench/fio.mjs');
  const revisions = await import('./bench/revisions.mjs');
  const startUp = await import('./bench/start-up.mjs');
  const memory = await import('./bench/memory.mjs');
  return [...fio.sections, engine.section, revisions.section, startUp.section, memory.section];
}

async function main() {
  installMissing(note);
  const { build } = await import('./build.mjs');

  const { machine } = await import('./bench/measure.mjs');
  const all = await loadSections();
  const unknown = asked.filter((id) => !all.some((section) => section.id === id));
  if (unknown.length > 0) {
    note(`no such section: ${unknown.join(', ')}; there are ${all.map(({ id }) => id).join(', ')}`);
    return 64;
  }
  const results = join(root, 'bench-results');
  mkdirSync(results, { recursive: true });
  // Beside the sources: images must lie on a real disk, and /tmp may be memory.
  const folder = mkdtempSync(join(results, 'work-'));
  const report = {
    date: new Date().toISOString(),
    machine: machine(),
    quick: has('--quick'),
    sections: [],
  };
  let failures = 0;
  try {
    for (const section of all.filter(({ id }) => asked.length === 0 || asked.includes(id))) {
      note(`== ${section.title}`);
      try {
        await build({ only: section.needs, log: note });
        const rows = await section.run({ quick: has('--quick'), folder, log: note });
        report.sections.push({
          id: section.id,
          title: section.title,
          columns: section.columns,
          rows,
        });
        if (!has('--json')) console.log(`\n${tableOf({ ...section, rows })}`);
      } catch (error) {
        failures += 1;
        note(`${section.id}: ${error.message}`);
        report.sections.push({ id: section.id, title: section.title, failure: error.message });
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const file = join(results, `${report.date.replace(/[:.]/g, '-')}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  note(`written to bench-results/${file.slice(results.length + 1)}`);
  if (has('--json')) console.log(JSON.stringify(report, null, 2));
  if (has('--readme')) {
    const tables = report.sections.filter(({ rows }) => rows !== undefined).map(tableOf);
    const text = [`Measured on ${report.date.slice(0, 10)}: ${report.machine}.`, ...tables].join(
      '\n\n',
    );
    const path = join(root, 'README.md');
    // As the lint step wants it, tables in line.
    const { format, resolveConfig } = await import('prettier');
    const style = { ...(await resolveConfig(path)), filepath: path };
    writeFileSync(path, await format(withBench(readFileSync(path, 'utf8'), text), style));
  }
  return failures === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
