// SPDX-License-Identifier: GPL-2.0-only
/**
 * The recipe language of test/golden/kernel-truth: `key: value` lines, `requests:`, statements, `final:`, statements. A statement is a
 * verb and `key=value` words; numbers may end in k, m or g and may be sums. Unknown verbs and keys are errors: a recipe that is only
 * half understood proves nothing.
 */

export interface Statement {
  readonly verb: string;
  readonly line: string;
  readonly words: ReadonlyMap<string, string>;
}
export interface Recipe {
  readonly head: ReadonlyMap<string, string>;
  readonly requests: readonly Statement[];
  readonly final: readonly Statement[];
}

const VERBS = new Set([
  'open', 'close', 'bw', 'br', 'interleave', 'truncate', 'fallocate', 'fsync', 'sync', 'drop', 'unlink', 'map', 'fill', 'statfs',
  'content', 'set', 'rawtrace', 'req',
]); // prettier-ignore

export function parseRecipe(text: string): Recipe {
  const head = new Map<string, string>();
  const requests: Statement[] = [];
  const final: Statement[] = [];
  let section: 'head' | 'requests' | 'final' = 'head';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line === 'requests:' || line === 'final:')
      section = line === 'final:' ? 'final' : 'requests';
    else if (section === 'head') {
      const colon = line.indexOf(':');
      if (colon < 0) throw new Error(`no key in ${JSON.stringify(line)}`);
      head.set(line.slice(0, colon), line.slice(colon + 1).trim());
    } else (section === 'requests' ? requests : final).push(parseStatement(line));
  }
  return { head, requests, final };
}

function parseStatement(line: string): Statement {
  const words = new Map<string, string>();
  const [verb = '', ...rest] = line.match(/\w+="[^"]*"|\S+/g) ?? [];
  if (!VERBS.has(verb)) throw new Error(`unknown verb in ${JSON.stringify(line)}`);
  for (const word of rest) {
    const equals = word.indexOf('=');
    if (equals < 0)
      throw new Error(`no value in ${JSON.stringify(word)} of ${JSON.stringify(line)}`);
    words.set(word.slice(0, equals), word.slice(equals + 1).replace(/^"|"$/g, ''));
  }
  return { verb, line, words };
}

/** `64k+512` */
export function numberOf(text: string): number {
  return text.split('+').reduce((sum, term) => {
    const found = /^(\d+)([kmg]?)$/i.exec(term);
    if (found === null) throw new Error(`not a number: ${JSON.stringify(text)}`);
    const unit = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[(found[2] ?? '').toLowerCase()] ?? 1;
    return sum + Number(found[1]) * unit;
  }, 0);
}

/** A piece of a request's buffer: where it starts in its first page, and which of its pages cannot be used. */
export interface Segment {
  readonly lengthBytes: number;
  readonly addressBytes: number;
  readonly absentPages: readonly number[];
  readonly readOnlyPages: readonly number[];
}

/** `4096,512@512,16384!2` or `20x512` */
export function parseSegments(text: string): readonly Segment[] {
  return text.split(',').flatMap((term) => {
    const repeated = /^(\d+)x(.*)$/.exec(term);
    const count = repeated === null ? 1 : Number(repeated[1]);
    const one = parseSegment(repeated?.[2] ?? term);
    return new Array<Segment>(count).fill(one);
  });
}

function parseSegment(text: string): Segment {
  const found = /^([\dkmg+]+)((?:[@!~]\d+)*)$/.exec(text);
  if (found === null) throw new Error(`not a segment: ${JSON.stringify(text)}`);
  const marks = [...(found[2] ?? '').matchAll(/([@!~])(\d+)/g)];
  const of = (mark: string): number[] =>
    marks.filter(([, kind]) => kind === mark).map(([, , value]) => Number(value));
  return {
    lengthBytes: numberOf(found[1] ?? ''),
    addressBytes: of('@')[0] ?? 0,
    absentPages: of('!'),
    readOnlyPages: of('~'),
  };
}

/** `r:0:4096/w:8192:4096` */
export function parseBatch(text: string) {
  return text.split('/').map((term) => {
    const [kind = '', offset = '', segments = ''] = term.split(':');
    return {
      isWrite: kind === 'w',
      offsetBytes: numberOf(offset),
      segments: parseSegments(segments),
    };
  });
}
