// SPDX-License-Identifier: GPL-2.0-only
/**
 * Power cuts while directories get an index, split their leaves and grow a level of nodes: whatever part of what was written between two
 * flushes is on the disk, e2fsck repairs the image, and every name that was synced before is in its directory, once, with its inode.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, Sfc32, type Random } from '../../engine/base/index.ts';
import { expectSound } from '../support/ext-images.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
/** States that are looked at of each commit. */
const STATES_MAX = Number(process.env['DIOLAB_CRASH_STATES'] ?? 12);
const BLOCK_BYTES = 1024;

interface Written {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What a disk was told to write, block by block, flush by flush. */
class Recorder {
  readonly epochs: Written[][] = [[]];
  private readonly before: Uint8Array;

  constructor(private readonly lab: FileSystemLab) {
    this.before = lab.disk.bytes.slice();
    lab.disk.intercept = ({ op, sectorStart, bios, bioCount }) => {
      if (op === 'flush') this.epochs.push([]);
      if (op !== 'write') return 0;
      let at = sectorStart * 512;
      for (const bio of bios.slice(0, bioCount)) {
        for (let vector = 0; vector < bio.vectorCount * 3; vector += 3) {
          const start =
            (bio.vectors[vector] as number) * 4096 + (bio.vectors[vector + 1] as number);
          const end = start + (bio.vectors[vector + 2] as number);
          for (let from = start; from < end; from += BLOCK_BYTES) {
            const bytes = lab.memory.bytes.slice(from, from + BLOCK_BYTES);
            this.epochs.at(-1)?.push({ at, bytes });
            at += BLOCK_BYTES;
          }
        }
      }
      return 0;
    };
  }

  stop(): void {
    this.lab.disk.intercept = null;
  }

  /** The disk after a power cut in some epoch: all of those before it, and any part of it. */
  cut(random: Random): Uint8Array {
    const bytes = this.before.slice();
    const epochs = this.epochs.filter((epoch) => epoch.length > 0);
    const last = below(random, epochs.length);
    const share = 1 + below(random, 9);
    epochs.slice(0, last + 1).forEach((epoch, index) => {
      for (const written of epoch) {
        if (index < last || below(random, 10) < share) bytes.set(written.bytes, written.at);
      }
    });
    return bytes;
  }
}

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

describeUnless(
  missingReason(['e2fsprogs']),
  `power cuts in directories, seed ${String(SEED)}`,
  () => {
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
        const recorder = new Recorder(lab);
        expect(lab.run(fileSystem.sync())).toBe(0);
        recorder.stop();
        expect(recorder.epochs.length).toBeGreaterThan(2);
        const random = new Sfc32(SEED);
        for (let state = 0; state < STATES_MAX; state++) {
          expectNames(recorder.cut(random), known, `seed ${String(SEED)}, state ${String(state)}`);
        }
        lab.unmount(fileSystem);
      });
    }

    function expectNames(
      bytes: Uint8Array,
      known: ReadonlyMap<string, number>,
      where: string,
    ): void {
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
  },
);
