// SPDX-License-Identifier: GPL-2.0-only
/**
 * The hostile requests of the helper, each a row: what is tried, and what must come of it. test/native/helper-hostile.test.ts runs all
 * of them; scripts/guards.mjs runs single ones against helpers that lack a guard, and expects them to fail.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import {
  chmodSync, closeSync, constants, existsSync, linkSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync,
  renameSync, truncateSync, unlinkSync, writeFileSync,
} from 'node:fs'; // prettier-ignore
import { join } from 'node:path';
import { expect } from 'vitest';
import type { FrameSession } from './helper-frames.ts';
import {
  FLAG,
  lend,
  lockFile,
  makePairOf,
  raw,
  rule,
  STATUS,
  VERB,
  type Frame,
} from './helper-frames.ts';
import type { HelperLab } from './helper-lab.ts';
import { MIB } from './helper-lab.ts';
import { findProgram } from './tools.ts';

export interface HostileCase {
  readonly group: 'frames' | 'fds' | 'numbers' | 'order' | 'start';
  readonly name: string;
  readonly run: (lab: HelperLab) => void | Promise<void>;
  /** Why it cannot be tried here; null: it can. */
  readonly skipWhy?: (() => string | null) | undefined;
}

const O_PATH = 0o10000000;
const { O_RDONLY, O_RDWR, O_WRONLY } = constants;
const text = (value: string): number => lend(new TextEncoder().encode(`${value}\0`));
const needs =
  (...programs: string[]) =>
  (): string | null =>
    programs.find((program) => findProgram(program) === null)?.concat(' is missing') ?? null;
const needsPath = (path: string) => (): string | null =>
  existsSync(path) ? null : `${path} is not here`;

const frames = (name: string, run: HostileCase['run']): HostileCase => ({
  group: 'frames',
  name,
  run,
});
/** A frame in an open session that is refused as it is. */
const frame = (name: string, status: number, verb: number, ask: Frame): HostileCase =>
  frames(name, (lab) => {
    const session = lab.session();
    lab.refuses(session, status, () => session.ask(verb, ask));
  });
const fds = (
  name: string,
  run: HostileCase['run'],
  skipWhy?: HostileCase['skipWhy'],
): HostileCase => ({ group: 'fds', name, run, skipWhy });
/** A descriptor that no ATTACH takes. */
const fd = (
  name: string,
  status: number,
  make: (lab: HelperLab) => number,
  ask: { flags?: number } = {},
  skipWhy?: HostileCase['skipWhy'],
): HostileCase =>
  fds(
    name,
    (lab) => {
      lab.refusesFd(status, make(lab), ask);
    },
    skipWhy,
  );
const numbers = (name: string, run: HostileCase['run']): HostileCase => ({
  group: 'numbers',
  name,
  run,
});
const order = (
  name: string,
  run: HostileCase['run'],
  skipWhy?: HostileCase['skipWhy'],
): HostileCase => ({ group: 'order', name, run, skipWhy });
const start = (
  name: string,
  run: HostileCase['run'],
  skipWhy?: HostileCase['skipWhy'],
): HostileCase => ({ group: 'start', name, run, skipWhy });

const frameCases: HostileCase[] = [
  ...[0, 63, 65].map((lengthBytes) =>
    frames(`a frame of ${String(lengthBytes)} bytes`, (lab) => {
      const session = lab.session();
      const bytes = new Uint8Array(lengthBytes);
      bytes.set(session.frame(VERB.status).subarray(0, lengthBytes));
      lab.refuses(session, STATUS.frame, () => session.exchange(bytes));
    }),
  ),
  frames('a frame of 1 MiB', (lab) => {
    const session = lab.session();
    session.widen();
    const bytes = new Uint8Array(MIB);
    bytes.set(session.frame(VERB.status));
    lab.refuses(session, STATUS.frame, () => session.exchange(bytes));
  }),
  frame('a wrong magic number', STATUS.frame, VERB.status, { magic: 0x4c4f4945 }),
  frame('version 0', STATUS.version, VERB.status, { version: 0 }),
  frame('version 65535', STATUS.version, VERB.status, { version: 65535 }),
  frame('verb 0', STATUS.verb, 0, {}),
  frame('verb 10', STATUS.verb, 10, {}),
  frame('verb 65535', STATUS.verb, 65535, {}),
  frame('a flag that the verb does not have', STATUS.flags, VERB.status, { flags: 1 }),
  frame('an unknown flag', STATUS.flags, VERB.attach, { flags: 4, words: [512n] }),
  frame('the first reserved field', STATUS.reserved, VERB.status, { reserved: [1n] }),
  frame('the second reserved field', STATUS.reserved, VERB.status, { reserved: [0n, 1n] }),
  frame('an argument that the verb does not have', STATUS.reserved, VERB.status, { words: [0n, 0n, 0n, 1n] }),
  frames('a request before HELLO', (lab) => {
    const session = lab.silentSession();
    expect(session.ask(VERB.status).status).toBe(STATUS.order);
    const image = lab.locked(lab.image());
    expect(session.ask(VERB.attach, { words: [512n], fds: [image] }).status).toBe(STATUS.order);
    expect(lab.loops()).toEqual([]);
  }),
  frame('HELLO twice', STATUS.order, VERB.hello, { words: [1n] }),
  frames('HELLO with another version', (lab) => {
    const session = lab.silentSession();
    expect(session.ask(VERB.hello, { words: [2n] }).status).toBe(STATUS.version);
    expect(session.ask(VERB.status).status).toBe(STATUS.order);
  }),
  frame('an identifier for the second time', STATUS.id, VERB.status, { id: 1 }),
  frame('identifier 0', STATUS.id, VERB.status, { id: 0 }),
  frames('half-close, then more', async (lab) => {
    const session = lab.session();
    session.halfClose();
    expect(session.send(session.frame(VERB.status))).toBe(-32);
    expect(await session.exited).toBe(0);
  }),
  frames('more than twenty requests at once', (lab) => {
    const session = lab.session();
    const statuses = Array.from({ length: 30 }, () => session.ask(VERB.status).status);
    expect(statuses).toContain(STATUS.rate);
    expect(statuses.slice(0, 19)).toEqual(Array.from({ length: 19 }, () => 0));
  }),
  frames('a flood whose answers nobody reads', async (lab) => {
    const session = lab.session();
    for (let count = 0; count < 5000; count++) if (session.send(new Uint8Array(3)) < 0) break;
    expect(await session.exited).toBe(0);
  }),
  frames('a descriptor with a verb that takes none', (lab) => {
    const session = lab.session();
    const image = lab.open(lab.image());
    lab.refuses(session, STATUS.fds, () => session.ask(VERB.status, { fds: [image] }));
  }),
]; // prettier-ignore

/** Both at the same moment: the first attach is held where strace says, and `meanwhile` runs. Returns the status of the first. */
async function during(lab: HelperLab, inject: string, image: number, meanwhile: () => void): Promise<number> {
  const through = ['strace', '-q', '-o', '/dev/null', '-e', `trace=ioctl`, '-e', `inject=ioctl:${inject}`];
  const session = lab.session({ through });
  session.send(session.frame(VERB.attach, { words: [512n] }), [image]);
  await new Promise((resolve) => setTimeout(resolve, 700));
  meanwhile();
  const answer = session.receive();
  if (answer !== null && answer.fd >= 0) lab.keep(answer.fd);
  return answer?.status ?? -1;
} // prettier-ignore

function anon(name: 'memfd' | 'eventfd' | 'epoll' | 'pidfd' | 'socket'): (lab: HelperLab) => number {
  return (lab) => {
    switch (name) {
      case 'memfd': {
        const made = lab.keep(raw('memfd', text('diolab-memory'), 1));
        truncateSync(`/proc/self/fd/${String(made)}`, MIB);
        raw('fcntl', made, 37, 0);
        execFileSync('chown', [String(lab.users[0]), `/proc/${String(process.pid)}/fd/${String(made)}`]);
        lockFile(made);
        return made;
      }
      case 'eventfd': return lab.keep(raw('eventfd', 0, 0));
      case 'epoll': return lab.keep(raw('epoll', 0));
      case 'pidfd': return lab.keep(raw('pidfd', process.pid, 0));
      case 'socket': return lab.keep(raw('socket', 1, 1, 0));
    }
  };
} // prettier-ignore

/** A loop device of somebody else's, made by the system's own tool. */
function foreignLoop(lab: HelperLab, path: string): string {
  const device = execFileSync('losetup', ['-f', '--show', path], { encoding: 'utf8' }).trim();
  lab.later(() => { execFileSync('losetup', ['-d', device]); });
  return device;
} // prettier-ignore
function mounted(lab: HelperLab, source: string, words: readonly string[] = []): string {
  const folder = join(lab.folder, `mount-${String(Math.random()).slice(2)}`);
  mkdirSync(folder);
  execFileSync('mount', [...words, source, folder]);
  lab.later(() => { execFileSync('umount', [folder]); });
  return folder;
} // prettier-ignore

async function withSilentFile(lab: HelperLab): Promise<void> {
  const path = lab.image();
  const server = await lab.companion('silent', path);
  const session = lab.session();
  // Last: a program that this process starts from here on would close its copy when it is executed, and wait for ever.
  const silent = openSync(path, O_RDWR);
  try {
    lab.refuses(session, rule(6), () => session.ask(VERB.attach, { words: [512n], fds: [silent] }));
    // Its first child is still waiting: the next is refused at once, and everything else goes on.
    lab.refuses(session, rule(6), () => session.ask(VERB.attach, { words: [512n], fds: [silent] }));
    lab.refuses(session, STATUS.fds, () => session.ask(VERB.status, { fds: [silent] }));
    expect(session.ask(VERB.status).status).toBe(STATUS.ok);
    expect(readdirSync(`/proc/${String(session.child.pid)}/task`)).toHaveLength(1);
    const waiting = readFileSync(`/proc/${String(session.child.pid)}/task/${String(session.child.pid)}/children`, 'utf8');
    expect(waiting.trim().split(' ')).toHaveLength(1);
    expect(await session.end()).toBe(0);
  } finally {
    const gone = once(server, 'exit');
    server.stdin?.end();
    await gone;
    // The server is gone: the kernel closes it, and says that nobody was told.
    expect(() => { closeSync(silent); }).toThrow(/ENOTCONN/u);
  }
} // prettier-ignore

function withSwap(name: string, flags: number, ask: number): HostileCase['run'] {
  return (lab) => {
    const path = lab.image(MIB, lab.users[0], name);
    writeFileSync(path, Buffer.alloc(MIB));
    execFileSync('mkswap', [path], { stdio: 'ignore' });
    execFileSync('swapon', [path], { stdio: 'ignore' });
    lab.later(() => { execFileSync('swapoff', [path]); });
    const image = lab.open(path, flags);
    lockFile(image, flags === O_RDONLY ? 0 : 1);
    lab.refusesFd(rule(8), image, { flags: ask });
  };
} // prettier-ignore
function whyNoSwap(): string | null {
  const lab = needs('mkswap', 'swapon', 'swapoff')();
  if (lab !== null) return lab;
  return existsSync('/proc/swaps') ? null : 'this kernel has no swap';
}
const attribute = (flag: string): HostileCase =>
  fds(`a file that is ${flag === 'i' ? 'immutable' : 'append-only'}`, (lab) => {
    const path = lab.image();
    const image = lab.locked(path);
    execFileSync('chattr', [`+${flag}`, path]);
    lab.later(() => { execFileSync('chattr', [`-${flag}`, path]); });
    lab.refusesFd(rule(8), image);
  }, needs('chattr')); // prettier-ignore

const disk = (): string | undefined =>
  readdirSync('/sys/block').find((name) => !/^(loop|ram|zram)/u.test(name));
/** Some machines keep their disks even from root. */
function whyNoDisk(): string | null {
  try {
    closeSync(openSync(`/dev/${String(disk())}`, O_RDONLY));
    return null;
  } catch (error) {
    return `no disk that can be opened: ${String((error as NodeJS.ErrnoException).code)}`;
  }
}

const fdCases: HostileCase[] = [
  fds('no descriptor', (lab) => {
    const session = lab.session();
    lab.refuses(session, rule(1), () => session.ask(VERB.attach, { words: [512n] }));
  }),
  ...[2, 253].map((count) =>
    fds(`${String(count)} descriptors`, (lab) => {
      const session = lab.session();
      const image = lab.locked(lab.image());
      lab.refuses(session, rule(1), () => session.ask(VERB.attach, { words: [512n], fds: Array.from({ length: count }, () => image) }));
    }),
  ),
  fd('a path only (O_PATH)', rule(3), (lab) => lab.open(lab.image(), O_PATH)),
  fd('open for reading, asked for writing', rule(3), (lab) => lab.locked(lab.image(), O_RDONLY)),
  fd('open for writing only', rule(3), (lab) => lab.locked(lab.image(), O_WRONLY), { flags: FLAG.readOnly }),
  fd('a loop device', rule(2), (lab) => lab.open(foreignLoop(lab, lab.image()))),
  fd('a disk', rule(2), (lab) => lab.open(`/dev/${String(disk())}`, O_RDONLY), { flags: FLAG.readOnly }, whyNoDisk),
  fds('a block device whose node lies on a good file system', (lab) => {
    const device = foreignLoop(lab, lab.image());
    const node = join(lab.folder, 'node');
    execFileSync('mknod', [node, 'b', '7', device.slice('/dev/loop'.length)]);
    lab.later(() => { unlinkSync(node); });
    lab.refusesFd(rule(2), lab.open(node));
  }),
  fd('/dev/null', rule(2), (lab) => lab.open('/dev/null')),
  fd('/dev/mem', rule(2), (lab) => lab.open('/dev/mem', O_RDONLY), { flags: FLAG.readOnly }, needsPath('/dev/mem')),
  fd('a directory', rule(2), (lab) => lab.open(lab.folder, O_RDONLY), { flags: FLAG.readOnly }),
  fd('a FIFO', rule(2), (lab) => {
    const path = join(lab.folder, 'fifo');
    execFileSync('mkfifo', [path]);
    lab.later(() => { unlinkSync(path); });
    return lab.open(path);
  }),
  fd('a socket', rule(6), anon('socket')),
  fd('a memfd', rule(5), anon('memfd')),
  fd('a pidfd', rule(6), anon('pidfd')),
  fd('an eventfd', rule(6), anon('eventfd')),
  fd('an epoll', rule(6), anon('epoll')),
  fd('/proc/self/mem', rule(6), (lab) => lab.open('/proc/self/mem')),
  fd('a file of sysfs', rule(6), (lab) => lab.open('/sys/kernel/uevent_seqnum', O_RDONLY), { flags: FLAG.readOnly }, needsPath('/sys/kernel/uevent_seqnum')),
  fds('a file of overlayfs', (lab) => {
    const parts = ['lower', 'upper', 'work'].map((name) => join(lab.folder, name));
    for (const part of parts) if (!existsSync(part)) mkdirSync(part);
    const [lower = '', upper = '', work = ''] = parts;
    const folder = mounted(lab, 'overlay', ['-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`]);
    const path = join(folder, 'image');
    writeFileSync(path, Buffer.alloc(MIB));
    execFileSync('chown', [String(lab.users[0]), path]);
    lab.refusesFd(rule(6), lab.locked(path));
  }, () => readFileSync('/proc/filesystems', 'utf8').includes('overlay') ? null : 'no overlayfs here'),
  fds('a file whose file system never answers', withSilentFile, needsPath('/dev/fuse')),
  fd('a readable file of root', rule(4), (lab) => lab.locked(lab.image(MIB, 0), O_RDONLY), { flags: FLAG.readOnly }),
  fd('another user’s file', rule(4), (lab) => lab.locked(lab.image(MIB, lab.users[1]))),
  ...[0o4600, 0o2610].map((mode) =>
    fd(mode === 0o4600 ? 'a setuid file' : 'a setgid file', rule(4), (lab) => {
      const path = lab.image();
      chmodSync(path, mode);
      return lab.locked(path);
    }),
  ),
  fd('a file of two names', rule(5), (lab) => {
    const path = lab.image();
    linkSync(path, `${path}-again`);
    return lab.locked(path);
  }),
  fd('a file without a name', rule(5), (lab) => {
    const path = lab.image();
    const image = lab.locked(path);
    unlinkSync(path);
    return image;
  }),
  fds('a swap file', withSwap('swap', O_RDONLY, FLAG.readOnly), whyNoSwap),
  fds('a swap file whose name the list cannot tell', withSwap('swap with spaces', O_RDWR, 0), whyNoSwap),
  attribute('a'),
  attribute('i'),
  fds('a file that is attached already', (lab) => {
    const path = lab.image();
    foreignLoop(lab, path);
    lab.refusesFd(rule(9), lab.locked(path));
  }),
  fds('a file that is mounted by somebody else', (lab) => {
    const path = lab.formatted(['mkfs.ext4', '-q', '-F'], 4 * MIB);
    mounted(lab, path, ['-o', 'loop']);
    lab.refusesFd(rule(9), lab.locked(path));
  }, needs('mkfs.ext4')),
  fds('a file on our own loop device, mounted by somebody else', (lab) => {
    const session = lab.session();
    const path = lab.formatted(['mkfs.ext4', '-q', '-F'], 16 * MIB);
    const outer = lab.attached(session, lab.locked(path));
    lab.close(outer.fd);
    const folder = mounted(lab, `/dev/loop${String(outer.number)}`);
    const inner = join(folder, 'inner');
    writeFileSync(inner, Buffer.alloc(MIB));
    execFileSync('chown', [String(lab.users[0]), inner]);
    lab.refusesFd(rule(11), lab.locked(inner), { session });
  }, needs('mkfs.ext4')),
  ...(['ext4', 'btrfs'] as const).map((kind) =>
    fds(`a file in our own verification mount of ${kind}`, (lab) => {
      const path = lab.formatted([`mkfs.${kind}`, '-q', kind === 'ext4' ? '-F' : '-f'], kind === 'ext4' ? 16 * MIB : 128 * MIB);
      const folder = mounted(lab, path, ['-o', 'loop']);
      writeFileSync(join(folder, 'inner'), Buffer.alloc(MIB));
      execFileSync('chown', [String(lab.users[0]), join(folder, 'inner')]);
      execFileSync('umount', [folder]);
      lab.later(() => { execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]); });
      const session = lab.session();
      const outer = lab.attached(session, lab.locked(path));
      lab.close(outer.fd);
      const { status, fd: root } = session.ask(VERB.verifyMount, { words: [outer.handle, kind === 'ext4' ? 1n : 3n] });
      expect(status).toBe(STATUS.ok);
      lab.keep(root);
      const inner = lab.locked(`/proc/self/fd/${String(root)}/inner`, O_RDONLY);
      lab.refusesFd(rule(11), inner, { session, flags: FLAG.readOnly });
      lab.close(inner);
    }, needs(`mkfs.${kind}`)),
  ),
  fds('the same file at once in two sessions', async (lab) => {
    const image = lab.locked(lab.image());
    const second = lab.session();
    const status = await during(lab, 'delay_exit=1500000:when=1', image, () => {
      lab.attached(second, image);
    });
    expect(status).toBe(rule(9));
    expect(lab.loops()).toHaveLength(1);
  }, needs('strace')),
  fds('truncated between the check and the use', async (lab) => {
    const path = lab.image();
    const status = await during(lab, 'delay_enter=1500000:when=2', lab.locked(path), () => {
      truncateSync(path, MIB / 2);
    });
    expect(status).toBe(STATUS.directIo);
    expect(lab.loops()).toEqual([]);
  }, needs('strace')),
  fds('truncated before the answer', async (lab) => {
    const path = lab.image();
    const status = await during(lab, 'delay_exit=1500000:when=2', lab.locked(path), () => {
      truncateSync(path, MIB / 2);
    });
    expect(status).toBe(rule(7));
    expect(lab.loops()).toEqual([]);
  }, needs('strace')),
  fds('a second name before the answer', async (lab) => {
    const path = lab.image();
    const status = await during(lab, 'delay_exit=1500000:when=2', lab.locked(path), () => {
      linkSync(path, `${path}-again`);
    });
    expect(status).toBe(rule(5));
    expect(lab.loops()).toEqual([]);
  }, needs('strace')),
  fds('replaced after the attach', (lab) => {
    const session = lab.session();
    const [path, other] = [lab.image(), lab.image()];
    const { number } = lab.attached(session, lab.locked(path));
    renameSync(other, path);
    // What is attached is the file that was sent, not the name.
    expect(readFileSync(`/sys/block/loop${String(number)}/loop/backing_file`, 'utf8')).toContain('(deleted)');
    lab.refusesFd(rule(5), deletedOf(lab), { session });
  }),
  fd('a file that nobody locked', rule(10), (lab) => lab.open(lab.image())),
  fds('a file that another description has locked', (lab) => {
    const path = lab.image();
    lab.locked(path);
    lab.refusesFd(rule(10), lab.open(path));
  }),
  fd('a lock for reading where writing is asked', rule(10), (lab) => {
    const image = lab.open(lab.image());
    expect(lockFile(image, 0)).toBe(0);
    return image;
  }),
  fd('a lock of a part', rule(10), (lab) => {
    const image = lab.open(lab.image());
    expect(lockFile(image, 1, 4096)).toBe(0);
    return image;
  }),
  fd('a description that carries O_DIRECT, unasked', STATUS.directIo, (lab) => lab.locked(lab.image(), O_RDWR | constants.O_DIRECT)),
]; // prettier-ignore

/** A locked image whose name was taken away. */
function deletedOf(lab: HelperLab): number {
  const path = lab.image();
  const image = lab.locked(path);
  renameSync(lab.image(), path);
  return image;
}

const traceCase = (name: string, status: number, words: readonly bigint[]): HostileCase =>
  numbers(name, (lab) => {
    const session = lab.session();
    const { handle } = lab.attached(session, lab.locked(lab.image()));
    lab.refuses(session, status, () => session.ask(VERB.traceStart, { words: [handle, ...words] }));
  });
const events = (set: bigint, seconds: bigint): bigint => set | (seconds << 32n);

const numberCases: HostileCase[] = [
  ...[0n, 1n, 511n, 513n, 8192n, 2n ** 63n, 512n + 2n ** 32n].map((sector) =>
    numbers(`a sector size of ${String(sector)}`, (lab) => {
      lab.refusesFd(STATUS.argument, lab.locked(lab.image()), { sector });
    }),
  ),
  ...[0, 1, 65_024, MIB + 1, MIB + 100].map((sizeBytes) =>
    numbers(`a file of ${String(sizeBytes)} bytes`, (lab) => {
      lab.refusesFd(rule(7), lab.locked(lab.image(sizeBytes)));
    }),
  ),
  numbers('a file of 64 GiB and a sector', (lab) => {
    lab.refusesFd(rule(7), lab.locked(lab.image(64 * 2 ** 30 + 512)));
  }),
  numbers('a sparse file of 15 TiB', (lab) => {
    lab.refusesFd(rule(7), lab.locked(lab.image(15 * 2 ** 40)));
  }),
  numbers('a size that its sectors do not divide', (lab) => {
    lab.refusesFd(rule(7), lab.locked(lab.image(MIB + 512)), { sector: 4096n });
  }),
  numbers('a handle of another session', (lab) => {
    const { handle } = lab.attached(lab.session(), lab.locked(lab.image()));
    const session = lab.session();
    for (const verb of [VERB.detach, VERB.unmount])
      lab.refuses(session, STATUS.handle, () => session.ask(verb, { words: [handle] }));
    lab.refuses(session, STATUS.handle, () => session.ask(VERB.verifyMount, { words: [handle, 1n] }));
  }),
  numbers('a guessed handle, and 0', (lab) => {
    const session = lab.session();
    for (const handle of [0n, 1n, 2n ** 64n - 1n]) {
      lab.refuses(session, STATUS.handle, () => session.ask(VERB.detach, { words: [handle] }));
      lab.refuses(session, STATUS.handle, () => session.ask(VERB.verifyMount, { words: [handle, 1n] }));
      lab.refuses(session, STATUS.handle, () => session.ask(VERB.unmount, { words: [handle] }));
      lab.refuses(session, STATUS.handle, () => session.ask(VERB.traceStart, { words: [handle, events(1n, 1n), 64n] }));
    }
  }),
  numbers('a handle after its detach', (lab) => {
    const session = lab.session();
    const { handle, fd: device } = lab.attached(session, lab.locked(lab.image()));
    lab.close(device);
    expect(session.ask(VERB.detach, { words: [handle] }).status).toBe(STATUS.ok);
    lab.refuses(session, STATUS.handle, () => session.ask(VERB.detach, { words: [handle] }));
  }),
  numbers('a file system that is not offered', (lab) => {
    const session = lab.session();
    const { handle, fd: device } = lab.attached(session, lab.locked(lab.image()));
    lab.close(device);
    for (const kind of [0n, 4n, 2n ** 32n + 1n])
      lab.refuses(session, STATUS.argument, () => session.ask(VERB.verifyMount, { words: [handle, kind] }));
  }),
  traceCase('a trace of 0 seconds', STATUS.argument, [events(1n, 0n), 64n]),
  traceCase('a trace of 601 seconds', STATUS.argument, [events(1n, 601n), 64n]),
  traceCase('a trace of the most seconds that fit', STATUS.argument, [events(1n, 2n ** 32n - 1n), 64n]),
  traceCase('event set 0', STATUS.argument, [events(0n, 1n), 64n]),
  traceCase('event set 99', STATUS.argument, [events(99n, 1n), 64n]),
  traceCase('a buffer of 0 KiB', STATUS.argument, [events(1n, 1n), 0n]),
  traceCase('a buffer of 4097 KiB', STATUS.argument, [events(1n, 1n), 4097n]),
  traceCase('a trace of its own and a foreign device', STATUS.handle, [events(1n, 1n), 64n, 7n]),
  numbers('a ninth device', (lab) => {
    const session = lab.session();
    for (let count = 0; count < 8; count++) lab.attached(session, lab.locked(lab.image()));
    lab.refusesFd(rule(12), lab.locked(lab.image()), { session });
  }),
]; // prettier-ignore

/** A session with an ext4 image that is attached; its device's descriptor is still out. */
function withExt4(lab: HelperLab): { session: FrameSession; handle: bigint; device: number } {
  const session = lab.session();
  const { handle, fd: device } = lab.attached(session, lab.locked(lab.formatted(['mkfs.ext4', '-q', '-F'], 4 * MIB)));
  return { session, handle, device };
} // prettier-ignore
function verifyMount(lab: HelperLab, session: FrameSession, handle: bigint): number {
  const { status, fd: root } = session.ask(VERB.verifyMount, { words: [handle, 1n] });
  expect(status).toBe(STATUS.ok);
  return lab.keep(root);
}
const canTrace = (lab: HelperLab): boolean => {
  const session = lab.silentSession();
  const can = ((session.ask(VERB.hello, { words: [1n] }).values[3] ?? 0n) & 4n) !== 0n;
  session.close();
  return can;
};

const orderCases: HostileCase[] = [
  order('DETACH while the device’s descriptor is out', (lab) => {
    const session = lab.session();
    const { handle, fd: device } = lab.attached(session, lab.locked(lab.image()));
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.detach, { words: [handle] }));
    lab.close(device);
    expect(session.ask(VERB.detach, { words: [handle] }).status).toBe(STATUS.ok);
    expect(lab.loops()).toEqual([]);
  }),
  order('VERIFY_MOUNT while a writable descriptor is out', (lab) => {
    const { session, handle } = withExt4(lab);
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.verifyMount, { words: [handle, 1n] }));
  }, needs('mkfs.ext4')),
  order('DETACH, and a second mount, while it is mounted', (lab) => {
    const { session, handle, device } = withExt4(lab);
    lab.close(device);
    const root = verifyMount(lab, session, handle);
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.detach, { words: [handle] }));
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.verifyMount, { words: [handle, 1n] }));
    expect(session.ask(VERB.unmount, { words: [handle] }).status).toBe(STATUS.busy);
    expect(session.ask(VERB.status).values[1]).toBe(1n);
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.detach, { words: [handle] }));
    lab.close(root);
    expect(session.ask(VERB.unmount, { words: [handle] }).status).toBe(STATUS.ok);
    lab.refuses(session, STATUS.order, () => session.ask(VERB.unmount, { words: [handle] }));
    expect(session.ask(VERB.detach, { words: [handle] }).status).toBe(STATUS.ok);
  }, needs('mkfs.ext4')),
  order('UNMOUNT of what is not mounted', (lab) => {
    const { session, handle } = withExt4(lab);
    lab.refuses(session, STATUS.order, () => session.ask(VERB.unmount, { words: [handle] }));
  }, needs('mkfs.ext4')),
  order('a third mount', (lab) => {
    const session = lab.session();
    const handles = [1, 2, 3].map(() => {
      const made = lab.attached(session, lab.locked(lab.formatted(['mkfs.ext4', '-q', '-F'], 4 * MIB)));
      lab.close(made.fd);
      return made.handle;
    });
    for (const handle of handles.slice(0, 2)) verifyMount(lab, session, handle);
    lab.refuses(session, rule(12), () => session.ask(VERB.verifyMount, { words: [handles[2] ?? 0n, 1n] }));
  }, needs('mkfs.ext4')),
  order('an image with setuid files, devices, links and a way up', (lab) => {
    const path = lab.formatted(['mkfs.ext4', '-q', '-F'], 16 * MIB);
    const commands = ['symlink link /etc/passwd', 'symlink loop loop', 'mknod null c 1 3', 'write /bin/true tool', 'sif tool mode 0104755'];
    for (const command of commands) execFileSync('debugfs', ['-w', '-R', command, path], { stdio: 'ignore' });
    const before = readFileSync(path);
    const session = lab.session();
    const made = lab.attached(session, lab.locked(path));
    lab.close(made.fd);
    const root = verifyMount(lab, session, made.handle);
    const inside = `/proc/self/fd/${String(root)}`;
    expect(readdirSync(`${inside}/../../../..`).sort()).toEqual(readdirSync(inside).sort());
    expect(readdirSync(inside)).toContain('tool');
    expect(() => readFileSync(`${inside}/link`)).toThrow(/ELOOP/u);
    expect(() => readFileSync(`${inside}/loop`)).toThrow(/ELOOP/u);
    expect(() => openSync(`${inside}/null`, O_RDONLY)).toThrow(/EACCES/u);
    expect(() => { writeFileSync(`${inside}/new`, ''); }).toThrow(/EROFS/u);
    expect(spawnSync(`/proc/${String(process.pid)}/fd/${String(root)}/tool`).error?.message).toContain('EACCES');
    const options = readFileSync(`/proc/self/fdinfo/${String(root)}`, 'utf8');
    expect(options).toContain('mnt_id');
    lab.close(root);
    expect(session.ask(VERB.unmount, { words: [made.handle] }).status).toBe(STATUS.ok);
    expect(readFileSync(path).equals(before)).toBe(true);
  }, needs('mkfs.ext4', 'debugfs')),
  order('a second trace, a detach of what is traced, and TRACE_STOP of nothing', (lab) => {
    if (!canTrace(lab)) return;
    const session = lab.session();
    lab.refuses(session, STATUS.order, () => session.ask(VERB.traceStop));
    const { handle, fd: device } = lab.attached(session, lab.locked(lab.image()));
    const { status, fd: pipe } = session.ask(VERB.traceStart, { words: [handle, events(3n, 60n), 64n] });
    expect(status).toBe(STATUS.ok);
    lab.keep(pipe);
    lab.refuses(session, rule(12), () => session.ask(VERB.traceStart, { words: [handle, events(1n, 1n), 64n] }));
    lab.close(device);
    lab.refuses(session, STATUS.busy, () => session.ask(VERB.detach, { words: [handle] }));
    expect(session.ask(VERB.traceStop).status).toBe(STATUS.busy);
    lab.close(pipe);
    expect(session.ask(VERB.traceStop).status).toBe(STATUS.ok);
    expect(session.ask(VERB.detach, { words: [handle] }).status).toBe(STATUS.ok);
  }),
  order('the end of the session while the caller keeps the device', async (lab) => {
    const session = lab.session();
    const { fd: device } = lab.attached(session, lab.locked(lab.image()));
    expect(await session.end()).toBe(0);
    expect(lab.loops()).toHaveLength(1);
    lab.close(device);
    for (let count = 0; lab.loops().length > 0 && count < 100; count++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(lab.loops()).toEqual([]);
  }),
  order('a session whose signals were ignored still ends by one', async (lab) => {
    const session = lab.session({ through: ['env', '--ignore-signal', '--block-signal', '--'] });
    lab.attached(session, lab.locked(lab.image()));
    session.child.kill('SIGTERM');
    expect(await session.exited).toBe(0);
  }, needs('env')),
  order('an unmount of the host while a helper is there', (lab) => {
    const folder = join(lab.folder, 'shared');
    if (!existsSync(folder)) mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
    execFileSync('mount', ['--make-shared', folder]);
    const session = lab.session();
    const has = (): boolean => readFileSync(`/proc/${String(session.child.pid)}/mountinfo`, 'utf8').includes(`${folder} `);
    mkdirSync(join(folder, 'inner'));
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'inner')]);
    const has2 = (): boolean => readFileSync(`/proc/${String(session.child.pid)}/mountinfo`, 'utf8').includes(`${folder}/inner `);
    expect([has(), has2()]).toEqual([true, true]);
    execFileSync('umount', [join(folder, 'inner')]);
    expect(has2()).toBe(false);
    execFileSync('umount', [folder]);
  }, needs('mount')),
]; // prettier-ignore

/** Starts the helper with this as fd 0, and gives its exit status. */
function exitOf(lab: HelperLab, fd0: number | 'ignore', environment: Record<string, string> = {}, words: readonly string[] = []): number | null {
  const child = spawnSync(lab.helper, [...words], { stdio: [fd0, 'ignore', 'ignore'], env: environment, timeout: 10_000 });
  return child.status;
} // prettier-ignore
const uidCase = (value: string | null, peer: 'user' | 'root'): HostileCase =>
  start(`PKEXEC_UID ${value ?? 'missing'}, asked by ${peer}`, (lab) => {
    const [own, others] = makePairOf(peer === 'root' ? 0 : lab.users[0]);
    lab.keep(own);
    lab.keep(others);
    expect(exitOf(lab, others, value === null ? {} : { PKEXEC_UID: value })).toBe(77);
  });

const startCases: HostileCase[] = [
  start('an argument', (lab) => {
    const [own, others] = makePairOf(0);
    lab.keep(own);
    lab.keep(others);
    expect(exitOf(lab, others, {}, ['--help'])).toBe(64);
  }),
  start('fd 0 a file, /dev/null, closed, a stream socket, a datagram socket, TCP', async (lab) => {
    expect(exitOf(lab, lab.open(lab.image(), O_RDWR))).toBe(65);
    expect(exitOf(lab, 'ignore')).toBe(65);
    const closed = spawnSync('sh', ['-c', 'exec "$0" <&-', lab.helper], { stdio: ['ignore', 'ignore', 'ignore'], timeout: 10_000 });
    expect(closed.status).toBe(65);
    for (const type of [1, 2]) {
      const [own, others] = makePairOf(0, type);
      lab.keep(own);
      lab.keep(others);
      expect(exitOf(lab, others)).toBe(65);
    }
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const handle = (server as unknown as { _handle: { fd: number } })._handle.fd;
    expect(exitOf(lab, handle)).toBe(65);
    server.close();
  }),
  start('fd 0 a terminal', (lab) => {
    const child = spawnSync('script', ['-qec', lab.helper, '/dev/null'], { stdio: 'ignore', timeout: 10_000 });
    expect(child.status).toBe(65);
  }, needs('script')),
  start('standard output closed', async (lab) => {
    const [own, others] = makePairOf(0);
    lab.keep(own);
    const child = spawn('sh', ['-c', 'exec "$0" >&-', lab.helper], { stdio: [others, 'ignore', 'ignore'] });
    closeSync(others);
    lab.close(own);
    expect(await once(child, 'exit')).toEqual([71, null]);
  }),
  start('without root', (lab) => {
    const [own, others] = makePairOf(lab.users[0]);
    lab.keep(own);
    lab.keep(others);
    const path = join(lab.folder, 'helper-for-all');
    execFileSync('install', ['-m', '755', lab.helper, path]);
    chmodSync(lab.folder, 0o755);
    const child = spawnSync(path, { stdio: [others, 'ignore', 'ignore'], uid: lab.users[0], gid: lab.users[0], env: { PKEXEC_UID: String(lab.users[0]) }, timeout: 10_000 });
    expect(child.status).toBe(77);
    unlinkSync(path);
  }),
  ...['', '0', '1000abc', '-1', '4294967295', '99999999999', ' 1', '+1'].map((value) => uidCase(value, 'root')),
  uidCase(null, 'user'),
  start('PKEXEC_UID of another user than the one who asks', (lab) => {
    const [own, others] = makePairOf(lab.users[0]);
    lab.keep(own);
    lab.keep(others);
    expect(exitOf(lab, others, { PKEXEC_UID: String(lab.users[1]) })).toBe(77);
    expect(exitOf(lab, others, { PKEXEC_UID: `${String(lab.users[0])}x` })).toBe(77);
  }),
  start('LD_PRELOAD', (lab) => {
    const mark = join(lab.folder, 'mark');
    const environment = { LD_PRELOAD: join(lab.folder, 'preload.so'), DIOLAB_MARK: mark };
    spawnSync('/bin/true', { env: environment });
    expect(existsSync(mark)).toBe(true);
    unlinkSync(mark);
    lab.session({ environment });
    expect(existsSync(mark)).toBe(false);
  }),
  start('what it keeps of its start', (lab) => {
    const extra = lab.open(lab.image());
    const session = lab.session({ environment: { SECRET: 'x' } });
    const proc = `/proc/${String(session.child.pid)}`;
    const status = readFileSync(`${proc}/status`, 'utf8');
    expect(/CapEff:\t(\S+)/u.exec(status)?.[1]).toBe('0000000000200000');
    expect(/CapPrm:\t(\S+)/u.exec(status)?.[1]).toBe('0000000000200000');
    expect(/CapBnd:\t(\S+)/u.exec(status)?.[1]).toMatch(/^0000000000200000$/u);
    expect(/CapAmb:\t(\S+)/u.exec(status)?.[1]).toBe('0000000000000000');
    expect(/NoNewPrivs:\t(\d)/u.exec(status)?.[1]).toBe('1');
    expect(/Umask:\t(\d+)/u.exec(status)?.[1]).toBe('0077');
    expect(readlinkSync(`${proc}/cwd`)).toBe('/');
    expect(readlinkSync(`${proc}/ns/mnt`)).not.toBe(readlinkSync('/proc/self/ns/mnt'));
    expect(lstatSync(`${proc}/fd`).uid).toBe(0);
    const open = readdirSync(`${proc}/fd`).map((name) => readlinkSync(`${proc}/fd/${name}`));
    expect(open.filter((name) => name.includes(lab.folder))).toEqual([]);
    expect(extra).toBeGreaterThan(2);
  }),
  start('descriptors above 2 are not kept', (lab) => {
    const image = lab.image();
    const session = lab.session({ through: ['sh', '-c', `exec 7<"${image}"; exec "$0"`] });
    const open = readdirSync(`/proc/${String(session.child.pid)}/fd`).map((name) => readlinkSync(`/proc/${String(session.child.pid)}/fd/${name}`));
    expect(open.filter((name) => name.includes(lab.folder))).toEqual([]);
  }),
]; // prettier-ignore

export const hostileCases: readonly HostileCase[] = [
  ...frameCases,
  ...fdCases,
  ...numberCases,
  ...orderCases,
  ...startCases,
];
