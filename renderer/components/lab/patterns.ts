// SPDX-License-Identifier: GPL-2.0-only
/** fio's six patterns as two choices: order and direction. Pure. */
import type { Job } from '../../../main/contract/index.ts';

export type Order = 'sequential' | 'random';
export type Direction = 'read' | 'write' | 'mix';
export type Pattern = Job['rw'];

export const orderOf = (rw: Pattern): Order => (rw.startsWith('rand') ? 'random' : 'sequential');
export const directionOf = (rw: Pattern): Direction =>
  rw.endsWith('rw') ? 'mix' : rw.endsWith('read') ? 'read' : 'write';
export function patternOf(order: Order, direction: Direction): Pattern {
  const name = direction === 'mix' ? 'rw' : direction;
  return order === 'random' ? `rand${name}` : name;
}
/** 'random reads' and the like, for titles and tables. */
export function patternWords(rw: string): string {
  const words: Readonly<Record<string, string>> = {
    read: 'sequential reads',
    write: 'sequential writes',
    rw: 'sequential mix',
    randread: 'random reads',
    randwrite: 'random writes',
    randrw: 'random mix',
  };
  return words[rw] ?? rw;
}
