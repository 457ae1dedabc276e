// SPDX-License-Identifier: GPL-2.0-only
/** The lab's side of the helper: a session attaches, mounts, traces and ends, against the real helper and the real kernel. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  readdirSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import { HelperSession } from '../../main/host/native/helper-session.ts';
import { imageFiles } from '../../main/host/native/image-files.ts';
import { describeWith } from '../support/tools.ts';
import { buildHelper } from '../../scripts/build-helper.mjs';

const folder = mkdtempSync(join(tmpdir(), 'diolab-helper-'));
let command = '';

beforeAll(() => {
  const built = buildHelper({ path: join(folder, 'diolab-helper'), force: true });
  if ('path' in built) command = built.path;
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function newImage(name: string, sizeBytes = 16 * 2 ** 20): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  return path;
}
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof HostError) return error.code;
    throw error;
  }
  return 'none';
};

describeWith(['c-compiler', 'mount', 'e2fsprogs'], 'a session with the helper', () => {
  it('attaches as asked, says what the kernel made, and leaves nothing behind', () => {
    const path = newImage('attach.img');
    const image = imageFiles.open(path, { readOnly: false, direct: true });
    const session = HelperSession.open({ start: { command, words: [] } });
    try {
      expect(session.limits).toMatchObject({
        devicesMax: 8,
        canAttach: true,
        canVerifyMount: true,
      });
      for (const sectorBytes of [512, 1024, 2048, 4096]) {
        const ask = { sectorBytes, readOnly: false, directIo: true };
        const loop = session.attach(image.fd, ask);
        expect(loop).toMatchObject({ sectorBytes, sizeBytes: 16 * 2 ** 20, isDirect: true });
        expect(codeOf(() => session.attach(image.fd, ask))).toBe('helper.r9');
        expect(codeOf(() => { session.detach(loop.handle); })).toBe('helper.busy'); // prettier-ignore
        expect(readSync(loop.fd, Buffer.alloc(4096))).toBe(4096);
        closeSync(loop.fd);
        session.detach(loop.handle);
        expect(session.status().devices).toBe(0);
      }
    } finally {
      session.close();
      image.close();
    }
    expect(execFileSync('losetup', ['-j', path], { encoding: 'utf8' })).toBe('');
  });

  it('mounts for reading what nobody writes', () => {
    const path = newImage('mount.img');
    execFileSync('mkfs.ext4', ['-q', path]);
    const image = imageFiles.open(path, { readOnly: false, direct: false });
    const session = HelperSession.open({ start: { command, words: [] } });
    try {
      const loop = session.attach(image.fd, { sectorBytes: 512, readOnly: false, directIo: false });
      expect(codeOf(() => session.verifyMount(loop.handle, 'ext4'))).toBe('helper.busy');
      closeSync(loop.fd);
      const root = session.verifyMount(loop.handle, 'ext4');
      expect(readdirSync(`/proc/self/fd/${String(root)}`)).toEqual(['lost+found']);
      expect(codeOf(() => { session.unmount(loop.handle); })).toBe('helper.busy'); // prettier-ignore
      closeSync(root);
      session.unmount(loop.handle);
      session.detach(loop.handle);
    } finally {
      session.close();
      image.close();
    }
  });

  it('captures the block events of its own device', () => {
    const path = newImage('trace.img');
    const image = imageFiles.open(path, { readOnly: false, direct: true });
    const session = HelperSession.open({ start: { command, words: [] } });
    try {
      if (!session.limits.canTrace) return;
      const loop = session.attach(image.fd, { sectorBytes: 512, readOnly: false, directIo: true });
      const pipe = session.traceStart([loop.handle], 'bio', 10, 512);
      readSync(loop.fd, Buffer.alloc(65536), 0, 65536, 8 * 2 ** 20);
      const text = Buffer.alloc(65536);
      const count = readSync(pipe, text);
      expect(text.toString('utf8', 0, count)).toMatch(/block_bio_queue: 7,\d+ RA? 16384 \+/);
      closeSync(pipe);
      session.traceStop();
      closeSync(loop.fd);
      session.detach(loop.handle);
    } finally {
      session.close();
      image.close();
    }
  });

  it('says what is missing where there is no helper, or it refuses to start', () => {
    const none = { start: { missingWhy: 'not here', remedy: 'get it' } };
    expect(codeOf(() => HelperSession.open(none))).toBe('helper.missing');
    const refusing = { start: { command, words: ['an argument'] } };
    expect(codeOf(() => HelperSession.open(refusing))).toBe('helper.ended');
    const absent = { start: { command: 'diolab-no-such-program', words: [] } };
    expect(codeOf(() => HelperSession.open(absent))).toBe('helper.ended');
  });
});
