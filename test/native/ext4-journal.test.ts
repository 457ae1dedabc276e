// SPDX-License-Identifier: GPL-2.0-only
/**
 * Images that the real kernel left dirty: copied while they are mounted. Seen with their journal replayed they are what e2fsck makes of
 * a copy, file by file.
 */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { closeSync, fsyncSync, openSync, writeSync, truncateSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, HostError, Sfc32 } from '../../engine/base/index.ts';
import type { MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { tool, whyNoMounts, withMount } from '../support/ext-images.ts';
import { describeUnless } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-journal-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Every name below the root with what it is: 'directory', or the bytes of a file with the places of its blocks. */
function contentOf(lab: FileSystemLab, fileSystem: MountedFileSystem): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (number: number, path: string): void => {
    const inode = expectOk(lab.run(fileSystem.readInode(number)));
    if (inode.kind !== 'directory') {
      const file = expectOk(lab.run(fileSystem.open(inode)));
      const bytes = lab.read(file, 0, Math.max(512, inode.sizeBytes));
      if (typeof bytes === 'number') throw new Error(`${path}: ${String(bytes)}`);
      const extents = expectOk(lab.run(file.extents()));
      const map = extents.map(({ fileBlock, count, deviceBlock, state }) =>
        [fileBlock, count, deviceBlock, state].join(':'),
      );
      found.set(path, `${Buffer.from(bytes).toString('base64')} ${map.join(' ')}`);
      return;
    }
    found.set(path, 'directory');
    for (const entry of expectOk(lab.run(fileSystem.readDirectory(inode)))) {
      if (entry.name === '.' || entry.name === '..' || entry.name === 'lost+found') continue;
      visit(entry.inodeNumber, `${path}/${entry.name}`);
    }
  };
  visit(fileSystem.rootInodeNumber, '');
  return found;
}

function readOnly(path: string): FileSystemLab {
  const lab = FileSystemLab.fromFile(path);
  lab.disk.isReadOnly = true;
  return lab;
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, 'end');
  fsyncSync(file);
  closeSync(file);
}

/** Changes that leave descriptors, revokes and, in a small journal, a log that has gone round. */
function disturb(mounted: string, seed: number, rounds: number): void {
  const random = new Sfc32(seed);
  const names: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const name = `dir ${String(round)}`;
    mkdirSync(join(mounted, name));
    for (let index = 0; index < 12; index++) {
      const path = join(mounted, name, `file ${String(index)}`);
      // A block that begins with the journal's magic number has to be escaped where data goes through the journal.
      const data = stamped(random.next32(), 0, 1 + below(random, 20_000));
      if (index % 4 === 0) data.set([0xc0, 0x3b, 0x39, 0x98]);
      writeFileSync(path, data);
      names.push(path);
    }
    const gone = names.splice(below(random, names.length), 1)[0] as string;
    unlinkSync(gone);
    const cut = names[below(random, names.length)] as string;
    truncateSync(cut, below(random, 5000));
    const moved = names.splice(below(random, names.length), 1)[0] as string;
    renameSync(moved, join(mounted, `moved ${String(round)}`));
    if (round > 2 && round % 3 === 0) {
      // A directory that goes revokes its blocks.
      rmSync(join(mounted, `dir ${String(round - 2)}`), { recursive: true });
      for (let at = names.length - 1; at >= 0; at--) {
        if (names[at]?.includes(`dir ${String(round - 2)}/`) === true) names.splice(at, 1);
      }
    }
    syncFile(names.at(-1) as string);
  }
}

const IMAGES: readonly (readonly [string, readonly string[], string])[] = [
  ['ext4', ['-b', '4096'], ''],
  ['ext4', ['-b', '1024', '-J', 'size=1'], ''],
  ['ext4', ['-b', '1024', '-O', '^64bit,^metadata_csum'], ''],
  ['ext4', ['-b', '1024', '-J', 'size=2'], 'data=journal'],
  ['ext3', ['-b', '1024', '-J', 'size=1'], ''],
];

describeUnless(whyNoMounts(), `journals that the kernel left, seed ${String(SEED)}`, () => {
  for (const [type, args, mountOptions] of IMAGES) {
    it(`${type} ${args.join(' ')} ${mountOptions}: as e2fsck replays it`, () => {
      const path = join(folder, 'dirty.img');
      const copy = join(folder, 'copy.img');
      const mounted = join(folder, 'mounted');
      writeFileSync(path, new Uint8Array(32 * MIB));
      tool('mke2fs', '-q', '-F', '-t', type, ...args, path);
      if (mountOptions !== '') tool('tune2fs', '-o', 'journal_data', path);
      withMount(path, type, mounted, () => {
        disturb(mounted, SEED, 12);
        copyFileSync(path, copy);
      });
      expect(tool('dumpe2fs', '-h', copy)).toContain('needs_recovery');
      const replayed = join(folder, 'replayed.img');
      copyFileSync(copy, replayed);
      const fixed = spawnSync('e2fsck', ['-fy', replayed], { encoding: 'utf8' });
      expect(fixed.stdout).toContain('recovering journal');

      const dirty = readOnly(copy);
      const before = dirty.disk.bytes.slice();
      const seen = dirty.mount(type);
      const known = readOnly(replayed);
      const expected = contentOf(known, known.mount(type));
      expect(expected.size).toBeGreaterThan(50);
      expect(contentOf(dirty, seen)).toEqual(expected);
      dirty.unmount(seen);
      expect(dirty.pagesInUse).toBe(0);
      expect(Buffer.compare(dirty.disk.bytes, before)).toBe(0);
      const raw = FileSystemLab.fromFile(copy);
      expect(() => raw.mount(type)).toThrow(HostError);
      expect(() => raw.mount(type)).toThrow('has to be replayed first');
      expect(Buffer.compare(readFileSync(copy), before)).toBe(0);
    });
  }
});
