// SPDX-License-Identifier: GPL-2.0-only
/** Mounts images by the real kernel over loop devices of our own, which are always taken away again. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { missingReason } from '../support/tools.ts';
import { expectProgram, runProgram } from './adapters/programs.ts';

/** Why nothing can be mounted here; null: it can. */
export function whyNoMount(): string | null {
  return missingReason(['mount']) ?? (process.getuid?.() === 0 ? null : 'loop mounts need root');
}

/** Runs `work` on the mounted image; false where this kernel does not have the file system. */
export function withMount(
  image: string,
  type: string,
  folder: string,
  isReadOnly: boolean,
  work: (mounted: string) => void,
): boolean {
  const access = isReadOnly ? ['--read-only'] : [];
  const device = expectProgram('losetup', ['--find', '--show', ...access, image]).trim();
  const mounted = join(folder, 'mounted');
  mkdirSync(mounted, { recursive: true });
  try {
    const words = ['-t', type, '-o', isReadOnly ? 'ro' : 'rw', device, mounted];
    const { status, text } = runProgram('mount', words);
    if (status !== 0 && /unknown filesystem type/.test(text)) return false;
    if (status !== 0) throw new Error(`mount: ${text}`);
    try {
      work(mounted);
    } finally {
      expectProgram('umount', [mounted]);
    }
  } finally {
    expectProgram('losetup', ['--detach', device]);
  }
  return true;
}
