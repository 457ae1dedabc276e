// SPDX-License-Identifier: GPL-2.0-only
/** Lessons as text: pure functions from the contract's data to lines. */
import type {
  CheckedAnswer,
  Exercise,
  ImageInfo,
  LessonEvidence,
  LessonField,
  LessonInfo,
} from '../contract/index.ts';
import { wrapped } from './comparison-text.ts';
import { bytesText } from './quantities.ts';
import { mapText } from './tables.ts';

/** Steps of a request that are shown; `diolab explain` on the image has them all. */
const STEPS_SHOWN = 24;

/** One lesson a line, and what one knows afterwards. */
export function lessonListText(lessons: readonly LessonInfo[]): string {
  const width = Math.max(0, ...lessons.map(({ id }) => id.length));
  const indent = ' '.repeat(width + 2);
  return lessons
    .map(
      ({ id, title, about, fileSystems }) =>
        `${id.padEnd(width)}  ${title} (${fileSystems.join(', ')})\n` +
        `${wrapped(about, indent).join('\n')}\n`,
    )
    .join('');
}

function fieldLines({ id, label, unit, choices }: LessonField): string[] {
  const head = `  ${id}: ${label}${unit === '' ? '' : `, in ${unit}`}`;
  return [head, ...choices.map((choice) => `      ${choice.id.padEnd(8)} ${choice.text}`)];
}

/** The question: what is set up, what may be looked at, what is asked, and how to answer. */
export function exerciseText(exercise: Exercise, files: readonly ImageInfo[]): string {
  const { lesson, seed, setting, question, fields, given } = exercise;
  const lines = [`${lesson.title} (seed ${String(seed)})`, ''];
  for (const sentence of setting) lines.push(...wrapped(sentence, '  '));
  for (const evidence of given) lines.push('', ...evidenceLines(evidence));
  lines.push('', ...wrapped(question, ''), ...fields.flatMap(fieldLines), '');
  if (files.length > 0) lines.push(...files.map(({ path }) => `Image: ${path}`), '');
  const form = fields.map(({ id }) => `${id}=...`).join(',');
  lines.push(`Answer with: diolab lesson ${lesson.id} --seed ${String(seed)} --answer ${form}`);
  return `${lines.join('\n')}\n`;
}

/** Which answers are right, what the difference is, why it is so, and what shows it. */
export function checkedText(checked: CheckedAnswer): string {
  const { exercise, isRight, fields, explanation, evidence } = checked;
  const lines = [isRight ? 'Right.' : 'Not quite.', ''];
  for (const field of fields) {
    const label = exercise.fields.find(({ id }) => id === field.id)?.label ?? field.id;
    const said = field.isRight ? field.right : `${field.right}, not ${field.given}`;
    lines.push(`  ${label}: ${said}`);
    if (!field.isRight) lines.push(...wrapped(field.reply, '      '));
  }
  lines.push('');
  for (const sentence of explanation) lines.push(...wrapped(sentence, '  '));
  for (const each of evidence) lines.push('', ...evidenceLines(each));
  const { lesson } = exercise;
  lines.push('', `Another one: diolab lesson ${lesson.id} --seed ${String(exercise.seed + 1)}`);
  return `${lines.join('\n')}\n`;
}

function evidenceLines(evidence: LessonEvidence): string[] {
  const lines = [`${evidence.title}:`];
  switch (evidence.kind) {
    case 'map': {
      const { blockSizeBytes, sizeBytes, extents } = evidence;
      const text = mapText('the file', { blockSizeBytes, sizeBytes, extents: [...extents] });
      return [...lines, ...text.trimEnd().split('\n')];
    }
    case 'table':
      return [...lines, ...tableLines([evidence.columns, ...evidence.rows])];
    case 'content':
      for (const { title, runs } of evidence.strips) {
        const parts = runs.map((run) => `${bytesText(run.lengthBytes)} ${run.what}`);
        lines.push(`  ${title}: ${parts.join(', ')}`);
      }
      return lines;
    case 'steps':
      return [...lines, ...stepLines(evidence.explanation)];
  }
}

function stepLines({
  steps,
  result,
}: Extract<LessonEvidence, { kind: 'steps' }>['explanation']): string[] {
  const lines = steps.slice(0, STEPS_SHOWN).flatMap(({ title, text }, index) => {
    const number = `${String(index + 1).padStart(4)}. `;
    const told = wrapped(`${title}: ${text}`, ' '.repeat(number.length));
    return told.map((each, at) => (at === 0 ? number + each.trimStart() : each));
  });
  const left = steps.length - STEPS_SHOWN;
  if (left > 0) lines.push(`      and ${String(left)} more`);
  return [...lines, ...wrapped(result.text, '  ')];
}

function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? '').length)),
  );
  return rows.map((row) =>
    `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd(),
  );
}
