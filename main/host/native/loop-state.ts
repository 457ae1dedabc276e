// SPDX-License-Identifier: GPL-2.0-only
/** What sysfs says of a loop device: read without opening the device, so that anybody may look. */
import { readFileSync } from 'node:fs';
import { SECTOR_BYTES } from '../../../engine/base/index.ts';

export interface LoopState {
  /** As the kernel shows it now; a file without a name has ' (deleted)' behind its last one. */
  readonly backingFile: string;
  readonly sectorBytes: number;
  readonly hasDirectIo: boolean;
  readonly isReadOnly: boolean;
  readonly sizeBytes: number;
}

/** Null where nothing is behind the device, or there is no such device. `device`: '/dev/loop3'. */
export function loopState(device: string): LoopState | null {
  const name = /^\/dev\/(loop\d{1,4})$/.exec(device)?.[1];
  if (name === undefined) return null;
  const read = (file: string): string | null => {
    try {
      return readFileSync(`/sys/block/${name}/${file}`, 'utf8').replace(/\n$/, '');
    } catch {
      return null; // there is nothing behind it, or it went away between two looks
    }
  };
  const backingFile = read('loop/backing_file');
  if (backingFile === null) return null;
  return {
    backingFile,
    sectorBytes: Number(read('queue/logical_block_size') ?? SECTOR_BYTES),
    hasDirectIo: read('loop/dio') === '1',
    isReadOnly: read('ro') === '1',
    sizeBytes: Number(read('size') ?? 0) * SECTOR_BYTES,
  };
}
