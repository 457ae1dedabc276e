// SPDX-License-Identifier: GPL-2.0-only
/**
 * Damaged ext4 images under everything that looks at whole images or changes directories: the block map, the hex view, facts, look-ups
 * by hash, new names. What is wrong is a `HostError` of mounting, or a result; nothing else, and every map covers the image once.
 */
import { expect, it } from 'vitest';
import { below, HostError, Sfc32, type Random, type Result } from '../../engine/base/index.ts';
import type { BlockRange, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';

const MIB = 1024 * 1024;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const IMAGES = Number(process.env['DIOLAB_HOSTILE_IMAGES'] ?? 20);
const TEMPTING = [0, 1, 2, 0x7f, 0x80, 0xff];

const nameOf = (index: number): string => `name ${String(index)} ${'x'.repeat(index % 100)}`;

function layoutOf(
  lab: FileSystemLab,
  fileSystem: MountedFileSystem,
): Result<readonly BlockRange[]> {
  if (fileSystem.layout === undefined) throw new Error('no block map');
  return lab.run(fileSystem.layout());
}

/** An image with an index of two levels, fragmented files and folders, and the blocks worth damaging. */
function build(options: Readonly<Record<string, unknown>>): {
  readonly bytes: Uint8Array;
  readonly metadata: readonly number[];
} {
  const lab = FileSystemLab.blank(6 * MIB);
  lab.format('ext4', { blockSize: '1024', bytesPerInode: 2048, ...options });
  let fileSystem = lab.mount('ext4');
  const many = lab.inodeAt(fileSystem, 'many', 'directory');
  for (let index = 0; index < 500; index++) {
    expectOk(lab.run(fileSystem.create(many, nameOf(index), 'file')));
  }
  for (let file = 0; file < 6; file++) {
    const opened = lab.openPath(fileSystem, `folder/file ${String(file)}`);
    for (let at = 0; at < 40; at += 2) lab.write(opened, at * 3072, stamped(file, at, 1024));
  }
  lab.unmount(fileSystem);
  fileSystem = lab.mount('ext4');
  const ranges = expectOk(layoutOf(lab, fileSystem));
  lab.unmount(fileSystem);
  const metadata = ranges
    .filter(({ use }) => !['free', 'data', 'reserved', 'journal', 'outside'].includes(use))
    .flatMap(({ deviceBlock, count }) =>
      Array.from({ length: count }, (_, at) => deviceBlock + at),
    );
  return { bytes: lab.disk.bytes.slice(), metadata };
}

function damage(bytes: Uint8Array, metadata: readonly number[], random: Random): void {
  for (let count = 1 + below(random, 12); count > 0; count--) {
    const block = metadata[below(random, metadata.length)] as number;
    // Most structures have what matters at their start.
    const at = block * 1024 + below(random, below(random, 2) === 0 ? 64 : 1024);
    const isTempting = below(random, 2) === 0;
    bytes[at] = isTempting
      ? (TEMPTING[below(random, TEMPTING.length)] as number)
      : below(random, 256);
  }
}

function look(lab: FileSystemLab, fileSystem: MountedFileSystem, isWritable: boolean): void {
  const layout = layoutOf(lab, fileSystem);
  if (layout.ok) {
    let next = 0;
    for (const { deviceBlock, count } of layout.value) {
      expect(deviceBlock).toBe(next);
      next += count;
    }
    expect(next).toBe((6 * MIB) / 1024);
    for (const { deviceBlock } of layout.value.slice(0, 80)) {
      lab.run(fileSystem.describeBlock?.(deviceBlock) as never);
    }
  }
  lab.run(fileSystem.facts?.(null) as never);
  for (const number of [2, 8, 12, 13, 20, 520]) lab.run(fileSystem.facts?.(number) as never);
  const root = lab.run(fileSystem.readInode(2));
  if (!root.ok) return;
  const found = lab.run(fileSystem.lookup(root.value, 'many'));
  const many = found.ok ? lab.run(fileSystem.readInode(found.value)) : found;
  if (!many.ok) return;
  lab.run(fileSystem.readDirectory(many.value));
  for (let index = 0; index < 30; index++) {
    lab.run(fileSystem.lookup(many.value, nameOf(index * 17)));
    if (!isWritable) continue;
    lab.run(fileSystem.create(many.value, `new ${nameOf(index)}`, 'file'));
    lab.run(fileSystem.unlink(many.value, nameOf(index * 11)));
  }
}

for (const [title, options] of [
  ['with checksums', {}],
  ['without checksums', { checksums: 'none' }],
  ['by block pointers', { checksums: 'none', extents: false, wide: false }],
] as const) {
  it(`${title}: ${String(IMAGES)} damaged images, seed ${String(SEED)}`, () => {
    const built = build(options);
    const random = new Sfc32(SEED, title.length);
    let mounted = 0;
    for (let image = 0; image < IMAGES; image++) {
      const bytes = built.bytes.slice();
      damage(bytes, built.metadata, random);
      const lab = new FileSystemLab(bytes, { arenaPages: 2048 });
      const isWritable = image % 2 === 1;
      lab.disk.isReadOnly = !isWritable;
      try {
        const fileSystem = lab.mount('ext4');
        mounted++;
        look(lab, fileSystem, isWritable);
        lab.run(fileSystem.unmount());
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        expect(error.where).not.toBe('');
      }
      expect(lab.pagesInUse, `image ${String(image)}`).toBe(0);
    }
    expect(mounted).toBeGreaterThan(IMAGES / 10);
  });
}
