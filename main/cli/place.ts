// SPDX-License-Identifier: GPL-2.0-only
/** What the commands on images have in common: the place that they are about, and the recipe of a file as people write it. */
import { resolve } from 'node:path';
import { HostError } from '../../engine/base/index.ts';
import type { FileRecipe, Place } from '../contract/workbench.ts';
import { EXIT } from './errors.ts';
import { parseSizeBytes, parseWhole } from './size.ts';

export interface PlaceOptions {
  readonly partition?: string;
}
export interface JsonOptions {
  readonly json: boolean;
}

/** The image with its whole path, and the partition where one was named. */
export const placeOf = (image: string, { partition }: PlaceOptions): Place => ({
  path: resolve(image),
  partition: partition === undefined ? null : parseWhole(partition, '--partition', 1, 1024),
});

/** `/data:64m:extents=16,holes=4,unwritten`; what follows the size may be left out. */
export function parseFileRecipe(text: string): FileRecipe {
  const [path = '', size, ...rest] = text.split(':');
  if (!path.startsWith('/') || size === undefined || rest.length > 1) throw badRecipe(text);
  const recipe = { extents: 1, holes: 0, content: 'written' as FileRecipe['content'] };
  for (const word of (rest[0] ?? '').split(',').filter((each) => each !== '')) {
    const [key, value = ''] = word.split('=');
    if (key === 'extents') recipe.extents = parseWhole(value, '--layout extents', 1, 100_000);
    else if (key === 'holes') recipe.holes = parseWhole(value, '--layout holes', 0, 10_000);
    else if (word === 'unwritten' || word === 'written') recipe.content = word;
    else throw badRecipe(text);
  }
  return { path, sizeBytes: parseSizeBytes(size, '--layout'), ...recipe };
}

const badRecipe = (text: string): HostError =>
  new HostError({
    code: 'usage.layout',
    message: `'${text}' is no layout of a file`,
    where: '--layout',
    hint: 'PATH:SIZE[:extents=N,holes=N,unwritten], for example /data:64m:extents=16,holes=4',
    exitCode: EXIT.usage,
  });
