// SPDX-License-Identifier: GPL-2.0-only
/** Images of the adapters' variants, and where the suites keep them: in memory where the host has a file system for that. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FILE_SYSTEMS } from '../../engine/filesystems/index.ts';
import { FileSystemLab } from '../support/file-system-lab.ts';
import { ADAPTERS, type ImageVariant, type SuiteId, type TrustAdapter } from './adapters/index.ts';
import { makeByTool } from './adapters/programs.ts';

/** What is on the disk before anything is written: stale bytes can be told from zeros. */
export const RAW_BYTE = 0xa5;

/** A folder for images, in memory where possible; `remove` takes it away again. */
export function imageFolder(name: string): { readonly path: string; readonly remove: () => void } {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const path = mkdtempSync(join(parent, `diolab-${name}-`));
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** A fresh image of a variant. `path`: where the tool makes it. */
export function freshImage(adapter: TrustAdapter, variant: ImageVariant, path: string): Uint8Array {
  if (variant.format !== null) {
    const lab = FileSystemLab.blank(variant.sizeBytes);
    lab.format(adapter.moduleId, variant.format);
    return lab.disk.bytes;
  }
  writeFileSync(path, new Uint8Array(variant.sizeBytes).fill(RAW_BYTE));
  makeByTool(variant, path);
  return new Uint8Array(readFileSync(path));
}

export const isRegistered = (adapter: TrustAdapter): boolean =>
  FILE_SYSTEMS.some((module) => module.id === adapter.moduleId);

/** True where our engine writes this file system. */
export const isWritable = (adapter: TrustAdapter): boolean =>
  FILE_SYSTEMS.find((module) => module.id === adapter.moduleId)?.supports.write === true;

export interface SuiteCase {
  readonly adapter: TrustAdapter;
  readonly variant: ImageVariant;
  readonly name: string;
}

/** All images that a suite is for; DIOLAB_TRUST_FS=ext2,fat picks file systems. */
export function casesOf(suite: SuiteId): readonly SuiteCase[] {
  const wanted = process.env['DIOLAB_TRUST_FS']?.split(',');
  return ADAPTERS.filter(
    (adapter) => isRegistered(adapter) && (wanted?.includes(adapter.moduleId) ?? true),
  ).flatMap((adapter) =>
    adapter.variants
      .filter(({ suites }) => suites.includes(suite))
      .map((variant) => ({ adapter, variant, name: `${adapter.moduleId}, ${variant.name}` })),
  );
}

/** A number of the environment, as `npm run trust` sets them. */
export function sizeOf(name: string, otherwise: number): number {
  const given = process.env[name];
  return given === undefined || given === '' ? otherwise : Number(given);
}
export const SEED = sizeOf('DIOLAB_SEED', Date.now() % 1_000_000);
