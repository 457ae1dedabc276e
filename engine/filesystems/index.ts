// SPDX-License-Identifier: GPL-2.0-only
/** The file systems: one line each. Forms, flags, suites and tables come from the modules. */
import { HostError, type Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import type { FileSystemModule, FileSystemProbe, Kernel } from '../vfs/index.ts';
import { btrfs } from './btrfs/index.ts';
import { ext2 } from './ext2/index.ts';
import { ext3 } from './ext3/index.ts';
import { ext4 } from './ext4/index.ts';
import { fat } from './fat/index.ts';
import { raw } from './raw/index.ts';
import { xfs } from './xfs/index.ts';

export const FILE_SYSTEMS: readonly FileSystemModule[] = [raw, ext2, ext3, ext4, xfs, btrfs, fat];

/** The module of that id, or a `HostError` that says which there are. */
export function fileSystemById(id: string): FileSystemModule {
  const found = FILE_SYSTEMS.find((module) => module.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'file-system.unknown',
    message: `there is no file system ${JSON.stringify(id)}`,
    hint: `Known: ${FILE_SYSTEMS.map((module) => module.id).join(', ')}.`,
    exitCode: 64,
  });
}

/** What the device holds: the first module that knows it, and what it says; null: none does. */
export function* probeFileSystem(
  kernel: Kernel,
  device: BlockDevice,
): Task<{ readonly module: FileSystemModule; readonly probe: FileSystemProbe } | null> {
  for (const module of FILE_SYSTEMS) {
    const probe = yield* module.probe(kernel, device);
    if (probe !== null) return { module, probe };
  }
  return null;
}
