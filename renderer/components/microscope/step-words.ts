// SPDX-License-Identifier: GPL-2.0-only
/** Values of an explanation in words, and which step tells a row. Pure. */
import type { ExplainStep } from '../../../main/contract/index.ts';
import { formatCount } from '../../format/numbers.ts';

/** A value by its name: yes and no for flags, digits in groups, an errno's name as it is. */
export const valueText = (value: number | string, name = ''): string => {
  if (typeof value === 'string') return value;
  if (name === 'op') return value === 1 ? 'write' : 'read';
  if (/^(is[A-Z]|passes$|create$)/.test(name)) return value === 0 ? 'no' : 'yes';
  return formatCount(value);
};
/** 'fileOffsetBytes' as 'file offset bytes'. */
export const words = (name: string): string =>
  name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();

/** Index of the step that tells a row, or the last one before it; -1: none has begun. */
export function stepOfRow(steps: readonly ExplainStep[], row: number): number {
  return steps.findLastIndex((step) => step.rows !== undefined && step.rows[0] <= row);
}
