// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run revisions [-- --write]`: docs/REVISIONS.md, made from the revisions' own lists of changes. Without `--write` it only says
 * whether the page is the one that the lists give (exit code 1 where it is not); a test holds the same.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';

const root = join(import.meta.dirname, '..');
export const pagePath = join(root, 'docs/REVISIONS.md');

const EFFECT_WORDS = {
  core: 'what is asked of the file system, sent to the disk, or returned',
  detail: 'locks, counts and marks on the way',
  none: 'nothing that could be seen',
};

const cell = (text) => text.replaceAll('|', '\\|');

function sectionOf(spec) {
  const lines = [`## ${spec.id}`, '', `${spec.title}, text of ${spec.releasedOn}.`, ''];
  if (spec.basedOn === null) {
    lines.push('The root: it brings every trait and every step, and the others say what differs.');
    return lines;
  }
  lines.push(`Based on [${spec.basedOn.id}](#${anchorOf(spec.basedOn.id)}). What differs:`, '');
  lines.push('| what | why | effect | breaks | shown by |', '| --- | --- | --- | --- | --- |');
  for (const { what, reason, effect, breaks, exhibit } of spec.changes) {
    const shown = exhibit === undefined ? '' : `\`diolab gallery ${exhibit}\``;
    const row = [cell(what), cell(reason), effect, (breaks ?? []).join(', '), shown];
    lines.push(`| ${row.join(' | ')} |`);
  }
  return lines;
}

/** The anchor of a heading as GitHub makes it: points go. */
const anchorOf = (id) => id.replaceAll('.', '');

/** The page of these revisions, as prettier leaves it. */
export async function revisionsPage(revisions) {
  const lines = [
    '# Revisions of direct I/O',
    '',
    '<!-- Made by scripts/revisions.mjs from engine/dio/revisions; `npm run revisions -- --write` makes it again. -->',
    '',
    `${revisions.length} revisions, newest first. Each says only how it differs from the one that it is based on; \`diolab compare\``,
    'runs one request on several and names where they part from these lists. [How to add one](adding/revision.md).',
    '',
    ...Object.entries(EFFECT_WORDS).map(([effect, words]) => `- \`${effect}\`: ${words}`),
    '',
    '*Breaks* names promises that test/property holds for every revision that does not say so. It counts for what is based on',
    'the revision, too.',
  ];
  for (const spec of revisions) lines.push('', ...sectionOf(spec));
  return format(lines.join('\n'), { parser: 'markdown', printWidth: 100 });
}

/** The list of revisions, built for Node in memory. */
async function loadRevisions() {
  const { build } = await import('vite');
  const built = await build({
    configFile: false,
    logLevel: 'error',
    root,
    build: { ssr: join(root, 'engine/dio/index.ts'), write: false, minify: false },
  });
  const [chunk] = (Array.isArray(built) ? built[0] : built).output;
  const url = `data:text/javascript;base64,${Buffer.from(chunk.code).toString('base64')}`;
  return (await import(url)).REVISIONS;
}

async function main() {
  const page = await revisionsPage(await loadRevisions());
  if (process.argv.includes('--write')) {
    writeFileSync(pagePath, page);
    return 0;
  }
  if (existsSync(pagePath) && readFileSync(pagePath, 'utf8') === page) return 0;
  process.stderr.write('docs/REVISIONS.md is not current: run `npm run revisions -- --write`\n');
  return 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
