// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the host's own counters say about a run: sectors that the file's device moved, bytes that this process caused, and growth of
 * the file in the host's page cache. Counters of the device count every process; a null is something that this host cannot tell.
 */
import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs';
import { SECTOR_BYTES } from '../../../engine/base/index.ts';
import type { LabPorts } from '../../../engine/lab/door.ts';
import { majorMinor } from './direct-limits.ts';
import { readMounts } from './in-use.ts';
import { cachedBytes } from './memory-page-cache.ts';

export interface DeviceCount {
  readonly name: string;
  readonly readBytes: number;
  readonly writeBytes: number;
}

/**
 * A line of /proc/diskstats (Documentation/admin-guide/iostats.rst), by device number. Sectors there are of 512 bytes.
 *
 *   major minor name reads merged SECTORS ms writes merged SECTORS ms ...
 */
export function parseDiskstats(text: string, major: number, minor: number): DeviceCount | null {
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (Number(columns[0]) !== major || Number(columns[1]) !== minor || columns.length < 10) {
      continue;
    }
    return {
      name: columns[2] as string,
      readBytes: Number(columns[5]) * SECTOR_BYTES,
      writeBytes: Number(columns[9]) * SECTOR_BYTES,
    };
  }
  return null;
}

/** Device numbers to look for: the file's own, or those of the mount's source where that is an anonymous one (btrfs). */
function deviceNumbersOf(path: string): readonly (readonly [number, number])[] {
  const own = majorMinor(statSync(path, { bigint: true }).dev);
  const numbers: (readonly [number, number])[] = [[own.major, own.minor]];
  const wanted = `${String(own.major)}:${String(own.minor)}`;
  for (const { deviceNumber, source } of readMounts()) {
    if (deviceNumber !== wanted || !source.startsWith('/dev/')) continue;
    const device = statSync(source, { bigint: true, throwIfNoEntry: false });
    if (device?.isBlockDevice() !== true) continue;
    const { major, minor } = majorMinor(device.rdev);
    numbers.push([major, minor]);
  }
  return numbers;
}

function countDevice(numbers: readonly (readonly [number, number])[]): DeviceCount | null {
  const text = readOrNull('/proc/diskstats');
  if (text === null) return null;
  for (const [major, minor] of numbers) {
    const found = parseDiskstats(text, major, minor);
    if (found !== null) return found;
  }
  return null;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not on this host, or not for us: the evidence then says null.
    return null;
  }
}

/** read_bytes and write_bytes of /proc/self/io: what this process made the storage move. */
export function parseProcessIo(text: string): { readBytes: number; writeBytes: number } | null {
  const read = /^read_bytes: (\d+)$/m.exec(text);
  const write = /^write_bytes: (\d+)$/m.exec(text);
  return read === null || write === null
    ? null
    : { readBytes: Number(read[1]), writeBytes: Number(write[1]) };
}

function countProcess(): { readBytes: number; writeBytes: number } | null {
  const text = readOrNull('/proc/self/io');
  return text === null ? null : parseProcessIo(text);
}

function countPageCache(path: string): number | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // Gone or not readable by now: nothing can be said about its pages.
    return null;
  }
  try {
    return cachedBytes(fd, 0, 0);
  } finally {
    closeSync(fd);
  }
}

/** Null where either end is unknown. */
const growth = (before: number | null, after: number | null): number | null =>
  before === null || after === null ? null : after - before;

/** Begins to watch; the result gives what was counted since. The path exists and is an image's. */
export const watchHost: NonNullable<LabPorts['watchHost']> = (imagePath) => {
  const numbers = deviceNumbersOf(imagePath);
  const cacheBefore = countPageCache(imagePath);
  const processBefore = countProcess();
  const deviceBefore = countDevice(numbers);
  return () => {
    const deviceAfter = countDevice(numbers);
    const processAfter = countProcess();
    return {
      deviceName: deviceAfter?.name ?? null,
      deviceReadBytes: growth(deviceBefore?.readBytes ?? null, deviceAfter?.readBytes ?? null),
      deviceWriteBytes: growth(deviceBefore?.writeBytes ?? null, deviceAfter?.writeBytes ?? null),
      processReadBytes: growth(processBefore?.readBytes ?? null, processAfter?.readBytes ?? null),
      processWriteBytes: growth(
        processBefore?.writeBytes ?? null,
        processAfter?.writeBytes ?? null,
      ),
      pageCacheGrowthBytes: growth(cacheBefore, countPageCache(imagePath)),
    };
  };
};
