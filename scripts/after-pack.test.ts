// SPDX-License-Identifier: GPL-2.0-only
/** The nine fuses as they are decided for the package; that the package has them is in test/packaging. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '..');
const SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
const wireOf = (digits: string, version = 1): Buffer =>
  Buffer.concat([
    Buffer.from(`x${SENTINEL}`),
    Buffer.from([version, digits.length]),
    Buffer.from(digits),
  ]);

describe('the fuses', () => {
  it('19: eight are decided by name', () => {
    const { electronFuses } = parse(readFileSync(join(root, 'electron-builder.yml'), 'utf8')) as {
      electronFuses: Record<string, boolean>;
    };
    expect(electronFuses).toEqual({
      runAsNode: false,
      enableCookieEncryption: true,
      enableNodeOptionsEnvironmentVariable: false,
      enableNodeCliInspectArguments: false,
      enableEmbeddedAsarIntegrityValidation: true,
      onlyLoadAppFromAsar: true,
      loadBrowserProcessSpecificV8Snapshot: false,
      grantFileProtocolExtraPrivileges: false,
      // Not a fuse: no signature is put back on macOS after they were set.
      resetAdHocDarwinSignature: false,
    });
  });
  it('19: the ninth is decided in the executable, and a tenth or another wire is refused', async () => {
    const hook = './after-pack.mjs';
    const { decideFuses } = (await import(/* @vite-ignore */ hook)) as {
      decideFuses(bytes: Buffer): Buffer;
    };
    expect(decideFuses(wireOf('010011000')).toString('latin1')).toMatch(/010011001$/);
    expect(() => decideFuses(wireOf('0100110010'))).toThrow(/10 fuses, only 9/);
    expect(() => decideFuses(wireOf('010011001', 2))).toThrow(/version 2/);
    expect(() => decideFuses(Buffer.from('nothing'))).toThrow(/no fuse wire/);
  });
});
