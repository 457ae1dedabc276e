// SPDX-License-Identifier: GPL-2.0-only
/** Extent trees: growing, splitting, converting, removing and walking, against a plain map of blocks. */
import { describe, expect, it } from 'vitest';
import { expectOk, FileSystemLab, stamped } from '../../../test/support/file-system-lab.ts';
import { Sfc32, below } from '../../base/index.ts';
import type { FileExtent, MountedFileSystem, OpenFile } from '../../vfs/index.ts';
import { canJoin, nodeProblem, writeExtent, writeHeader, type Extent } from './extent-node.ts';
import type { GroupTable } from './groups.ts';
import type { Geometry } from './superblock.ts';

const KIB = 1024;
const direct = { isDirect: true } as const;

function fresh(blockSize = '1024', revision = '6.4'): [FileSystemLab, MountedFileSystem] {
  const lab = FileSystemLab.blank(16 * KIB * KIB, { inline: false, revision, withCallers: true });
  lab.format('ext4', { blockSize });
  return [lab, lab.mount('ext4')];
}

function extentsOf(lab: FileSystemLab, file: OpenFile): FileExtent[] {
  return expectOk(lab.run(file.extents()));
}

const places = (extents: readonly FileExtent[], state: FileExtent['state']): string[] =>
  extents
    .filter((extent) => extent.state === state)
    .map(({ fileBlock, count }) => `${String(fileBlock)}+${String(count)}`);

describe('extent trees', () => {
  it('a file written from its start to its end is one extent, whichever way', () => {
    const [lab, fileSystem] = fresh('4096');
    for (const isDirect of [true, false]) {
      const file = lab.openPath(fileSystem, `sequential ${String(isDirect)}`);
      for (let at = 0; at < 786_432; at += 65_536) {
        expect(lab.write(file, at, stamped(1, at, 65_536), { isDirect })).toBe(65_536);
      }
      expect(extentsOf(lab, file)).toHaveLength(1);
    }
    lab.unmount(fileSystem);
  });

  it('grows to three levels, and shrinks to none, with every block where it was put', () => {
    const [lab, fileSystem] = fresh();
    const file = lab.openPath(fileSystem, 'deep');
    const random = new Sfc32(7);
    const order = Array.from({ length: 900 }, (_, index) => index * 2);
    for (let at = order.length - 1; at > 0; at--) {
      const other = below(random, at + 1);
      [order[at], order[other]] = [order[other] as number, order[at] as number];
    }
    for (const [step, block] of order.entries()) {
      const data = stamped(block, block * KIB, KIB);
      expect(lab.write(file, block * KIB, data, direct)).toBe(KIB);
      if (step % 97 === 0) expect(lab.run(file.fsync(false))).toBe(0);
    }
    expect(places(extentsOf(lab, file), 'mapped')).toHaveLength(900);
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    for (const keep of [1700, 1001, 500, 77, 3, 0]) {
      expect(lab.run(fileSystem.truncate(file.inode, keep * KIB))).toBe(0);
      expect(places(extentsOf(lab, file), 'mapped')).toHaveLength(Math.ceil(keep / 2));
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      for (let block = 0; block < keep; block += 34) {
        expect(lab.read(file, block * KIB, KIB, direct)).toEqual(stamped(block, block * KIB, KIB));
      }
    }
    lab.unmount(fileSystem);
    expect(lab.pagesInUse).toBe(0);
  });

  it('a direct write into a hole is unwritten until it is over, and a failed one stays zeros', () => {
    const [lab, fileSystem] = fresh('4096');
    const file = lab.openPath(fileSystem, 'hole');
    expect(lab.run(fileSystem.truncate(file.inode, 65_536))).toBe(0);
    let seen: FileExtent[] = [];
    lab.disk.intercept = ({ op }) => {
      if (op === 'write') seen = extentsOf(lab, file);
      return 0;
    };
    expect(lab.write(file, 16_384, stamped(1, 16_384, 8192), direct)).toBe(8192);
    expect(places(seen, 'unwritten')).toEqual(['4+2']);
    expect(places(extentsOf(lab, file), 'mapped')).toEqual(['4+2']);
    expect(fileSystem.counters.fallbacks).toBe(0);
    lab.disk.intercept = ({ op }) => (op === 'write' ? -5 : 0);
    expect(lab.write(file, 32_768, stamped(2, 32_768, 4096), direct)).toBe(-5);
    lab.disk.intercept = null;
    expect(places(extentsOf(lab, file), 'unwritten')).toEqual(['8+1']);
    expect(lab.read(file, 32_768, 4096, direct)).toEqual(new Uint8Array(4096));
    lab.unmount(fileSystem);
  });

  it('an asynchronous write into a hole is converted where it completes, in process context', () => {
    const [lab, fileSystem] = fresh('4096');
    const file = lab.openPath(fileSystem, 'asynchronous');
    expect(lab.run(fileSystem.truncate(file.inode, 65_536))).toBe(0);
    const results: number[] = [];
    const onComplete = (_iocb: unknown, result: number): void => {
      results.push(result);
    };
    const data = stamped(1, 8192, 8192);
    expect(lab.write(file, 8192, data, { isDirect: true, onComplete })).toBe(-529);
    expect(places(extentsOf(lab, file), 'unwritten')).toEqual(['2+2']);
    lab.kernel.drain();
    expect(results).toEqual([8192]);
    expect(places(extentsOf(lab, file), 'mapped')).toEqual(['2+2']);
    expect(lab.read(file, 8192, 8192, direct)).toEqual(data);
    lab.unmount(fileSystem);
  });

  it('a part of an unwritten extent is cut out, and what surrounds it in its block is zeros', () => {
    const [lab, fileSystem] = fresh('4096');
    const file = lab.openPath(fileSystem, 'allocated');
    const fallocate = fileSystem.fallocate;
    if (fallocate === undefined) expect.fail('ext4 has fallocate');
    expect(lab.run(fallocate(file.inode, 'allocate', 0, 10 * 4096))).toBe(0);
    expect(places(extentsOf(lab, file), 'unwritten')).toEqual(['0+10']);
    expect(lab.write(file, 4 * 4096 + 512, stamped(3, 0, 1024), direct)).toBe(1024);
    expect(places(extentsOf(lab, file), 'mapped')).toEqual(['4+1']);
    expect(places(extentsOf(lab, file), 'unwritten')).toEqual(['0+4', '5+5']);
    const expected = new Uint8Array(4096);
    expected.set(stamped(3, 0, 1024), 512);
    expect(lab.read(file, 4 * 4096, 4096, direct)).toEqual(expected);
    expect(lab.write(file, 3 * 4096, stamped(4, 0, 8192))).toBe(8192);
    expect(places(extentsOf(lab, file), 'mapped')).toEqual(['3+2']);
    expect(lab.run(fallocate(file.inode, 'zero', 0, 5 * 4096))).toBe(0);
    expect(places(extentsOf(lab, file), 'mapped')).toEqual([]);
    expect(lab.run(fallocate(file.inode, 'punch', 2 * 4096, 3 * 4096))).toBe(0);
    expect(places(extentsOf(lab, file), 'hole')).toEqual(['2+3']);
    expect(lab.run(fallocate(file.inode, 'keep-size', 0, 20 * 4096))).toBe(0);
    expect(file.inode.sizeBytes).toBe(10 * 4096);
    expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
    lab.unmount(fileSystem);
  });

  it('a direct write that extends the file takes written blocks, and gives them back when it fails', () => {
    const [lab, fileSystem] = fresh('4096');
    const file = lab.openPath(fileSystem, 'extending');
    let seen: FileExtent[] = [];
    lab.disk.intercept = ({ op }) => {
      if (op === 'write') seen = extentsOf(lab, file);
      return op === 'write' ? -5 : 0;
    };
    expect(lab.write(file, 0, stamped(1, 0, 8192), direct)).toBe(-5);
    lab.disk.intercept = null;
    expect(places(seen, 'mapped')).toEqual(['0+2']);
    expect(extentsOf(lab, file)).toEqual([]);
    lab.unmount(fileSystem);
  });

  for (const revision of ['2.5.47', '2.6.20', '2.6.31', '3.1', '6.5-merge']) {
    it(`direct I/O of ${revision} reads what it wrote, in holes and unwritten blocks, too`, () => {
      const [lab, fileSystem] = fresh('4096', revision);
      const file = lab.openPath(fileSystem, 'old');
      expect(lab.write(file, 0, stamped(1, 0, 65_536), direct)).toBe(65_536);
      expect(lab.run(fileSystem.truncate(file.inode, 262_144))).toBe(0);
      const status = lab.run(
        fileSystem.fallocate?.(file.inode, 'allocate', 131_072, 65_536) ?? zero(),
      );
      expect(status).toBe(0);
      for (const at of [0, 98_304, 139_264, 253_952]) {
        expect(lab.write(file, at, stamped(2, at, 8192), direct)).toBe(8192);
        expect(lab.read(file, at, 8192, direct)).toEqual(stamped(2, at, 8192));
      }
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      const again = lab.mount('ext4');
      const reopened = lab.openPath(again, 'old');
      expect(lab.read(reopened, 139_264, 8192, direct)).toEqual(stamped(2, 139_264, 8192));
      lab.unmount(again);
    });
  }

  it('a damaged node answers EUCLEAN, and is named', () => {
    const [lab, fileSystem] = fresh();
    const file = lab.openPath(fileSystem, 'damaged');
    for (let block = 0; block < 20; block += 2) {
      expect(lab.write(file, block * KIB, stamped(1, 0, KIB), direct)).toBe(KIB);
    }
    lab.unmount(fileSystem);
    // The leaf is the only block of the disk that begins with the magic of an extent node.
    const { bytes } = lab.disk;
    let leaf = 0;
    while (bytes[leaf] !== 0x0a || bytes[leaf + 1] !== 0xf3) leaf += KIB;
    bytes[leaf + 12] = (bytes[leaf + 12] as number) ^ 1;
    const again = lab.mount('ext4');
    const opened = lab.openPath(again, 'damaged');
    expect(lab.read(opened, 0, KIB, direct)).toBe(-117);
    const { damage } = again as unknown as { readonly damage: readonly string[] };
    expect(damage[0]).toMatch(/^extent block \d+ of inode \d+: wrong checksum$/);
    lab.unmount(again);
  });
});

function* zero(): Generator<never, number> {
  yield* [];
  return 0;
}

describe('nodes', () => {
  const geometry = { firstDataBlock: 0, blocksCount: 1000 } as Geometry;
  const groups = { touchesSystem: (block: number) => block < 10 } as unknown as GroupTable;
  const expected = { geometry, groups, room: 4, depth: 0, from: 0, to: 100 };
  const node = (...list: readonly [number, number, number][]): Uint32Array => {
    const words = new Uint32Array(15);
    writeHeader(words, list.length, 4, 0);
    list.forEach(([fileBlock, count, deviceBlock], index) => {
      const extent = { fileBlock, count, deviceBlock, isUnwritten: false };
      writeExtent(words, 3 + index * 3, extent);
    });
    return words;
  };

  it('what cannot be is named by its field', () => {
    expect(nodeProblem(node([0, 5, 20], [5, 5, 40]), expected)).toBeNull();
    expect(nodeProblem(node([0, 5, 20], [4, 5, 40]), expected)).toBe('ee_block 1 is 4');
    expect(nodeProblem(node([0, 0, 20]), expected)).toBe('ee_len 0 is 0');
    expect(nodeProblem(node([90, 20, 20]), expected)).toBe('ee_len 0 is 20');
    expect(nodeProblem(node([0, 5, 998]), expected)).toBe('ee_start 0 is 998');
    expect(nodeProblem(node([0, 5, 7]), expected)).toBe('ee_start 0 is 7');
    expect(nodeProblem(node([0, 5, 20]), { ...expected, depth: 1 })).toBe('eh_depth is 0');
    expect(nodeProblem(new Uint32Array(15), expected)).toBe('eh_magic is 0x0');
  });

  it('extents join only where both follow, in one state, within the longest length', () => {
    const one: Extent = { fileBlock: 0, count: 32_000, deviceBlock: 100, isUnwritten: false };
    const next: Extent = { fileBlock: 32_000, count: 768, deviceBlock: 32_100, isUnwritten: false };
    expect(canJoin(one, next)).toBe(true);
    expect(canJoin(one, { ...next, count: 769 })).toBe(false);
    expect(canJoin(one, { ...next, deviceBlock: 32_101 })).toBe(false);
    expect(canJoin(one, { ...next, isUnwritten: true })).toBe(false);
    const unwritten = { ...one, isUnwritten: true };
    expect(canJoin(unwritten, { ...next, isUnwritten: true })).toBe(false);
    expect(canJoin(unwritten, { ...next, isUnwritten: true, count: 767 })).toBe(true);
  });
});
