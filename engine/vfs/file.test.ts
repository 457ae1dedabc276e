// SPDX-License-Identifier: GPL-2.0-only
/** The generic read and write paths over the raw device and ext2: order of checks, faults, fallback, sync, and what they allocate. */
import { describe, expect, it } from 'vitest';
import { FileSystemLab, expectOk, stamped } from '../../test/support/file-system-lab.ts';
import { runToEnd } from '../base/index.ts';
import { IovIter, PAGE_STATE } from '../memory/index.ts';
import type { Kiocb, MountedFileSystem, OpenFile } from './index.ts';

const MIB = 1024 * 1024;
const PAGE = 4096;
const direct = { isDirect: true } as const;

function mounted(id: string): [FileSystemLab, MountedFileSystem, OpenFile] {
  const lab = FileSystemLab.blank(4 * MIB);
  if (id !== 'raw') lab.format(id);
  const fileSystem = lab.mount(id);
  const file = lab.openPath(fileSystem, id === 'raw' ? '/' : 'file');
  return [lab, fileSystem, file];
}

/** A request over pages of which one may be absent. */
function request(
  lab: FileSystemLab,
  file: OpenFile,
  op: 'read' | 'write',
  at: number,
  pages: number,
  absentPage: number,
  options: Partial<Kiocb> = direct,
): { readonly result: number; readonly bytes: Uint8Array; readonly positionBytes: number } {
  const first = lab.memory.allocatePages(pages);
  lab.memory.bytes.fill(0xee, first * PAGE, (first + pages) * PAGE);
  if (op === 'write') lab.memory.bytes.set(stamped(9, at, pages * PAGE), first * PAGE);
  const state = lab.memory.state;
  if (absentPage >= 0) state[first + absentPage] = PAGE_STATE.absent | PAGE_STATE.allocated;
  const segments = [{ addressBytes: first * PAGE, lengthBytes: pages * PAGE }];
  const iter = new IovIter(lab.memory, op, 'user', segments);
  const iocb = lab.iocb(file.inode, at, options);
  const result = runToEnd(op === 'read' ? file.read(iocb, iter) : file.write(iocb, iter));
  const bytes = lab.memory.bytes.slice(first * PAGE, (first + pages) * PAGE);
  lab.memory.freePages(first, pages);
  return { result, bytes, positionBytes: iocb.positionBytes };
}

describe('reading', () => {
  it('a fault in the middle of a direct read: what came before, after a try through the page cache', () => {
    const [lab, fileSystem, file] = mounted('ext2');
    expect(lab.write(file, 0, stamped(1, 0, 65_536), direct)).toBe(65_536);
    const { result, bytes, positionBytes } = request(lab, file, 'read', 0, 4, 2);
    expect(result).toBe(2 * PAGE);
    expect(positionBytes).toBe(2 * PAGE);
    expect(Buffer.compare(bytes.subarray(0, result), stamped(1, 0, result))).toBe(0);
    // The second try filled the page cache before it met the same fault.
    expect(file.inode.mapping.cachedPageCount).toBeGreaterThan(0);
    expect(fileSystem.counters.fallbacks).toBe(1);
    expect(request(lab, file, 'read', 0, 2, 0).result).toBe(-14);
    expect(request(lab, file, 'read', 0, 2, 1, {}).result).toBe(PAGE);
  });

  it('the order of checks: no length, the end of the file, then alignment', () => {
    const [lab, , file] = mounted('ext2');
    expect(lab.write(file, 0, stamped(1, 0, 99_304))).toBe(99_304);
    expect(lab.read(file, 1, 0, direct)).toHaveLength(0);
    expect(lab.read(file, 99_304, 512, direct)).toHaveLength(0);
    expect(lab.read(file, 2 * MIB + 1, 511, direct)).toHaveLength(0);
    expect(lab.read(file, 1, 512, direct)).toBe(-22);
    expect(lab.read(file, 98_816, 512, direct)).toHaveLength(488);
    expect(lab.read(file, 94_208, 8192, direct)).toHaveLength(5096);
  });

  it('dirty pages of the range are on the disk before a direct read looks, even one that is refused', () => {
    const [lab, , file] = mounted('ext2');
    expect(lab.write(file, 0, stamped(1, 0, 8192))).toBe(8192);
    let writes = 0;
    lab.disk.intercept = ({ op }) => {
      if (op === 'write') writes++;
      return 0;
    };
    expect(lab.read(file, 1, 512, direct)).toBe(-22);
    expect(writes).toBe(1);
    const read = lab.read(file, 0, 8192, direct);
    expect(typeof read !== 'number' && Buffer.compare(read, stamped(1, 0, 8192))).toBe(0);
  });

  it('NOWAIT: not known to ext2, and EAGAIN from a device with dirty pages', () => {
    const [lab, , file] = mounted('ext2');
    lab.write(file, 0, stamped(1, 0, 8192), direct);
    expect(lab.read(file, 0, 4096, { isDirect: true, isNowait: true })).toBe(-95);
    expect(lab.write(file, 0, stamped(1, 0, 4096), { isDirect: true, isNowait: true })).toBe(-95);
    const [rawLab, , device] = mounted('raw');
    expect(rawLab.read(device, 0, 4096, { isDirect: true, isNowait: true })).toHaveLength(4096);
    rawLab.write(device, 0, stamped(1, 0, 4096));
    expect(rawLab.read(device, 0, 4096, { isDirect: true, isNowait: true })).toBe(-11);
    expect(rawLab.write(device, 0, stamped(1, 0, 4096), { isDirect: true, isNowait: true })).toBe(
      -11,
    );
  });
});

describe('writing', () => {
  it('a fault in the middle of an overwrite: EFAULT, and the rest of the mapped run is zeros', () => {
    const [lab, , file] = mounted('ext2');
    lab.write(file, 0, stamped(1, 0, 65_536), direct);
    expect(request(lab, file, 'write', 0, 4, 2).result).toBe(-14);
    const expected = stamped(1, 0, 65_536);
    expected.set(stamped(9, 0, 8192), 0);
    expected.fill(0, 8192, 16_384);
    const read = lab.read(file, 0, 65_536, direct);
    expect(typeof read !== 'number' && Buffer.compare(read, expected)).toBe(0);
  });

  it('a fault in an append leaves size and blocks as they were', () => {
    const [lab, fileSystem, file] = mounted('ext2');
    lab.write(file, 0, stamped(1, 0, 8192), direct);
    const before = expectOk(lab.run(file.extents()));
    expect(request(lab, file, 'write', 8192, 4, 2).result).toBe(-14);
    expect(file.inode.sizeBytes).toBe(8192);
    expect(expectOk(lab.run(file.extents()))).toEqual(before);
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
  });

  it('a buffered write stops at the fault', () => {
    const [lab, , file] = mounted('ext2');
    expect(request(lab, file, 'write', 100, 3, 1, {}).result).toBe(PAGE);
    expect(file.inode.sizeBytes).toBe(100 + PAGE);
    expect(request(lab, file, 'write', 0, 1, 0, {}).result).toBe(-14);
  });

  it('O_APPEND writes at the end, whatever the position says', () => {
    const [lab, , file] = mounted('ext2');
    lab.write(file, 0, stamped(1, 0, 4096), direct);
    expect(lab.write(file, 0, stamped(1, 4096, 4096), { isDirect: true, isAppend: true })).toBe(
      4096,
    );
    const read = lab.read(file, 0, 8192, direct);
    expect(typeof read !== 'number' && Buffer.compare(read, stamped(1, 0, 8192))).toBe(0);
  });

  it('O_DSYNC: the data, then a flush; with a new size the metadata too', () => {
    const [lab, , file] = mounted('ext2');
    lab.write(file, 0, stamped(1, 0, 8192), direct);
    lab.run(file.fsync(false));
    const ops: string[] = [];
    lab.disk.intercept = ({ op }) => {
      ops.push(op);
      return 0;
    };
    expect(lab.write(file, 0, stamped(2, 0, 4096), { isDirect: true, isDsync: true })).toBe(4096);
    expect(ops).toEqual(['write', 'flush']);
    ops.length = 0;
    lab.write(file, 8192, stamped(2, 8192, 4096), { isDirect: true, isDsync: true });
    expect(ops.slice(0, 3)).toEqual(['write', 'flush', 'write']);
    expect(ops.at(-1)).toBe('flush');
  });

  it('the end of a device: cut short before it, ENOSPC at it', () => {
    const [lab, , device] = mounted('raw');
    expect(lab.write(device, 4 * MIB - 4096, stamped(1, 0, 8192), direct)).toBe(4096);
    expect(lab.write(device, 4 * MIB, stamped(1, 0, 4096), direct)).toBe(-28);
    expect(lab.read(device, 4 * MIB - 512, 4096, direct)).toHaveLength(512);
    expect(lab.read(device, 4 * MIB, 4096, direct)).toHaveLength(0);
  });

  it('beyond the largest file: EFBIG', () => {
    const [lab, , file] = mounted('ext2');
    expect(lab.write(file, 2 ** 42, stamped(1, 0, 512), direct)).toBe(-27);
  });

  it('two writers of one file take turns; a reader of another goes on', () => {
    const lab = FileSystemLab.blank(4 * MIB, { inline: false });
    lab.format('ext2');
    const fileSystem = lab.mount('ext2');
    const file = lab.openPath(fileSystem, 'shared');
    const results: number[] = [];
    const buffers = [1, 2, 3].map((seed) => {
      const first = lab.memory.allocatePages(16);
      lab.memory.bytes.set(stamped(seed, 0, 65_536), first * PAGE);
      return first;
    });
    for (const first of buffers) {
      const segments = [{ addressBytes: first * PAGE, lengthBytes: 65_536 }];
      const iter = new IovIter(lab.memory, 'write', 'user', segments);
      lab.kernel.scheduler.spawn(
        'writer',
        (function* () {
          const started = file.write(lab.iocb(file.inode, 0, direct), iter);
          return typeof started === 'number' ? started : yield* started;
        })(),
        (result) => results.push(result),
      );
    }
    lab.kernel.runUntil(() => results.length === 3);
    expect(results).toEqual([65_536, 65_536, 65_536]);
    const read = lab.read(file, 0, 65_536, direct);
    expect(typeof read !== 'number' && Buffer.compare(read, stamped(3, 0, 65_536))).toBe(0);
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
  });
});

it('a direct request on a file without cached pages answers without a task', () => {
  for (const id of ['raw', 'ext2']) {
    const [lab, , file] = mounted(id);
    lab.write(file, 0, stamped(1, 0, 65_536), direct);
    const first = lab.memory.allocatePages(4);
    const segments = [{ addressBytes: first * PAGE, lengthBytes: 4 * PAGE }];
    for (const op of ['read', 'write'] as const) {
      const iter = new IovIter(lab.memory, op, 'user', segments);
      const iocb = lab.iocb(file.inode, 4096, direct);
      const result = op === 'read' ? file.read(iocb, iter) : file.write(iocb, iter);
      expect(result).toBe(4 * PAGE);
    }
  }
});

describe('bios of ext2, as the kernel queues them', () => {
  /** Sectors of each bio that one direct read submits, through buffers of which no two pages are neighbours. */
  function bioSectors(blockSize: string, lengthBytes: number): number[] {
    const lab = FileSystemLab.blank(8 * MIB);
    lab.format('ext2', { blockSize });
    const fileSystem = lab.mount('ext2');
    const file = lab.openPath(fileSystem, 'big');
    for (let at = 0; at < 3 * MIB; at += MIB) lab.write(file, at, stamped(1, at, MIB), direct);
    const sectors: number[] = [];
    const submit = lab.kernel.submitBio.bind(lab.kernel);
    lab.kernel.submitBio = (bio) => {
      sectors.push(bio.sizeBytes / 512);
      submit(bio);
    };
    const read = lab.read(file, 0, lengthBytes, direct);
    expect(typeof read !== 'number' && Buffer.compare(read, stamped(1, 0, lengthBytes))).toBe(0);
    return sectors;
  }

  it('ends a bio where an indirect block lies', () => {
    expect(bioSectors('4096', MIB)).toEqual([96, 1952]);
    expect(bioSectors('1024', MIB)).toEqual([24, 512, 512, 512, 488]);
  });
});
