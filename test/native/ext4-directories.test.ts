// SPDX-License-Identifier: GPL-2.0-only
/**
 * Large directories: hash indexes that we make pass e2fsck and are used by the kernel, and those that the kernel makes are used and
 * changed by us.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { expectSound, tool, whyNoMounts, withMount } from '../support/ext-images.ts';
import { describeUnless, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-directories-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Names of many lengths, some beyond ASCII. */
function nameOf(index: number, longest: number): string {
  const tail = index % 7 === 0 ? 'ü€'.repeat(index % 11) : 'x'.repeat((index * 37) % longest);
  return `entry ${String(index)} ${tail}`;
}

function makeNames(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  count: number,
  longest: number,
): Set<string> {
  const parent = lab.inodeAt(fileSystem, 'many', 'directory');
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    const name = nameOf(index, longest);
    const kind = index % 50 === 0 ? 'directory' : 'file';
    expectOk(lab.run(fileSystem.create(parent, name, kind)));
    names.add(name);
    if (index % 5 !== 4) continue;
    const gone = nameOf(index - 2, longest);
    expectOk(lab.run(fileSystem.unlink(parent, gone)));
    names.delete(gone);
  }
  return names;
}

function expectNames(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
  names: ReadonlySet<string>,
): void {
  const parent = lab.inodeAt(fileSystem, 'many', null);
  const entries = expectOk(lab.run(fileSystem.readDirectory(parent)));
  const found = entries.map(({ name }) => name).filter((name) => !/^\.\.?$/.test(name));
  expect(found.sort()).toEqual([...names].sort());
  for (const { name, inodeNumber } of entries) {
    expect(expectOk(lab.run(fileSystem.lookup(parent, name))), name).toBe(inodeNumber);
  }
  expect(lab.run(fileSystem.lookup(parent, 'no such name'))).toMatchObject({ error: 'ENOENT' });
}

const MADE: readonly (readonly [string, readonly string[], number])[] = [
  ['ext4', ['-b', '4096'], 3000],
  ['ext4', ['-b', '1024'], 2500],
  ['ext4', ['-b', '2048', '-O', '^metadata_csum'], 1500],
  ['ext4', ['-b', '1024', '-O', '^dir_index'], 400],
  ['ext3', ['-b', '1024'], 1500],
];

describeUnless(missingReason(['e2fsprogs']), 'large directories and e2fsprogs', () => {
  for (const [type, args, count] of MADE) {
    it(`${String(count)} names in ${type} ${args.join(' ')}: indexed, split, removed`, () => {
      const path = join(folder, 'made.img');
      writeFileSync(path, new Uint8Array(64 * MIB));
      tool('mke2fs', '-q', '-F', '-t', type, '-i', '4096', ...args, path);
      const lab = FileSystemLab.fromFile(path);
      let fileSystem = lab.mount(type);
      const names = makeNames(lab, fileSystem, count, 180);
      expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount(type);
      expectNames(lab, fileSystem, names);
      lab.unmount(fileSystem);
      if (args.includes('^dir_index')) return;
      const dump = tool('debugfs', '-R', 'htree_dump /many', path);
      expect(dump).toContain('Hash Version: 1');
    });
  }

  for (const [version, flags] of [
    [0, 1],
    [2, 1],
    [0, 2],
    [1, 2],
    [2, 2],
  ] as const) {
    it(`indexes with hash version ${String(version)}, ${flags === 1 ? 'signed' : 'unsigned'} bytes`, () => {
      const path = join(folder, 'hashes.img');
      writeFileSync(path, new Uint8Array(16 * MIB));
      tool('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', path);
      tool('debugfs', '-w', '-R', `set_super_value def_hash_version ${String(version)}`, path);
      tool('debugfs', '-w', '-R', `set_super_value flags ${String(flags)}`, path);
      const lab = FileSystemLab.fromFile(path);
      let fileSystem = lab.mount('ext4');
      const names = makeNames(lab, fileSystem, 300, 60);
      lab.unmount(fileSystem);
      lab.save(path);
      expectSound(path);
      fileSystem = lab.mount('ext4');
      expectNames(lab, fileSystem, names);
      lab.unmount(fileSystem);
    });
  }
});

describeUnless(whyNoMounts(), 'large directories and the kernel', () => {
  it('the kernel finds every name that we made, and we find those that it made', () => {
    const path = join(folder, 'both.img');
    const mounted = join(folder, 'mounted');
    for (const blockSize of ['1024', '4096']) {
      const lab = FileSystemLab.blank(64 * MIB);
      lab.format('ext4', { blockSize, bytesPerInode: 4096 });
      let fileSystem = lab.mount('ext4');
      const names = makeNames(lab, fileSystem, 2000, 150);
      lab.unmount(fileSystem);
      lab.save(path);
      expectSound(path);
      withMount(path, 'ext4', mounted, () => {
        const many = join(mounted, 'many');
        expect(readdirSync(many).sort()).toEqual([...names].sort());
        for (const name of names) expect(existsSync(join(many, name)), name).toBe(true);
        for (let index = 0; index < 2000; index++) {
          const name = `of the kernel ${String(index)} ${'y'.repeat(index % 100)}`;
          if (index % 100 === 0) mkdirSync(join(many, name));
          else writeFileSync(join(many, name), '');
          names.add(name);
        }
      });
      const again = FileSystemLab.fromFile(path);
      fileSystem = again.mount('ext4');
      expectNames(again, fileSystem, names);
      const parent = again.inodeAt(fileSystem, 'many', null);
      for (let index = 0; index < 700; index++) {
        const name = `of both ${String(index)} ${'z'.repeat(index % 120)}`;
        expectOk(again.run(fileSystem.create(parent, name, 'file')));
        names.add(name);
      }
      again.unmount(fileSystem);
      again.save(path);
      expectSound(path);
      withMount(path, 'ext4', mounted, () => {
        const many = join(mounted, 'many');
        for (const name of names) expect(statSync(join(many, name)).ino).toBeGreaterThan(0);
      });
    }
  });
});
