// SPDX-License-Identifier: GPL-2.0-only
/**
 * Maps: random trees made by the real kernel (a mount over a loop device) or by the file system's own tools; our engine mounts the image
 * and maps every file as the tool does, piece by piece, unwritten ones included, and reads the same bytes.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { below, Sfc32, type Random } from '../../engine/base/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';
import type { MappedPiece, TrustAdapter, TreeFile } from './adapters/index.ts';
import { expectProgram } from './adapters/programs.ts';
import { contentOf } from './crash.ts';
import { casesOf, freshImage, imageFolder, SEED, sizeOf } from './images.ts';
import { whyNoMount, withMount } from './mounted.ts';
import { recordResult } from './results.ts';
import { sameBytes } from './workload.ts';

const TREES = sizeOf('DIOLAB_MAP_TREES', 1);
const MINUTES = sizeOf('DIOLAB_TRUST_MINUTES', 60);
const FILES_MAX = 8;

let folder: ReturnType<typeof imageFolder>;
beforeAll(() => {
  folder = imageFolder('maps');
});
afterAll(() => {
  folder.remove();
});

/** Files with holes, pieces out of order, and preallocated ranges. */
function randomTree(random: Random, hasFallocate: boolean): readonly TreeFile[] {
  return Array.from({ length: 1 + below(random, FILES_MAX) }, (_, index) => {
    const pieces = Array.from({ length: below(random, 7) }, () => ({
      fileByte: below(random, 400_000),
      lengthBytes: 1 + below(random, 60_000),
    }));
    const end = pieces.reduce((max, one) => Math.max(max, one.fileByte + one.lengthBytes), 0);
    const isPreallocated = hasFallocate && random.next32() % 3 === 0;
    const names = ['', 'folder/', 'folder/deeper/'];
    return {
      path: `${names[below(random, 3)] as string}file ${String(index)}`,
      sizeBytes: end + (random.next32() % 2 === 0 ? 0 : below(random, 50_000)),
      pieces,
      seed: random.next32(),
      preallocated: isPreallocated
        ? [{ fileByte: below(random, 300_000), lengthBytes: 4096 + below(random, 90_000) }]
        : [],
    };
  });
}

function contentOfTree({ sizeBytes, pieces, seed }: TreeFile): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (const { fileByte, lengthBytes } of pieces) {
    content.set(stamped(seed, fileByte, lengthBytes), fileByte);
  }
  return content;
}

/** Pieces in turn over all files, synced between: that is what fragments. */
function fillMounted(mounted: string, tree: readonly TreeFile[]): void {
  const open = tree.map((file) => {
    const path = join(mounted, file.path);
    mkdirSync(dirname(path), { recursive: true });
    return { file, path, fd: openSync(path, 'w+') };
  });
  for (let turn = 0; turn < 7; turn++) {
    for (const { file, fd } of open) {
      const piece = file.pieces[turn];
      if (piece === undefined) continue;
      writeSync(
        fd,
        stamped(file.seed, piece.fileByte, piece.lengthBytes),
        0,
        piece.lengthBytes,
        piece.fileByte,
      );
    }
    if (turn % 2 === 0) execFileSync('sync', ['-f', mounted]);
  }
  for (const { file, fd, path } of open) {
    ftruncateSync(fd, file.sizeBytes);
    closeSync(fd);
    for (const { fileByte, lengthBytes } of file.preallocated) {
      expectProgram('fallocate', ['-n', '-o', String(fileByte), '-l', String(lengthBytes), path]);
    }
  }
}

/** FIEMAP in bytes, by filefrag; inline and not yet placed pieces are not on the disk. */
function fiemap(path: string): MappedPiece[] {
  const text = expectProgram('filefrag', ['-e', '-s', '-b512', path]);
  const pieces: MappedPiece[] = [];
  for (const line of text.split('\n')) {
    const found = /^\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+):(.*)$/.exec(line);
    if (found === null || /inline|delalloc|unknown|encoded/.test(found[4] ?? '')) continue;
    pieces.push({
      fileByte: Number(found[1]) * 512,
      deviceByte: Number(found[2]) * 512,
      lengthBytes: Number(found[3]) * 512,
      isUnwritten: /unwritten/.test(found[4] ?? ''),
    });
  }
  return pieces;
}

/** Neighbours joined, in words that a failed test can show. */
function mapText(pieces: readonly MappedPiece[]): string[] {
  const joined: MappedPiece[] = [];
  for (const piece of [...pieces].sort((a, b) => a.fileByte - b.fileByte)) {
    const last = joined.at(-1);
    const isNext =
      last?.isUnwritten === piece.isUnwritten &&
      last.fileByte + last.lengthBytes === piece.fileByte &&
      last.deviceByte + last.lengthBytes === piece.deviceByte;
    if (isNext)
      joined[joined.length - 1] = { ...last, lengthBytes: last.lengthBytes + piece.lengthBytes };
    else joined.push(piece);
  }
  return joined.map(
    ({ fileByte, deviceByte, lengthBytes, isUnwritten }) =>
      `${String(fileByte)}+${String(lengthBytes)} at ${String(deviceByte)}${isUnwritten ? ' unwritten' : ''}`,
  );
}

function ourMap(
  lab: FileSystemLab,
  moduleId: string,
  tree: readonly TreeFile[],
): Map<string, string[]> {
  const fileSystem = lab.mount(moduleId);
  const found = new Map<string, string[]>();
  for (const file of tree) {
    const inode = lab.inodeAt(fileSystem, file.path, null);
    const opened = expectOk(lab.run(fileSystem.open(inode)));
    const extents = lab.run(opened.extents());
    const content = contentOf(lab, fileSystem, inode);
    if (typeof content === 'number') throw new Error(`${file.path}: errno ${String(content)}`);
    sameBytes(file.path, content, contentOfTree(file));
    if (!extents.ok) continue;
    const bytes = fileSystem.blockSizeBytes;
    const pieces = extents.value.flatMap(({ fileBlock, deviceBlock, count, state }) =>
      deviceBlock === null
        ? []
        : [
            {
              fileByte: fileBlock * bytes,
              deviceByte: deviceBlock * bytes,
              lengthBytes: count * bytes,
              isUnwritten: state === 'unwritten',
            },
          ],
    );
    found.set(file.path, mapText(pieces));
  }
  lab.run(fileSystem.unmount());
  return found;
}

/** The tree on the image, and what the tool says of it; null: this kernel cannot mount it. */
function makeTree(
  adapter: TrustAdapter,
  image: string,
  tree: readonly TreeFile[],
): Map<string, string[]> | null {
  const maps = new Map<string, string[]>();
  const { fill, map, mountType } = adapter;
  const block = (): number => adapter.blockBytes(new Uint8Array(readFileSync(image)));
  if (fill !== null) fill(image, tree);
  else {
    if (mountType === null) return null;
    const isThere = withMount(image, mountType, folder.path, false, (mounted) => {
      fillMounted(mounted, tree);
      execFileSync('sync', ['-f', mounted]);
      if (map !== null) return;
      for (const { path } of tree) maps.set(path, mapText(fiemap(join(mounted, path))));
    });
    if (!isThere) return null;
  }
  if (map !== null) {
    const blockBytes = block();
    for (const { path } of tree) maps.set(path, mapText(map(image, path, blockBytes)));
  }
  return maps;
}

describe(`maps of random trees, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const { adapter, variant, name } of casesOf('maps')) {
    const needsMount = adapter.fill === null;
    const reason =
      missingReason(adapter.tools) ??
      (needsMount ? whyNoMount() : null) ??
      (needsMount && findProgram('filefrag') === null ? 'missing: filefrag' : null);
    describeUnless(reason, name, () => {
      it(`${String(TREES)} trees: every map is the tool's, every byte is there`, () => {
        const image = join(folder.path, 'maps.img');
        const untilMs = Date.now() + MINUTES * 60_000;
        const fresh = freshImage(adapter, variant, image);
        const counts = { trees: 0, files: 0, pieces: 0 };
        for (let index = 0; index < TREES && Date.now() < untilMs; index++) {
          const hasFallocate =
            /ext4|xfs|btrfs/.test(adapter.moduleId) && !variant.name.includes('^extent');
          const tree = randomTree(new Sfc32(SEED, index), hasFallocate);
          writeFileSync(image, fresh);
          const theirs = makeTree(adapter, image, tree);
          if (theirs === null) expect.fail(`this kernel does not mount ${adapter.moduleId}`);
          const lab = FileSystemLab.fromFile(image, { arenaPages: 4096 });
          lab.disk.isReadOnly = true;
          const ours = ourMap(lab, adapter.moduleId, tree);
          for (const [path, map] of ours) {
            expect(map, `${name}, tree ${String(index)}, ${path}`).toEqual(theirs.get(path));
            counts.files++;
            counts.pieces += map.length;
          }
          counts.trees++;
        }
        expect(counts.pieces).toBeGreaterThan(0);
        recordResult('maps', name, counts.trees, counts);
      });
    });
  }
});
