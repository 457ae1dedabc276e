// SPDX-License-Identifier: GPL-2.0-only
/** Types of revisions.mjs, for tests. */
import type { RevisionSpec } from '../engine/dio/index.ts';

export const pagePath: string;
/** The page of these revisions, as Markdown. */
export function revisionsPage(revisions: readonly RevisionSpec[]): Promise<string>;
