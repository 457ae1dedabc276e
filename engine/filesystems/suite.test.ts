// SPDX-License-Identifier: GPL-2.0-only
/** What every file system must do, run over the list; what one does not do is declared `false` by its module. */
import { describe, expect, it } from 'vitest';
import { FileSystemLab, expectOk, stamped } from '../../test/support/file-system-lab.ts';
import type { MountedFileSystem, OpenFile } from '../vfs/index.ts';
import { FILE_SYSTEMS, fileSystemById, probeFileSystem } from './index.ts';

const MIB = 1024 * 1024;
const direct = { isDirect: true } as const;

function same(found: Uint8Array | number, expected: Uint8Array): void {
  if (typeof found === 'number') expect.fail(`errno ${String(found)}`);
  expect(Buffer.compare(found, expected)).toBe(0);
}

it('names are unique, and an unknown one is refused with the list', () => {
  expect(new Set(FILE_SYSTEMS.map(({ id }) => id)).size).toBe(FILE_SYSTEMS.length);
  expect(() => fileSystemById('zfs')).toThrow('there is no file system "zfs"');
});

for (const module of FILE_SYSTEMS) {
  const fresh = (options: { inline?: boolean } = {}): [FileSystemLab, MountedFileSystem] => {
    const lab = FileSystemLab.blank(8 * MIB, options);
    if (module.format !== undefined) lab.format(module.id);
    return [lab, lab.mount(module.id)];
  };
  /** A file of 256 KiB of known bytes; the device itself where there are no files. */
  const filled = (lab: FileSystemLab, fileSystem: MountedFileSystem): OpenFile => {
    const path = module.supports.directories === true ? 'file' : '/';
    const file = lab.openPath(fileSystem, path);
    expect(lab.write(file, 0, stamped(1, 0, 262_144), direct)).toBe(262_144);
    return file;
  };

  describe(module.id, () => {
    it('says what it is', () => {
      expect(module.title).not.toBe('');
      expect(module.help).not.toBe('');
    });

    if (module.supports.write !== true) {
      // Images for it come from the tools of its own: the rest is in its own tests.
      it('is read only: makes no image, and finds nothing in noise', () => {
        expect(module.format).toBeUndefined();
        expect(module.supports.allocate).toBe(false);
        const noise = FileSystemLab.blank(MIB);
        expect(noise.run(module.probe(noise.kernel, noise.disk))).toBeNull();
      });
      return;
    }

    it('reads directly what was written directly, at any sector', () => {
      const [lab, fileSystem] = fresh({ inline: false });
      const file = filled(lab, fileSystem);
      for (const [at, length] of [
        [0, 262_144],
        [512, 1024],
        [4096, 4096],
        [65_024, 1536],
      ] as const) {
        same(lab.read(file, at, length, direct), stamped(1, at, length));
      }
      lab.unmount(fileSystem);
      expect(lab.pagesInUse).toBe(0);
    });

    it('page cache and direct I/O see the same bytes', () => {
      const [lab, fileSystem] = fresh();
      const file = filled(lab, fileSystem);
      expect(lab.write(file, 5000, stamped(2, 5000, 10_000))).toBe(10_000);
      const expected = stamped(1, 0, 32_768);
      expected.set(stamped(2, 5000, 10_000), 5000);
      same(lab.read(file, 0, 32_768, direct), expected);
      expect(lab.write(file, 8192, stamped(3, 8192, 4096), direct)).toBe(4096);
      expected.set(stamped(3, 8192, 4096), 8192);
      same(lab.read(file, 0, 32_768), expected);
      lab.unmount(fileSystem);
    });

    it('refuses what is not aligned to the sector, and takes nothing from it', () => {
      const [lab, fileSystem] = fresh();
      const file = filled(lab, fileSystem);
      expect(lab.read(file, 1, 512, direct)).toBe(-22);
      expect(lab.read(file, 0, 511, direct)).toBe(-22);
      expect(lab.write(file, 100, stamped(9, 0, 512), direct)).toBe(-22);
      expect(lab.read(file, 0, 0, direct)).toEqual(new Uint8Array(0));
      same(lab.read(file, 0, 4096, direct), stamped(1, 0, 4096));
      lab.unmount(fileSystem);
    });

    it('a request without data, and one behind the end', () => {
      const [lab, fileSystem] = fresh();
      const file = filled(lab, fileSystem);
      const end = file.inode.sizeBytes;
      expect(lab.read(file, end, 4096, direct)).toEqual(new Uint8Array(0));
      expect(lab.read(file, end + 4097, 511, direct)).toEqual(new Uint8Array(0));
      expect(lab.write(file, 0, new Uint8Array(0), direct)).toBe(0);
      lab.unmount(fileSystem);
    });

    it('an error of the disk is EIO, in both directions and both ways', () => {
      const [lab, fileSystem] = fresh({ inline: false });
      const file = filled(lab, fileSystem);
      lab.run(file.fsync(false));
      lab.disk.intercept = ({ op }) => (op === 'flush' ? 0 : -5);
      expect(lab.read(file, 0, 4096, direct)).toBe(-5);
      expect(lab.read(file, 0, 4096)).toBe(-5);
      expect(lab.write(file, 0, stamped(4, 0, 4096), direct)).toBe(-5);
      expect(lab.write(file, 8192, stamped(4, 8192, 4096))).toBe(4096);
      expect(lab.run(file.fsync(false))).toBe(-5);
      lab.disk.intercept = null;
      same(lab.read(file, 0, 4096, direct), stamped(1, 0, 4096));
      lab.unmount(fileSystem);
    });

    it('its map covers the file, in order and without gaps', () => {
      const [lab, fileSystem] = fresh();
      const file = filled(lab, fileSystem);
      let next = 0;
      for (const extent of expectOk(lab.run(file.extents()))) {
        expect(extent.fileBlock).toBe(next);
        expect(extent.deviceBlock === null).toBe(extent.state === 'hole');
        next += extent.count;
      }
      expect(next).toBe(Math.ceil(file.inode.sizeBytes / fileSystem.blockSizeBytes));
      lab.unmount(fileSystem);
    });

    it('a read-only disk is never written', () => {
      const [lab, fileSystem] = fresh();
      filled(lab, fileSystem);
      lab.unmount(fileSystem);
      const before = lab.disk.bytes.slice();
      lab.disk.isReadOnly = true;
      const again = lab.mount(module.id);
      const path = module.supports.directories === true ? 'file' : '/';
      const file = lab.openPath(again, path);
      same(lab.read(file, 0, 4096, direct), stamped(1, 0, 4096));
      expect(lab.write(file, 0, stamped(5, 0, 4096), direct)).toBe(-9);
      lab.unmount(again);
      expect(Buffer.compare(lab.disk.bytes, before)).toBe(0);
    });

    if (module.format !== undefined) {
      it('finds itself, and nothing in noise', () => {
        const [lab, fileSystem] = fresh();
        lab.unmount(fileSystem);
        expect(lab.run(probeFileSystem(lab.kernel, lab.disk))?.module.id).toBe(module.id);
        const noise = FileSystemLab.blank(MIB);
        expect(noise.run(module.probe(noise.kernel, noise.disk))).toBeNull();
      });

      it('two formats of the same disk by the same kernel are the same bytes', () => {
        const [one] = fresh();
        const [two] = fresh();
        expect(Buffer.compare(one.disk.bytes, two.disk.bytes)).toBe(0);
      });
    }

    if (module.supports.directories === true) {
      it('names: makes, finds, lists, moves and removes', () => {
        const [lab, fileSystem] = fresh();
        const root = lab.inodeAt(fileSystem, '/', null);
        const folder = lab.inodeAt(fileSystem, 'folder', 'directory');
        const made = expectOk(lab.run(fileSystem.create(folder, 'naïve ☃', 'file')));
        expect(lab.run(fileSystem.create(folder, 'naïve ☃', 'file'))).toMatchObject({
          error: 'EEXIST',
        });
        expect(expectOk(lab.run(fileSystem.lookup(folder, 'naïve ☃')))).toBe(made.inodeNumber);
        expect(lab.run(fileSystem.lookup(folder, 'other'))).toMatchObject({ error: 'ENOENT' });
        expect(lab.run(fileSystem.create(folder, 'a/b', 'file'))).toMatchObject({
          error: 'EINVAL',
        });
        expect(lab.run(fileSystem.create(folder, 'x'.repeat(256), 'file'))).toMatchObject({
          error: 'ENAMETOOLONG',
        });
        expect(lab.run(fileSystem.lookup(made, 'x'))).toMatchObject({ error: 'ENOTDIR' });
        expect(lab.run(fileSystem.unlink(root, 'folder'))).toMatchObject({ error: 'ENOTEMPTY' });
        expectOk(lab.run(fileSystem.create(root, 'other', 'directory')));
        const rename = fileSystem.rename?.bind(fileSystem);
        if (rename !== undefined) {
          expect(lab.run(rename(root, 'folder', folder, 'inside'))).toMatchObject({
            error: 'EINVAL',
          });
          expect(lab.run(rename(root, 'folder', root, 'other'))).toMatchObject({ error: 'EEXIST' });
          const other = lab.inodeAt(fileSystem, 'other', null);
          expectOk(lab.run(rename(root, 'folder', other, 'moved')));
          expect(expectOk(lab.run(fileSystem.lookup(folder, '..')))).toBe(other.inodeNumber);
          expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
          expectOk(lab.run(rename(other, 'moved', root, 'folder')));
        }
        expectOk(lab.run(fileSystem.unlink(root, 'other')));
        expectOk(lab.run(fileSystem.unlink(folder, 'naïve ☃')));
        expectOk(lab.run(fileSystem.unlink(root, 'folder')));
        expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
        lab.unmount(fileSystem);
      });
    }

    if (module.supports.allocate === true && module.supports.holes !== false) {
      it('a write into a hole inside the file falls back to the page cache, and is counted', () => {
        const [lab, fileSystem] = fresh();
        const file = lab.openPath(fileSystem, 'holes');
        expect(lab.run(fileSystem.truncate(file.inode, 100_000))).toBe(0);
        expect(lab.write(file, 16_384, stamped(6, 16_384, 4096), direct)).toBe(4096);
        expect(fileSystem.counters.fallbacks).toBe(fileSystem.dioProfile.skipHoles ? 1 : 0);
        expect(file.inode.mapping.cachedPageCount).toBe(0);
        same(lab.read(file, 12_288, 4096, direct), new Uint8Array(4096));
        same(lab.read(file, 16_384, 4096, direct), stamped(6, 16_384, 4096));
        lab.unmount(fileSystem);
      });
    }

    if (module.supports.allocate === true) {
      it('a new block shows zeros around a small write, not what the disk held', () => {
        const [lab, fileSystem] = fresh();
        const file = lab.openPath(fileSystem, 'small');
        expect(lab.write(file, 512, stamped(7, 512, 1024), direct)).toBe(1024);
        expect(lab.run(fileSystem.truncate(file.inode, 8192))).toBe(0);
        const expected = new Uint8Array(8192);
        expected.set(stamped(7, 512, 1024), 512);
        same(lab.read(file, 0, 8192, direct), expected);
        lab.unmount(fileSystem);
      });

      it('a failed extending write leaves the size, and gives its blocks back', () => {
        const [lab, fileSystem] = fresh();
        const file = filled(lab, fileSystem);
        expect(lab.run(fileSystem.sync())).toBe(0);
        const free = fileSystem.statfs().freeBytes;
        lab.disk.intercept = ({ op }) => (op === 'write' ? -5 : 0);
        expect(lab.write(file, 262_144, stamped(8, 262_144, 65_536), direct)).toBe(-5);
        lab.disk.intercept = null;
        // Without holes the page cache extends the file, and only the write-back fails, as in the kernel.
        const extendsDirectly = module.supports.holes !== false;
        expect(file.inode.sizeBytes).toBe(extendsDirectly ? 262_144 : 327_680);
        if (!extendsDirectly) expect(lab.run(fileSystem.truncate(file.inode, 262_144))).toBe(0);
        expect(lab.run(fileSystem.sync())).toBe(0);
        expect(fileSystem.statfs().freeBytes).toBe(free);
        expect(lab.run(fileSystem.checkInvariants())).toEqual([]);
        lab.unmount(fileSystem);
      });

      it('an image that was not unmounted is looked at before it is written', () => {
        const [lab, fileSystem] = fresh();
        filled(lab, fileSystem);
        expect(lab.run(fileSystem.sync())).toBe(0);
        // What is on the disk now is what a killed process leaves; after a sync it is sound.
        const left = new FileSystemLab(lab.disk.bytes.slice());
        const again = left.mount(module.id);
        expect(again.statfs().state).toBe('dirty');
        same(left.read(left.openPath(again, 'file'), 0, 4096, direct), stamped(1, 0, 4096));
        left.unmount(again);
        expect(left.mount(module.id).statfs().state).toBe('clean');
      });

      it('what a killed process leaves can be mounted again, with nothing lost that was synced', () => {
        const [lab, fileSystem] = fresh();
        const file = filled(lab, fileSystem);
        // fsync of one file brings its pointers to the disk, and not yet the bitmaps.
        expect(lab.run(fileSystem.sync())).toBe(0);
        expect(lab.write(file, 262_144, stamped(1, 262_144, 131_072), direct)).toBe(131_072);
        expect(lab.run(file.fsync(false))).toBe(0);
        const left = new FileSystemLab(lab.disk.bytes.slice());
        const again = left.mount(module.id);
        const found = left.openPath(again, 'file');
        same(left.read(found, 0, 393_216, direct), stamped(1, 0, 393_216));
        expect(left.run(again.checkInvariants())).toEqual([]);
        left.unmount(again);
        expect(left.mount(module.id).statfs().state).toBe('clean');
      });
    }
  });
}
