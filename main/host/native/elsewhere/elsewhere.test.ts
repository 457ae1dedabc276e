// SPDX-License-Identifier: GPL-2.0-only
/** The ways of macOS and Windows on a recording table, and their data path over real files. Their systems themselves are not here. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERRNO, PAGE_BYTES } from '../../../../engine/base/index.ts';
import { RAW_FLAG, RAW_KIND, type Executor } from '../../../../engine/executor/contract.ts';
import { makeNativeArena } from '../arena.ts';
import { elsewhereDirect, elsewhereLocks } from '../facts.ts';
import { elsewhereImageFiles, type OpeningFiles } from './image-files.ts';
import { fsExecutors, NOT_TRIED, thisPlatform } from './index.ts';
import { macos, platformOf, windows, type Platform, type PlatformCalls } from './platforms.ts';

let folder: string;
let path: string;
let opened: number[];
let closed: number[];
let controls: number[][];
let refuse: string | null;
let fcntlResult: number;

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'diolab-elsewhere-'));
  path = join(folder, 'a.img');
  fs.writeFileSync(path, Buffer.alloc(4 * PAGE_BYTES, 7));
  [opened, closed, controls] = [[], [], []];
  refuse = null;
  fcntlResult = 0;
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Records the flags and opens with those that this system has. */
const files: OpeningFiles = {
  openSync: (name, flags) => {
    opened.push(flags);
    if (refuse !== null) throw Object.assign(new Error(refuse), { code: refuse });
    return fs.openSync(name, flags & 3);
  },
  closeSync: (fd) => {
    closed.push(fd);
    fs.closeSync(fd);
  },
  fstatSync: fs.fstatSync,
  lstatSync: (name, options) => fs.lstatSync(name, options),
};
const calls: PlatformCalls = {
  fcntl: (...words) => {
    controls.push(words);
    return fcntlResult;
  },
};
const open = (platform: Platform, how: { readOnly: boolean; direct: boolean }) =>
  elsewhereImageFiles(platform, files, calls).open(path, how);

describe('opening an image on macOS', () => {
  it('locks with the open, and asks for F_NOCACHE afterwards', () => {
    const image = open(macos, { readOnly: false, direct: true });
    expect((opened[0] as number) & 0x30).toBe(0x20);
    expect((opened[0] as number) & fs.constants.O_NOFOLLOW).toBe(fs.constants.O_NOFOLLOW);
    expect(controls).toEqual([[image.fd, 48, 1]]);
    expect(image).toMatchObject({ isDirect: true, sizeBytes: 4 * PAGE_BYTES, isReadOnly: false });
    image.close();
    image.close();
    expect(closed).toEqual([image.fd]);
  });
  it('shares the lock where it only reads, and leaves the cache where direct was not asked for', () => {
    const image = open(macos, { readOnly: true, direct: false });
    expect((opened[0] as number) & 0x30).toBe(0x10);
    expect(controls).toEqual([]);
    expect(image.directRefusedWhy).toBe('direct I/O was not asked for');
    image.close();
  });
  it('says why it is not direct', () => {
    fcntlResult = -45;
    const image = open(macos, { readOnly: true, direct: true });
    expect(image.directRefusedWhy).toBe('fcntl refuses F_NOCACHE (45)');
    image.close();
  });
});

describe('opening an image on Windows', () => {
  it('asks the open for no buffering, and to write for itself alone', () => {
    const image = open(windows, { readOnly: false, direct: true });
    expect((opened[0] as number) & 0x0200_0000).not.toBe(0);
    expect((opened[0] as number) & 0x1000_0000).not.toBe(0);
    expect(controls).toEqual([]);
    expect(image.isDirect).toBe(true);
    image.close();
    open(windows, { readOnly: true, direct: false }).close();
    expect((opened[1] as number) & 0x1200_0000).toBe(0);
  });
});

describe('what is refused there', () => {
  it.each([
    [macos, 'EAGAIN', 'image.in-use'],
    [windows, 'EBUSY', 'image.in-use'],
    [macos, 'EACCES', 'image.permission'],
    [windows, 'EPERM', 'image.permission'],
    [macos, 'ELOOP', 'image.not-regular'],
    [windows, 'EIO', 'image.open-failed'],
  ] as const)('%#: %o', (platform, code, expected) => {
    refuse = code;
    expect(() => open(platform, { readOnly: false, direct: true })).toThrow(
      expect.objectContaining({ code: expected }) as Error,
    );
    expect(closed).toEqual([]);
  });
  it('a link, a folder, and what is not there', () => {
    const target = path;
    path = join(folder, 'link');
    fs.symlinkSync(target, path);
    const code = (): unknown => {
      try {
        open(macos, { readOnly: true, direct: true });
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
      return null;
    };
    expect(code()).toBe('image.not-regular');
    path = folder;
    expect(code()).toBe('image.not-regular');
    path = join(folder, 'none');
    expect(code()).toBe('image.missing');
    expect(opened).toEqual([]);
  });
  it('a file that took the place of another is closed again', () => {
    const other = join(folder, 'other');
    fs.writeFileSync(other, 'x');
    const swapped = {
      ...files,
      openSync: (_name: string, flags: number) => fs.openSync(other, flags & 3),
    };
    expect(() =>
      elsewhereImageFiles(windows, swapped, calls).open(path, { readOnly: true, direct: false }),
    ).toThrow(expect.objectContaining({ code: 'image.not-regular' }) as Error);
    expect(closed).toHaveLength(1);
  });
});

it('sees that a file was changed by another program', () => {
  const image = open(macos, { readOnly: true, direct: false });
  expect(image.changedWhy?.()).toBeNull();
  fs.appendFileSync(path, 'more');
  expect(image.changedWhy?.()).toContain('another program changed it');
  image.close();
});

describe.each(['sync', 'threads'] as const)('the executor %s over node:fs', (id) => {
  const arena = makeNativeArena(8);
  let executor: Executor;
  let fd: number;
  beforeEach(() => {
    fd = fs.openSync(path, 'r+');
    ({ executor } = fsExecutors(id, { depth: 4, submitBatch: 1, polled: false }, arena));
    expect(executor.id).toBe(id);
  });
  afterEach(() => {
    executor.close();
    fs.closeSync(fd);
  });
  const one = (
    kind: number,
    offsetBytes: number,
    change: (slot: number) => void = () => undefined,
  ) => {
    const slot = executor.takeSlot();
    const { slots } = executor;
    slots.kind[slot] = kind;
    slots.fd[slot] = fd;
    slots.fileOffsetBytes[slot] = offsetBytes;
    slots.bufferOffset[slot] = PAGE_BYTES;
    slots.lengthBytes[slot] = PAGE_BYTES;
    change(slot);
    executor.push(slot);
    executor.commit();
    let result = NaN;
    while (Number.isNaN(result)) executor.reap(1, 1e9, (_slot, value) => (result = value));
    return result;
  };

  it('reads and writes at its place, and syncs', () => {
    expect(one(RAW_KIND.read, PAGE_BYTES)).toBe(PAGE_BYTES);
    expect(arena.bytes[PAGE_BYTES]).toBe(7);
    arena.bytes.fill(9, PAGE_BYTES, 2 * PAGE_BYTES);
    expect(one(RAW_KIND.write, 2 * PAGE_BYTES)).toBe(PAGE_BYTES);
    expect(one(RAW_KIND.fsync, 0)).toBe(0);
    expect(one(RAW_KIND.fdatasync, 0)).toBe(0);
    const content = fs.readFileSync(path);
    expect([content[PAGE_BYTES], content[2 * PAGE_BYTES], content[3 * PAGE_BYTES]]).toEqual([
      7, 9, 7,
    ]);
  });
  it('gives what is there at the end of a file, and nothing behind it', () => {
    fs.truncateSync(path, 1000);
    expect(one(RAW_KIND.read, 0)).toBe(1000);
    expect(one(RAW_KIND.read, PAGE_BYTES)).toBe(0);
  });
  it('gives minus an errno of Linux where the host refuses', () => {
    const closedFd = (slot: number): void => {
      executor.slots.fd[slot] = 99_999;
    };
    expect(one(RAW_KIND.read, 0, closedFd)).toBe(-ERRNO.EBADF);
    const outside = (slot: number): void => {
      executor.slots.bufferOffset[slot] = 2 ** 40;
    };
    expect(one(RAW_KIND.read, 0, outside)).toBe(-ERRNO.EFAULT);
    const nowait = (slot: number): void => {
      executor.slots.flags[slot] = RAW_FLAG.nowait;
    };
    expect(one(RAW_KIND.read, 0, nowait)).toBe(-ERRNO.EOPNOTSUPP);
  });
  it('writes through where it is asked to', () => {
    const dsync = (slot: number): void => {
      executor.slots.flags[slot] = RAW_FLAG.dsync;
    };
    expect(one(RAW_KIND.write, 0, dsync)).toBe(PAGE_BYTES);
  });
});

it('io_uring and libaio refuse there, and threads take their place', () => {
  const options = { depth: 2, submitBatch: 1, polled: false };
  const { executor, choice } = fsExecutors('io_uring', options, makeNativeArena(4));
  executor.close();
  expect(choice.got).toBe('threads');
  expect(choice.refusals.map(({ id }) => id)).toEqual(['io_uring', 'libaio']);
});

it('is never chosen on Linux, and says of itself that it was not tried', () => {
  expect(platformOf('linux')).toBeNull();
  if (process.platform === 'linux') expect(thisPlatform()).toBeNull();
  for (const platform of [macos, windows]) {
    expect(platformOf(platform.id)).toBe(platform);
    for (const fact of [elsewhereDirect(platform, '/x'), elsewhereLocks(platform)]) {
      expect(fact.state).toBe('partly');
      expect(fact.text).toContain(NOT_TRIED);
      expect(fact.remedy).not.toBeNull();
    }
  }
});
