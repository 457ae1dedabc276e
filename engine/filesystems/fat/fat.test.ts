// SPDX-License-Identifier: GPL-2.0-only
/** What is FAT's own: names, entries of the table, the fallback of extending writes, preallocation, maps, marks. */
import { expect, it } from 'vitest';
import { expectOk, FileSystemLab, stamped } from '../../../test/support/file-system-lab.ts';
import { readEntry, writeEntry } from './fat-table.ts';
import {
  aliasChecksum,
  encodeLongName,
  exactShortName,
  foldName,
  LongNameReader,
  makeAlias,
  shortNameText,
} from './names.ts';

const MIB = 1024 * 1024;
const direct = { isDirect: true } as const;

function fresh(options: Readonly<Record<string, unknown>> = {}, sizeBytes = 8 * MIB) {
  const lab = FileSystemLab.blank(sizeBytes);
  lab.format('fat', options);
  return { lab, fileSystem: lab.mount('fat') };
}

it('short names: exact ones, aliases, tails', () => {
  const text = (bytes: Uint8Array | null): string | null =>
    bytes === null ? null : shortNameText(bytes, 0);
  expect(text(exactShortName('README.TXT'))).toBe('README.TXT');
  expect(exactShortName('readme.txt')).toBeNull();
  expect(exactShortName('TOOLONGNAME.TXT')).toBeNull();
  expect(text(makeAlias('readme.txt', () => false))).toBe('README.TXT');
  expect(text(makeAlias('readme.txt', (key) => key === 'README.TXT'))).toBe('README~1.TXT');
  expect(text(makeAlias('a long name.jpeg', () => false))).toBe('ALONGN~1.JPE');
  expect(text(makeAlias('.hidden', () => false))).toBe('HIDDEN~1');
  expect(foldName('straße..')).toBe('STRAßE');
});

it('long names: put together again, and nothing from pieces that do not fit', () => {
  const alias = exactShortName('ALIAS') as Uint8Array;
  for (const name of ['x', 'thirteen char', 'naïve ☃ '.repeat(31).slice(0, 255)]) {
    const reader = new LongNameReader();
    for (const entry of encodeLongName(name, alias)) expect(reader.add(entry)).toBe(true);
    expect(reader.take(alias)).toBe(name);
    expect(reader.take(exactShortName('OTHER') as Uint8Array)).toBeNull();
  }
  const entries = encodeLongName('a name of more than one entry', alias);
  const reader = new LongNameReader();
  expect(reader.add(entries[1] as Uint8Array)).toBe(false);
  expect(reader.add(entries[0] as Uint8Array)).toBe(true);
  expect(reader.add(entries[2] as Uint8Array)).toBe(false);
  expect(reader.take(alias)).toBeNull();
  expect(aliasChecksum(alias)).toBe((entries[0] as Uint8Array)[13]);
});

it('entries of the table keep their neighbours', () => {
  for (const bits of [12, 16, 32] as const) {
    const bytes = new Uint8Array(64);
    const at = (cluster: number): number => Math.floor((cluster * bits) / 8);
    for (let cluster = 0; cluster < 14; cluster++) {
      writeEntry(bytes, bits, at(cluster), cluster, 0x123 + cluster * 7);
    }
    writeEntry(bytes, bits, at(5), 5, 0);
    for (let cluster = 0; cluster < 14; cluster++) {
      const expected = cluster === 5 ? 0 : 0x123 + cluster * 7;
      expect(readEntry(bytes, bits, at(cluster), cluster)).toBe(expected);
    }
  }
});

it('an extending direct write falls back, an overwrite does not, and a gap is zeros', () => {
  const { lab, fileSystem } = fresh({ fatBits: '16', clusterSize: '512' });
  const file = lab.openPath(fileSystem, 'file');
  expect(lab.write(file, 0, stamped(1, 0, 8192), direct)).toBe(8192);
  expect(fileSystem.counters.fallbacks).toBe(1);
  expect(lab.write(file, 512, stamped(2, 512, 1024), direct)).toBe(1024);
  expect(fileSystem.counters.fallbacks).toBe(1);
  expect(lab.write(file, 20_480, stamped(3, 20_480, 512), direct)).toBe(512);
  expect(fileSystem.counters.fallbacks).toBe(2);
  const expected = new Uint8Array(20_992);
  expected.set(stamped(1, 0, 8192));
  expected.set(stamped(2, 512, 1024), 512);
  expected.set(stamped(3, 20_480, 512), 20_480);
  const found = lab.read(file, 0, 20_992, direct);
  expect(Buffer.compare(found as Uint8Array, expected)).toBe(0);
  lab.unmount(fileSystem);
});

it('keep-size allocates clusters that go at unmount; punch is refused', () => {
  const { lab, fileSystem } = fresh();
  const file = lab.openPath(fileSystem, 'file');
  const fallocate = fileSystem.fallocate?.bind(fileSystem);
  if (fallocate === undefined) expect.fail('it cannot fallocate');
  expect(lab.run(fallocate(file.inode, 'keep-size', 0, 100_000))).toBe(0);
  expect(file.inode.sizeBytes).toBe(0);
  expect(expectOk(lab.run(file.extents())).every(({ state }) => state === 'unwritten')).toBe(true);
  expect(lab.run(fallocate(file.inode, 'punch', 0, 4096))).toBe(-95);
  expect(lab.run(fallocate(file.inode, 'allocate', 0, 5000))).toBe(0);
  expect(file.inode.sizeBytes).toBe(5000);
  expect(lab.read(file, 0, 5000)).toEqual(new Uint8Array(5000));
  lab.unmount(fileSystem);
  const again = lab.mount('fat');
  expect(lab.run(again.checkInvariants())).toEqual([]);
  lab.unmount(again);
});

/** Sectors of the raw disk that fsck.fat would leave in files of the root: within the size, cut to the chain on the disk. */
function rawSectors(bytes: Uint8Array, fatBits: 12 | 16 | 32): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const clusterBytes = 512 * view.getUint8(13);
  const fatByte = 512 * view.getUint16(14, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const rootByte = fatByte + 512 * view.getUint8(16) * fatSectors;
  const rootBytes = 32 * view.getUint16(17, true);
  const byteOf = (cluster: number): number => rootByte + rootBytes + (cluster - 2) * clusterBytes;
  const first = fatBits === 32 ? byteOf(view.getUint32(44, true)) : rootByte;
  let raw = 0;
  for (let at = first; at < first + 512; at += 32) {
    const isFile = ((bytes[at + 11] as number) & 0x18) === 0;
    if (!isFile || bytes[at] === 0 || bytes[at] === 0xe5) continue;
    const sizeBytes = view.getUint32(at + 28, true);
    let cluster = view.getUint16(at + 26, true);
    for (let done = 0; done < sizeBytes && cluster >= 2 && cluster < 0xff0; done += clusterBytes) {
      const entryByte = fatByte + Math.floor((cluster * fatBits) / 8);
      const next = readEntry(bytes, fatBits, entryByte, cluster);
      if (next === 0) break;
      const from = byteOf(cluster);
      const end = from + Math.min(clusterBytes, sizeBytes - done);
      for (let sector = from; sector < end; sector += 512) {
        if (bytes.subarray(sector, sector + 512).every((byte) => byte === 0xa5)) raw++;
      }
      cluster = next;
    }
  }
  return raw;
}

it('a file that is cut and grows shows nothing of its old chain after a power cut', () => {
  for (const fatBits of [12, 16, 32] as const) {
    for (const isPreallocated of [false, true]) {
      const options = { fatBits: String(fatBits), clusterSize: '2048' };
      const { lab, fileSystem } = fresh(options, (fatBits === 16 ? 12 : 4) * MIB);
      const { rename, fallocate } = fileSystem;
      if (rename === undefined || fallocate === undefined) expect.fail('it cannot');
      const root = lab.inodeAt(fileSystem, '/', null);
      const file = lab.openPath(fileSystem, 'A');
      // The last sector of the last cluster, and what is preallocated, hold what the disk held.
      expect(lab.write(file, 0, stamped(1, 0, 17_920))).toBe(17_920);
      if (isPreallocated) {
        const status = fallocate.call(fileSystem, file.inode, 'keep-size', 0, 40_000);
        expect(lab.run(status)).toBe(0);
      }
      expect(lab.run(fileSystem.sync())).toBe(0);
      let writes = 0;
      lab.disk.intercept = ({ op }) => {
        if (op === 'write') writes++;
        expect(rawSectors(lab.disk.bytes, fatBits)).toBe(0);
        return 0;
      };
      expect(lab.run(fileSystem.truncate(file.inode, 3000))).toBe(0);
      expect(lab.write(file, 3000, stamped(2, 3000, 57_000))).toBe(57_000);
      // The second move leaves a place that the disk never had.
      expectOk(lab.run(rename.call(fileSystem, root, 'A', root, 'B')));
      expectOk(lab.run(rename.call(fileSystem, root, 'B', root, 'C')));
      expect(lab.run(file.fsync(false))).toBe(0);
      expect(writes).toBeGreaterThan(3);
      lab.unmount(fileSystem);
      const again = lab.mount('fat');
      expect(lab.run(again.checkInvariants())).toEqual([]);
      expect(lab.inodeAt(again, 'C', null).sizeBytes).toBe(60_000);
      const expected = new Uint8Array(60_000);
      expected.set(stamped(1, 0, 3000));
      expected.set(stamped(2, 3000, 57_000), 3000);
      const found = lab.read(lab.openPath(again, 'C'), 0, 60_000) as Uint8Array;
      expect(Buffer.compare(found, expected)).toBe(0);
      lab.unmount(again);
    }
  }
});

it('names have no case, keep theirs, and can change it', () => {
  const { lab, fileSystem } = fresh();
  const root = lab.inodeAt(fileSystem, '/', null);
  const made = expectOk(lab.run(fileSystem.create(root, 'Größe.txt', 'file')));
  expect(expectOk(lab.run(fileSystem.lookup(root, 'GRÖßE.TXT')))).toBe(made.inodeNumber);
  expect(lab.run(fileSystem.create(root, 'gRÖßE.txt', 'file'))).toMatchObject({ error: 'EEXIST' });
  const rename = fileSystem.rename?.bind(fileSystem);
  if (rename === undefined) expect.fail('it cannot rename');
  expectOk(lab.run(rename(root, 'größe.txt', root, 'GRÖSSE')));
  expectOk(lab.run(rename(root, 'grösse', root, 'Grösse')));
  const names = expectOk(lab.run(fileSystem.readDirectory(root))).map(({ name }) => name);
  expect(names).toEqual(['.', '..', 'Grösse']);
  expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
  lab.unmount(fileSystem);
});

it('the layout covers the device once, and blocks say what they are', () => {
  for (const fatBits of ['12', '16', '32']) {
    const { lab, fileSystem } = fresh({ fatBits });
    const file = lab.openPath(fileSystem, 'folder/a long name');
    expect(lab.write(file, 0, stamped(1, 0, 10_000))).toBe(10_000);
    const { layout, describeBlock } = fileSystem;
    if (layout === undefined || describeBlock === undefined) expect.fail('no layout');
    let next = 0;
    const uses = new Set<string>();
    for (const range of expectOk(lab.run(layout.call(fileSystem)))) {
      expect(range.deviceBlock).toBe(next);
      next += range.count;
      uses.add(range.use);
      const described = lab.run(describeBlock.call(fileSystem, range.deviceBlock));
      expect(expectOk(described).title).not.toBe('');
    }
    expect(next).toBe((8 * MIB) / 512);
    for (const use of ['superblock', 'fat', 'directory', 'data', 'free'])
      expect(uses).toContain(use);
    lab.unmount(fileSystem);
  }
});

it('an MBR is no FAT', () => {
  const { lab, fileSystem } = fresh();
  lab.unmount(fileSystem);
  lab.disk.bytes.fill(0, 0, 510);
  expect(() => lab.mount('fat')).toThrow('bytes per sector is 0');
});
