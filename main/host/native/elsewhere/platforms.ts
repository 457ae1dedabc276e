// SPDX-License-Identifier: GPL-2.0-only
/**
 * How direct I/O and a lock are asked for on macOS and on Windows, as data. None of it was tried on its platform; the doctor says so.
 *
 * macOS: F_NOCACHE by fcntl(2): the data is not kept in the unified cache; pages that are there already are still used. O_EXLOCK and
 * O_SHLOCK take a lock with the open; it is advice, as on Linux.
 * Windows: FILE_FLAG_NO_BUFFERING of CreateFileW, which Node's open makes of 0x02000000. Opening for writing takes the file for itself
 * (no share mode, 0x10000000), which Windows enforces.
 */
import { constants } from 'node:fs';
import type koffi from 'koffi';
import { PAGE_BYTES } from '../../../../engine/base/index.ts';

/** What of the system is called besides node:fs. */
export interface PlatformCalls {
  /** fcntl(2) with an int: 0 or more, or minus an errno. */
  fcntl(fd: number, command: number, value: number): number;
}
export interface Platform {
  readonly id: 'darwin' | 'win32';
  readonly title: string;
  readonly directBy: string;
  readonly lockBy: string;
  openFlags(options: { readonly readOnly: boolean; readonly direct: boolean }): number;
  /** What Node says where another program has the file. */
  readonly lockedCodes: readonly string[];
  /** Makes an open file direct; null, or why not. */
  settleDirect(calls: PlatformCalls, fd: number): string | null;
  /** Multiples that every disk takes: the system does not tell its own. */
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
}

const MACOS = { O_SHLOCK: 0x10, O_EXLOCK: 0x20, F_NOCACHE: 48 } as const;
const WINDOWS = { NO_BUFFERING: 0x0200_0000, NO_SHARING: 0x1000_0000 } as const;
/** Absent from Node's constants where the system has no such flag. */
const flag = (name: 'O_NOFOLLOW' | 'O_NONBLOCK'): number =>
  (constants as Partial<Record<string, number>>)[name] ?? 0;
const accessOf = (readOnly: boolean): number => (readOnly ? constants.O_RDONLY : constants.O_RDWR);

export const macos: Platform = {
  id: 'darwin',
  title: 'macOS',
  directBy: 'F_NOCACHE',
  lockBy: 'a lock of the whole file, which other programs may ignore',
  openFlags: ({ readOnly }) =>
    accessOf(readOnly) |
    flag('O_NOFOLLOW') |
    flag('O_NONBLOCK') |
    (readOnly ? MACOS.O_SHLOCK : MACOS.O_EXLOCK),
  lockedCodes: ['EAGAIN', 'EWOULDBLOCK'],
  settleDirect: (calls, fd) => {
    const result = calls.fcntl(fd, MACOS.F_NOCACHE, 1);
    return result < 0 ? `fcntl refuses F_NOCACHE (${String(-result)})` : null;
  },
  offsetAlignBytes: PAGE_BYTES,
  memoryAlignBytes: PAGE_BYTES,
};

export const windows: Platform = {
  id: 'win32',
  title: 'Windows',
  directBy: 'FILE_FLAG_NO_BUFFERING',
  lockBy:
    'no sharing while it is open for writing; while it is open for reading others may write it',
  openFlags: ({ readOnly, direct }) =>
    accessOf(readOnly) | (direct ? WINDOWS.NO_BUFFERING : 0) | (readOnly ? 0 : WINDOWS.NO_SHARING),
  lockedCodes: ['EBUSY'],
  // The open took it, or refused it.
  settleDirect: () => null,
  offsetAlignBytes: PAGE_BYTES,
  memoryAlignBytes: PAGE_BYTES,
};

/** The platform by Node's name of it; null on Linux, which has its own way, and where nothing is known. */
export const platformOf = (id: string): Platform | null =>
  [macos, windows].find((platform) => platform.id === id) ?? null;

/** fcntl of libc. It takes a variable list, which Apple's arm64 passes differently: it is declared as what it is. */
export function realCalls(library: typeof koffi): PlatformCalls {
  let fcntl: ((fd: number, command: number, kind: 'int', value: number) => number) | null = null;
  return {
    fcntl(fd, command, value) {
      fcntl ??= library.load(null).func('int fcntl(int, int, ...)') as NonNullable<typeof fcntl>;
      const result = fcntl(fd, command, 'int', value);
      return result === -1 ? -library.errno() : result;
    },
  };
}
