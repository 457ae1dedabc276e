// SPDX-License-Identifier: GPL-2.0-only
/** A file system in a file of a file system, in memory: for tests of the engine's loop driver. */
import { expect } from 'vitest';
import { MIB } from '../../engine/base/index.ts';
import { findRevision, openDirectIo, resolveRevision } from '../../engine/dio/index.ts';
import { fileSystemById } from '../../engine/filesystems/index.ts';
import { LoopDevice, type LoopSettings } from '../../engine/loop/index.ts';
import type { MountedFileSystem, OpenFile } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, type LabOptions } from './file-system-lab.ts';

/** The file that holds the inner image. */
export const IMAGE = '/inner.img';

export interface NestedOptions extends LabOptions {
  readonly transfer: 'buffered' | 'direct';
  readonly lowerBlock?: string;
  readonly upperBlock?: string;
  readonly innerBytes?: number;
  /** Bytes of the file when it is attached; absent: all are written. */
  readonly writtenBytes?: number;
  /** The rest of the file is a hole; else it ends there. */
  readonly isSparse?: boolean;
  readonly sectorBytes?: number;
}

/** ext2 on a disk in memory, a file in it, a loop device over that, ext2 on it, and a file in that. */
export class Nested {
  readonly lab: FileSystemLab;
  readonly lower: MountedFileSystem;
  readonly image: OpenFile;
  readonly loop: LoopDevice;
  readonly upper: MountedFileSystem;

  constructor(options: NestedOptions) {
    this.lab = FileSystemLab.blank(24 * MIB, { arenaPages: 16384, ...options });
    const { lab } = this;
    lab.format('ext2', { blockSize: options.lowerBlock ?? '4096' });
    this.lower = lab.mount('ext2');
    this.image = lab.openPath(this.lower, IMAGE);
    const innerBytes = options.innerBytes ?? 8 * MIB;
    const writtenBytes = options.writtenBytes ?? innerBytes;
    for (let at = 0; at < writtenBytes; at += MIB) {
      const data = new Uint8Array(Math.min(MIB, writtenBytes - at));
      expect(lab.write(this.image, at, data, { isDirect: true })).toBe(data.length);
    }
    if (options.isSparse === true) {
      expect(lab.run(this.lower.truncate(this.image.inode, innerBytes))).toBe(0);
    }
    const spec = findRevision(options.revision ?? '6.4');
    const settings: LoopSettings = {
      file: this.image,
      lowerDevice: lab.device,
      transfer: options.transfer,
      kernelMemory: resolveRevision(spec).traits.kernelMemory,
      sectorBytes: options.sectorBytes ?? 512,
      isReadOnly: false,
      capacityBytes: innerBytes,
    };
    this.loop = new LoopDevice(lab.kernel, settings);
    const ext2 = fileSystemById('ext2');
    const defaults = Object.fromEntries(
      Object.entries(ext2.options).map(([name, field]) => [name, field.default]),
    );
    const chosen = { ...defaults, blockSize: options.upperBlock ?? '4096' } as never;
    expectOk(
      lab.run((ext2.format as NonNullable<typeof ext2.format>)(lab.kernel, this.loop, chosen)),
    );
    const { directIo } = openDirectIo(spec, options.withCallers === true);
    this.upper = lab.run(ext2.mount(lab.kernel, this.loop, directIo));
  }

  open(path = '/data'): OpenFile {
    return this.lab.openPath(this.upper, path);
  }

  /** Unmounts the upper one, then the lower one. */
  end(): void {
    this.lab.unmount(this.upper);
    this.loop.close();
    this.lab.unmount(this.lower);
    expect(this.lab.pagesInUse).toBe(0);
  }
}
