// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where things lie on this host, by the XDG base directory rules: a variable that is unset, empty or not absolute means the default
 * under the home folder. DIOLAB_DATA (absolute) puts everything under one folder: for tests, and to keep labs apart.
 */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';

export interface Paths {
  /** Results, images made by the lab, and the list of those. */
  readonly data: string;
  readonly runs: string;
  readonly images: string;
  /** One small file for each image that the lab made. */
  readonly madeImages: string;
  /** Measurements of one job on several grounds. */
  readonly grounds: string;
  /** Snapshots of images, each with a small file about it. */
  readonly snapshots: string;
  readonly config: string;
  readonly state: string;
  /** One small file for each loop device that a diolab keeps. */
  readonly loops: string;
  readonly cache: string;
}

export function pathsOf(env: Readonly<Record<string, string | undefined>> = process.env): Paths {
  const all = env['DIOLAB_DATA'];
  if (all !== undefined && all !== '' && !isAbsolute(all)) {
    throw new HostError({
      code: 'paths.not-absolute',
      message: `DIOLAB_DATA is ${JSON.stringify(all)}, which is not an absolute path`,
      where: 'DIOLAB_DATA',
      hint: 'Give the whole path, from /.',
      exitCode: 78,
    });
  }
  const xdg = (variable: string, fallback: string): string => {
    const value = env[variable];
    const root = value !== undefined && isAbsolute(value) ? value : join(homedir(), fallback);
    return join(root, 'diolab');
  };
  const isOwn = all !== undefined && all !== '';
  const data = isOwn ? all : xdg('XDG_DATA_HOME', '.local/share');
  const state = isOwn ? join(all, 'state') : xdg('XDG_STATE_HOME', '.local/state');
  return {
    data,
    runs: join(data, 'runs'),
    images: join(data, 'images'),
    madeImages: join(data, 'made-images'),
    grounds: join(data, 'grounds'),
    snapshots: join(data, 'snapshots'),
    config: isOwn ? join(all, 'config') : xdg('XDG_CONFIG_HOME', '.config'),
    state,
    loops: join(state, 'loops'),
    cache: isOwn ? join(all, 'cache') : xdg('XDG_CACHE_HOME', '.cache'),
  };
}
