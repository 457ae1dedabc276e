// SPDX-License-Identifier: GPL-2.0-only
/** What native tests of the ext family share: the tools, e2fsck's word, and images mounted by the kernel for a moment. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { expect } from 'vitest';
import { findProgram, missingReason } from './tools.ts';

export function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, {
    encoding: 'utf8',
    stdio: 'pipe',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** e2fsck -fn must find nothing. */
export function expectSound(path: string): void {
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.status, `${found.stdout}${found.stderr}`).toBe(0);
}

/** Why the kernel cannot mount images here; null: it can. */
export function whyNoMounts(): string | null {
  const missing = missingReason(['e2fsprogs', 'mount']);
  return missing ?? (process.getuid?.() === 0 ? null : 'loop mounts need root');
}

/** Mounts an image at a folder over a loop device of its own, and takes both away again. */
export function withMount(
  path: string,
  type: string,
  mounted: string,
  work: () => void,
  isReadOnly = false,
): void {
  const mode = isReadOnly ? ['--read-only'] : [];
  const device = tool('losetup', '--find', '--show', ...mode, path).trim();
  mkdirSync(mounted, { recursive: true });
  try {
    tool('mount', '-t', type, '-o', isReadOnly ? 'ro' : 'rw', device, mounted);
    try {
      work();
    } finally {
      tool('umount', mounted);
    }
  } finally {
    tool('losetup', '--detach', device);
  }
}
