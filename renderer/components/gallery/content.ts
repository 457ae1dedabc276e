// SPDX-License-Identifier: GPL-2.0-only
/** Content of a disk, a buffer or a returned range, as parts of a strip. Pure. */
import type { ExhibitRun } from '../../../main/contract/index.ts';
import { formatExactBytes, joinShown } from '../../format/numbers.ts';

export type Content = ExhibitRun['content'][number];
export type ContentKind = Content['runs'][number]['what'];

export const CONTENT_WORDS: Readonly<Record<ContentKind, { title: string; about: string }>> = {
  data: { title: 'data', about: 'what the request carried' },
  zeros: { title: 'zeros', about: 'bytes of zero' },
  stale: { title: 'stale', about: 'what was there before and should not be seen' },
  untouched: { title: 'untouched', about: 'as it was before the request' },
};
export const CONTENT_KINDS = Object.keys(CONTENT_WORDS) as readonly ContentKind[];
export const OF_WORDS: Readonly<Record<Content['of'], string>> = {
  disk: 'on disk',
  memory: 'in memory',
  returned: 'returned',
};
export interface ContentPart {
  readonly what: ContentKind;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Share of the strip, 0 to 1. */
  readonly from: number;
  readonly share: number;
}
export function contentParts(content: Content): ContentPart[] {
  const start = content.runs[0]?.offsetBytes ?? 0;
  const last = content.runs.at(-1);
  const length = Math.max(1, (last?.offsetBytes ?? 0) + (last?.lengthBytes ?? 0) - start);
  return content.runs.map((run) => ({
    ...run,
    from: (run.offsetBytes - start) / length,
    share: run.lengthBytes / length,
  }));
}
/** 'on disk: 1 KiB of stale at 0, 3 KiB of zeros at 1 024'. */
export const contentText = (content: Content): string =>
  content.runs.length === 0
    ? `${OF_WORDS[content.of]}: nothing`
    : `${OF_WORDS[content.of]}: ${content.runs
        .map(
          (run) =>
            `${joinShown(formatExactBytes(run.lengthBytes))} ${CONTENT_WORDS[run.what].title} at ${joinShown(formatExactBytes(run.offsetBytes))}`,
        )
        .join(', ')}`;
