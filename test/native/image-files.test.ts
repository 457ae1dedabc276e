// SPDX-License-Identifier: GPL-2.0-only
/** Opening image files on the real host: the truth about direct I/O, and every refusal with its name and its way out. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import { imageFiles } from '../../main/host/native/index.ts';
import { describeUnless, findProgram } from '../support/tools.ts';

const MIB = 1024 * 1024;
const OPTIONS = { readOnly: false, direct: true } as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-images-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function image(name: string, sizeBytes = 4 * MIB): string {
  const path = join(folder, name);
  writeFileSync(path, new Uint8Array(sizeBytes));
  return path;
}

/** The refusal as data; opening must leave no descriptor behind. */
function refusal(
  path: string,
  options: { readonly readOnly: boolean; readonly direct: boolean } = OPTIONS,
): HostError {
  const descriptors = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path ? [fd] : [];
      } catch {
        // The descriptor of the listing itself is gone by now.
        return [];
      }
    });
  const before = descriptors();
  try {
    imageFiles.open(path, options).close();
  } catch (error) {
    expect(error).toBeInstanceOf(HostError);
    const refused = error as HostError;
    expect(refused.message).toContain(path);
    expect(refused.where).toBe(path);
    expect(refused.hint).toMatch(/\w/);
    expect(descriptors()).toEqual(before);
    return refused;
  }
  expect.fail(`${path} was opened`);
}

describe('an image file', () => {
  it('opens, says its size and its limits, and closes', () => {
    const path = image('good');
    const opened = imageFiles.open(path, OPTIONS);
    expect(opened).toMatchObject({ path, sizeBytes: 4 * MIB, isReadOnly: false });
    expect(opened.isDirect).toBe(opened.directRefusedWhy === null);
    expect(opened.offsetAlignBytes % 512).toBe(0);
    expect(opened.memoryAlignBytes).toBeGreaterThan(0);
    expect(fstatSync(opened.fd).size).toBe(4 * MIB);
    opened.close();
    opened.close();
    expect(() => fstatSync(opened.fd)).toThrow('EBADF');
  });

  it('may be opened buffered, and says that this was the wish', () => {
    const opened = imageFiles.open(image('buffered'), { readOnly: true, direct: false });
    expect(opened).toMatchObject({ isDirect: false, isReadOnly: true });
    expect(opened.directRefusedWhy).toContain('not asked for');
    opened.close();
  });

  it('is shared by readers, and by nobody while a writer has it', () => {
    const path = image('shared');
    const reader = { readOnly: true, direct: true };
    const first = imageFiles.open(path, reader);
    imageFiles.open(path, reader).close();
    expect(refusal(path)).toMatchObject({ code: 'image.in-use', exitCode: 77 });
    first.close();
    const writer = imageFiles.open(path, OPTIONS);
    expect(refusal(path, { readOnly: true, direct: true }).code).toBe('image.in-use');
    writer.close();
    imageFiles.open(path, OPTIONS).close();
  });

  it('says what was done to it behind our back', () => {
    const reader = { readOnly: true, direct: true };
    const path = image('changed');
    const opened = imageFiles.open(path, OPTIONS);
    expect(opened.changedWhy?.()).toBeNull();
    truncateSync(path, MIB);
    expect(opened.changedWhy?.()).toContain(`has ${String(MIB)}`);
    opened.close();
    const second = imageFiles.open(path, reader);
    expect(second.changedWhy?.()).toBeNull();
    utimesSync(path, 1, 1);
    expect(second.changedWhy?.()).toContain('written by another program');
    second.close();
    const third = imageFiles.open(path, reader);
    rmSync(path);
    expect(third.changedWhy?.()).toContain('removed');
    image('changed');
    expect(third.changedWhy?.()).toContain('replaced');
    third.close();
  });

  it('on tmpfs is said not to be direct', () => {
    if (!existsSync('/dev/shm')) return;
    const shm = mkdtempSync('/dev/shm/diolab-');
    try {
      const path = join(shm, 'image');
      writeFileSync(path, new Uint8Array(MIB));
      const opened = imageFiles.open(path, OPTIONS);
      expect(opened.isDirect).toBe(false);
      expect(opened.directRefusedWhy).toContain('tmpfs');
      opened.close();
    } finally {
      rmSync(shm, { recursive: true });
    }
  });
});

describe('refused as an image', () => {
  it('what is missing', () => {
    expect(refusal(join(folder, 'absent'))).toMatchObject({ code: 'image.missing', exitCode: 66 });
    const under = join(image('file'), 'x');
    expect(refusal(under)).toMatchObject({ code: 'image.missing', exitCode: 66 });
  });

  it('a directory, a FIFO, a device and a symbolic link', () => {
    const directory = join(folder, 'directory');
    mkdirSync(directory);
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const link = join(folder, 'link');
    symlinkSync(image('target'), link);
    for (const [path, word] of [
      [directory, 'directory'],
      [fifo, 'FIFO'],
      ['/dev/null', 'character device'],
      [link, 'symbolic link'],
    ] as const) {
      const refused = refusal(path);
      expect(refused).toMatchObject({ code: 'image.not-regular', exitCode: 66 });
      expect(refused.message).toContain(word);
    }
  });

  it('a socket', async () => {
    const path = join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(refusal(path).message).toContain('socket');
    await new Promise((resolve) => server.close(resolve));
  });

  it.each(['record', 'flock'])('what another process has locked (%s)', async (kind) => {
    const path = image(`locked-${kind}`);
    const child = spawn('python3', ['-c', LOCKER, path, kind], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await lineFrom(child);
      const refused = refusal(path);
      expect(refused).toMatchObject({ code: 'image.in-use', exitCode: 77 });
      expect(refused.message).toContain('locked');
    } finally {
      child.stdin.end();
      await new Promise((resolve) => child.once('exit', resolve));
    }
    imageFiles.open(path, OPTIONS).close();
  });
});

const LOCKER = `
import fcntl, struct, sys, os
fd = os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == 'flock': fcntl.flock(fd, fcntl.LOCK_EX)
else: fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', 1, 0, 0, 0, 0))
print('locked', flush=True)
sys.stdin.read()
`;

async function lineFrom(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once('data', () => {
      resolve();
    });
    child.once('exit', (code) => {
      reject(new Error(`the locking process ended with ${String(code)}`));
    });
  });
}

const isRoot = process.getuid?.() === 0;
const loopReason =
  isRoot && existsSync('/dev/loop-control') && findProgram('losetup') !== null
    ? null
    : 'missing: root with loop devices';

describeUnless(loopReason, 'refused because the host has it', () => {
  const losetup = (...parameters: string[]): string =>
    execFileSync('losetup', parameters, { encoding: 'utf8' }).trim();

  it('attached to a loop device, also under another name', () => {
    const path = image('attached');
    const other = join(folder, 'attached-other');
    linkSync(path, other);
    const device = losetup('-f', '--show', path);
    try {
      for (const name of [path, other]) {
        const refused = refusal(name);
        expect(refused).toMatchObject({ code: 'image.in-use', exitCode: 77 });
        expect(refused.message).toContain(device);
        expect(refused.hint).toContain(`losetup --detach ${device}`);
      }
    } finally {
      losetup('-d', device);
    }
    imageFiles.open(path, OPTIONS).close();
  });

  it('attached and then unlinked from its first name', () => {
    const path = image('renamed-away');
    const kept = join(folder, 'kept');
    linkSync(path, kept);
    const device = losetup('-f', '--show', path);
    try {
      rmSync(path);
      expect(refusal(kept).code).toBe('image.in-use');
    } finally {
      losetup('-d', device);
    }
  });

  it('mounted', () => {
    const path = image('mounted', 16 * MIB);
    const point = join(folder, 'point with space');
    mkdirSync(point);
    execFileSync('mke2fs', ['-q', '-F', path]);
    execFileSync('mount', ['-o', 'loop', path, point]);
    try {
      const refused = refusal(path);
      expect(refused).toMatchObject({ code: 'image.in-use', exitCode: 77 });
      expect(refused.message).toContain(`mounted at ${point}`);
    } finally {
      execFileSync('umount', [point]);
    }
    imageFiles.open(path, OPTIONS).close();
  });

  it('swap', (context) => {
    const path = image('swap', 4 * MIB);
    truncateSync(path, 4 * MIB);
    execFileSync('chmod', ['600', path]);
    execFileSync('mkswap', [path], { stdio: 'ignore' });
    try {
      execFileSync('swapon', [path], { stdio: 'pipe' });
    } catch (error) {
      context.skip(`swapon refused: ${String(error)}`);
    }
    try {
      const refused = refusal(path);
      expect(refused).toMatchObject({ code: 'image.in-use', exitCode: 77 });
      expect(refused.message).toContain('swap');
    } finally {
      execFileSync('swapoff', [path]);
    }
  });
});

describeUnless(
  isRoot && findProgram('chattr') !== null ? null : 'missing: root with chattr',
  'refused for want of permission',
  () => {
    // Root may open any file by its mode, but not an immutable one.
    it('an immutable file', () => {
      const path = image('immutable');
      execFileSync('chattr', ['+i', path]);
      try {
        expect(refusal(path)).toMatchObject({ code: 'image.permission', exitCode: 77 });
      } finally {
        execFileSync('chattr', ['-i', path]);
      }
    });
  },
);
