// SPDX-License-Identifier: GPL-2.0-only
/**
 * Sizes and times as people write them: '4k', '1.5GiB', '20s', '500ms'. Pure.
 *
 * Two readings of a size: in our own files k, K and KiB are 1024 and kB is 1000; in fio job files (kb_base 1024, its default) k and kb are
 * 1024 and kib is 1000, which is what fio itself does.
 */

const POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes; null where the text is no size. Our own files. */
export function parseSize(text: string): number | null {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp]?)(ib|i|b)?)?\s*$/i.exec(text);
  if (match === null) return null;
  const [, digits = '', letter = '', tail = ''] = match;
  if (letter === '' && tail.toLowerCase().startsWith('i')) return null;
  const decimal = tail.toLowerCase() === 'b' && letter !== '';
  return wholeBytes(Number(digits), decimal ? 1000 : 1024, letter);
}

/** Bytes as fio reads them; null where the text is no size. */
export function parseFioSize(text: string): number | null {
  const hex = /^\s*0x[0-9a-f]+\s*$/i.exec(text);
  if (hex !== null) return Number(text.trim());
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(ib|i|b)?\s*$/i.exec(text);
  if (match === null) return null;
  const [, digits = '', letter = '', tail = ''] = match;
  const base = tail.toLowerCase().startsWith('i') ? 1000 : 1024;
  return wholeBytes(Number(digits), base, letter);
}

function wholeBytes(value: number, base: number, letter: string): number | null {
  const size = value * base ** (POWERS[letter.toLowerCase()] ?? 0);
  return Number.isSafeInteger(Math.round(size)) && Math.abs(size - Math.round(size)) < 1e-6
    ? Math.round(size)
    : null;
}

const SECONDS: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  usec: 1e-6,
  µs: 1e-6,
  ms: 1e-3,
  msec: 1e-3,
  '': 1,
  s: 1,
  sec: 1,
  m: 60,
  min: 60,
  h: 3600,
  d: 86400,
};

/** Seconds; a plain number is seconds. Null where the text is no time. fio and our own files agree. */
export function parseSeconds(text: string): number | null {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)\s*$/i.exec(text);
  if (match === null) return null;
  const factor = SECONDS[(match[2] ?? '').toLowerCase()];
  return factor === undefined ? null : Number(match[1]) * factor;
}

/** The shortest exact way to write a size: '4k', '1g', '1536', always read back as the same number. */
export function writeSize(bytes: number): string {
  for (const [letter, power] of [
    ['t', 4],
    ['g', 3],
    ['m', 2],
    ['k', 1],
  ] as const) {
    const unit = 1024 ** power;
    if (bytes >= unit && bytes % unit === 0) return `${String(bytes / unit)}${letter}`;
  }
  return String(bytes);
}

/** '20s', '0.5s' */
export const writeSeconds = (seconds: number): string => `${String(seconds)}s`;

/** The candidate with the fewest edits to `word`, where that is few enough to be a slip. */
export function nearestWord(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  // In a word of four letters or less, two that differ make another word.
  let bestDistance = (word.length <= 4 ? 1 : Math.max(2, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein's. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
