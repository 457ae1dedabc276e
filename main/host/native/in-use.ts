// SPDX-License-Identifier: GPL-2.0-only
/**
 * Who else has an image file: a loop device, a mount, the swap. By device and inode number, never by name, so that links and other
 * names of the same file count. What may not be looked at (another user's loop device) is looked at by its sysfs name instead.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { ImageUse } from '../../contract/workbench.ts';
import { nativeSyscalls } from './syscalls.ts';
import { readU64, scratch } from './scratch.ts';

/** A file as the kernel knows it. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

const LOOP_GET_STATUS64 = 0x4c05;
/**
 * struct loop_info64:  0 lo_device u64 (encoded as stat's st_dev)   8 lo_inode u64   ...   (232 bytes)
 */
const LOOP_INFO_BYTES = 232;

const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there, or not ours to read: the other ways of finding out decide.
    return null;
  }
};

/** Octal escapes of /proc files: a space is \040. */
const unescapePath = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

function isSameFile(path: string, identity: FileIdentity): boolean {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return dev === identity.dev && ino === identity.ino;
  } catch {
    // A path that cannot be looked at names nothing that we could compare.
    return false;
  }
}

/** What the loop driver itself says; null where the device may not be opened or has no file. */
function loopStatus(devicePath: string): { readonly dev: number; readonly ino: number } | null {
  const native = nativeSyscalls();
  if (native === null) return null;
  let fd: number;
  try {
    fd = openSync(devicePath, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // No permission for the device: its sysfs name is all that we get.
    return null;
  }
  try {
    const { words, baseAddress } = scratch();
    words.fill(0, 0, LOOP_INFO_BYTES / 4);
    const { table, numbers } = native;
    if (table.call(numbers.ioctl, fd, LOOP_GET_STATUS64, baseAddress, 0, 0, 0) < 0) return null;
    return { dev: readU64(words, 0), ino: readU64(words, 2) };
  } finally {
    closeSync(fd);
  }
}

/** Names of the loop devices ('loop3') that the file is attached to. */
export function loopDevicesOf(identity: FileIdentity): string[] {
  let names: string[];
  try {
    names = readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name));
  } catch {
    // No sysfs here: no loop devices that we could see either.
    return [];
  }
  return names.filter((name) => {
    const backing = textOf(`/sys/block/${name}/loop/backing_file`);
    if (backing === null) return false;
    if (isSameFile(backing.replace(/\n$/, ''), identity)) return true;
    const status = loopStatus(`/dev/${name}`);
    return (
      status !== null && BigInt(status.dev) === identity.dev && BigInt(status.ino) === identity.ino
    );
  });
}

interface Mount {
  readonly deviceNumber: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  readonly source: string;
}

/** /proc/self/mountinfo: id parent major:minor root point options [tags] - type source superoptions */
export function readMounts(): Mount[] {
  const mounts: Mount[] = [];
  for (const line of (textOf('/proc/self/mountinfo') ?? '').split('\n')) {
    const [before, after] = line.split(' - ', 2);
    const left = before?.split(' ') ?? [];
    const right = after?.split(' ') ?? [];
    if (left.length < 6 || right.length < 2) continue;
    mounts.push({
      deviceNumber: left[2] as string,
      mountPoint: unescapePath(left[4] as string),
      fileSystem: right[0] as string,
      source: unescapePath(right[1] as string),
    });
  }
  return mounts;
}

/** One sentence that says who uses the file and how to let go of it; null where nobody does. */
export function usedBy(
  identity: FileIdentity,
): { readonly why: string; readonly hint: string } | null {
  const mounts = readMounts();
  const [loop] = loopDevicesOf(identity);
  if (loop !== undefined) {
    const number = textOf(`/sys/block/${loop}/dev`)?.trim() ?? '';
    const mount = mounts.find(({ deviceNumber }) => deviceNumber === number);
    return mount === undefined
      ? {
          why: `it is attached to /dev/${loop}`,
          hint: `Detach it first: losetup --detach /dev/${loop}`,
        }
      : {
          why: `it is mounted at ${mount.mountPoint} through /dev/${loop}`,
          hint: `Unmount it first: umount ${mount.mountPoint}`,
        };
  }
  const direct = mounts.find(
    ({ source }) =>
      source.startsWith('/') && !source.startsWith('/dev/') && isSameFile(source, identity),
  );
  if (direct !== undefined) {
    return {
      why: `it is mounted at ${direct.mountPoint} (${direct.fileSystem})`,
      hint: `Unmount it first: umount ${direct.mountPoint}`,
    };
  }
  for (const line of (textOf('/proc/swaps') ?? '').split('\n').slice(1)) {
    const path = unescapePath(line.split(/\s+/, 1)[0] ?? '');
    if (path.startsWith('/') && isSameFile(path, identity)) {
      return { why: 'the host swaps to it', hint: `Stop that first: swapoff ${path}` };
    }
  }
  return null;
}

/** A lock that a process holds on the file. */
interface HeldLock {
  readonly kind: string;
  readonly isWrite: boolean;
  /** 0: not told, as for a lock of an open description. */
  readonly pid: number;
}

/** /proc/locks: "1: OFDLCK ADVISORY READ -1 08:01:131 0 EOF"; what waits for a lock has an arrow before it. */
function locksOf(identity: FileIdentity): HeldLock[] {
  const locks: HeldLock[] = [];
  for (const line of (textOf('/proc/locks') ?? '').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words.length < 8 || words[1] === '->') continue;
    const [major = '', minor = '', inode = ''] = (words[5] ?? '').split(':');
    const device = deviceNumber(parseInt(major, 16), parseInt(minor, 16));
    if (device !== identity.dev || BigInt(/^\d+$/.test(inode) ? inode : -1) !== identity.ino)
      continue;
    locks.push({
      kind: words[1] ?? '',
      isWrite: words[3] === 'WRITE',
      pid: Math.max(0, Number(words[4])),
    });
  }
  return locks;
}

/** makedev(3) of glibc: the number that stat gives. */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    ((high & 0xfffff000n) << 32n) |
    ((low & 0xffffff00n) << 12n) |
    ((high & 0xfffn) << 8n) |
    (low & 0xffn)
  );
}

/** Everybody who uses the file at `path`, each in a sentence: loop devices, mounts, swap, locks. A path that is not there: nobody. */
export function usesOf(path: string): ImageUse[] {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return [];
  const uses: ImageUse[] = [];
  const mounts = readMounts();
  for (const loop of loopDevicesOf(stats)) {
    uses.push({ kind: 'loop', text: `It is attached to /dev/${loop}.` });
    const number = textOf(`/sys/block/${loop}/dev`)?.trim() ?? '';
    for (const mount of mounts.filter(({ deviceNumber: its }) => its === number)) {
      uses.push({
        kind: 'mount',
        text: `It is mounted at ${mount.mountPoint} through /dev/${loop}.`,
      });
    }
  }
  for (const { source, mountPoint, fileSystem } of mounts) {
    if (!source.startsWith('/') || source.startsWith('/dev/') || !isSameFile(source, stats))
      continue;
    uses.push({ kind: 'mount', text: `It is mounted at ${mountPoint} (${fileSystem}).` });
  }
  for (const line of (textOf('/proc/swaps') ?? '').split('\n').slice(1)) {
    const name = unescapePath(line.split(/\s+/, 1)[0] ?? '');
    if (name.startsWith('/') && isSameFile(name, stats)) {
      uses.push({ kind: 'swap', text: 'The host swaps to it.' });
    }
  }
  for (const { isWrite, pid } of locksOf(stats)) {
    const who = pid === 0 ? 'A program' : `Process ${String(pid)}`;
    uses.push({
      kind: 'lock',
      text: `${who} has it locked for ${isWrite ? 'writing' : 'reading'}.`,
    });
  }
  return uses;
}
