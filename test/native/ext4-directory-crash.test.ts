// SPDX-License-Identifier: GPL-2.0-only
/**
 * Power cuts while directories get an index, split their leaves and grow a level of nodes: whatever write is the last, e2fsck repairs
 * the image, and every name that was synced before is in its directory, once, with its inode.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectSound } from '../support/ext-images.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;
/** States that are looked at of each commit: all up to so many, else spread over it. */
const STATES_MAX = Number(process.env['DIOLAB_CRASH_STATES'] ?? 12);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-directory-crash-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const nameOf = (index: number): string => `name ${String(index)} ${'x'.repeat(40 + (index % 120))}`;

/** Names that are synced, and then how many more are added before the power goes. */
const CASES: readonly (readonly [string, number, number])[] = [
  ['gets its index', 5, 3],
  ['splits leaves', 30, 40],
  ['grows a level of nodes', 560, 160],
];

describeUnless(missingReason(['e2fsprogs']), 'power cuts in directories', () => {
  for (const [title, synced, added] of CASES) {
    it(`a directory that ${title} loses no name`, () => {
      const lab = FileSystemLab.blank(8 * MIB);
      lab.format('ext4', { blockSize: '1024', bytesPerInode: 4096, journal: false });
      const fileSystem = lab.mount('ext4');
      const many = lab.inodeAt(fileSystem, 'many', 'directory');
      const known = new Map<string, number>();
      for (let index = 0; index < synced + added; index++) {
        if (index === synced) expect(lab.run(fileSystem.sync())).toBe(0);
        const inode = expectOk(lab.run(fileSystem.create(many, nameOf(index), 'file')));
        if (index < synced) known.set(nameOf(index), inode.inodeNumber);
      }
      const states: Uint8Array[] = [];
      lab.disk.intercept = ({ op }) => {
        if (op === 'write') states.push(lab.disk.bytes.slice());
        return 0;
      };
      expect(lab.run(fileSystem.sync())).toBe(0);
      lab.disk.intercept = null;
      expect(states.length).toBeGreaterThan(3);
      const step = Math.max(1, Math.floor(states.length / STATES_MAX));
      for (let at = 0; at < states.length; at += step) {
        expectNames(states[at] as Uint8Array, known, `${String(at)} of ${String(states.length)}`);
      }
      lab.unmount(fileSystem);
    });
  }

  function expectNames(bytes: Uint8Array, known: ReadonlyMap<string, number>, where: string): void {
    const path = join(folder, 'cut.img');
    writeFileSync(path, bytes);
    const args = ['-fy', path];
    const mended = spawnSync(findProgram('e2fsck') ?? 'e2fsck', args, { encoding: 'utf8' });
    expect(mended.status, `${where}: ${mended.stdout}${mended.stderr}`).toBeLessThan(4);
    expectSound(path);
    const lab = FileSystemLab.fromFile(path);
    lab.disk.isReadOnly = true;
    const fileSystem = lab.mount('ext4');
    const many = lab.inodeAt(fileSystem, 'many', null);
    for (const [name, inodeNumber] of known) {
      expect(expectOk(lab.run(fileSystem.lookup(many, name))), `${where}: ${name}`).toBe(
        inodeNumber,
      );
    }
    const entries = expectOk(lab.run(fileSystem.readDirectory(many)));
    expect(new Set(entries.map(({ name }) => name)).size, where).toBe(entries.length);
    lab.unmount(fileSystem);
  }
});
