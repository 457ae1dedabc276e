// SPDX-License-Identifier: GPL-2.0-only
/**
 * The engine's loop driver against a model and e2fsck: random operations on ext2 in a file of ext2, by each of its ways of moving data;
 * what is read is what a plain array holds, and both images are sound at the end.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { below, MIB, Sfc32, type Random } from '../../engine/base/index.ts';
import type { OpenFile } from '../../engine/vfs/index.ts';
import { stamped } from '../support/file-system-lab.ts';
import { IMAGE, Nested, type NestedOptions } from '../support/nested-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);
const OPERATIONS = 150;
const FILE_BYTES_MAX = MIB;
const INNER_BYTES = 8 * MIB;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-loop-driver-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** e2fsck -fn must find nothing. */
function expectSound(bytes: Uint8Array, name: string): void {
  const path = join(folder, `${name}.img`);
  writeFileSync(path, bytes);
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.status, `${name}, seed ${String(SEED)}: ${found.stdout}${found.stderr}`).toBe(0);
}

/** A file above, and what it has to hold. */
class ModelFile {
  bytes = new Uint8Array(0);

  constructor(
    private readonly nested: Nested,
    readonly file: OpenFile,
    private readonly unitBytes: number,
  ) {}

  write(random: Random, seed: number): void {
    const isDirect = below(random, 2) === 0;
    const unit = isDirect ? this.unitBytes : 1;
    const start = Math.floor(below(random, FILE_BYTES_MAX) / unit) * unit;
    const length = Math.ceil((1 + below(random, 100_000)) / unit) * unit;
    const data = stamped(seed, start, length);
    expect(this.nested.lab.write(this.file, start, data, { isDirect })).toBe(length);
    if (start + length > this.bytes.length) this.resize(start + length);
    this.bytes.set(data, start);
  }

  read(random: Random, where: string): void {
    if (this.bytes.length === 0) return;
    const isDirect = below(random, 2) === 0;
    const unit = isDirect ? this.unitBytes : 1;
    const start = Math.floor(below(random, this.bytes.length) / unit) * unit;
    const length = Math.ceil((1 + below(random, 200_000)) / unit) * unit;
    const found = this.nested.lab.read(this.file, start, length, { isDirect });
    const wanted = this.bytes.subarray(start, start + length);
    if (typeof found === 'number') expect.fail(`${where}: errno ${String(found)}`);
    if (Buffer.compare(found, wanted) !== 0) {
      const at = found.findIndex((byte, index) => byte !== wanted[index]);
      const lengths = `${String(found.length)} bytes for ${String(wanted.length)}`;
      expect.fail(`${where}: ${lengths}, first wrong at ${String(start + at)}`);
    }
  }

  truncate(random: Random): void {
    const sizeBytes = below(random, FILE_BYTES_MAX);
    expect(this.nested.lab.run(this.nested.upper.truncate(this.file.inode, sizeBytes))).toBe(0);
    this.resize(sizeBytes);
  }

  private resize(sizeBytes: number): void {
    const resized = new Uint8Array(sizeBytes);
    resized.set(this.bytes.subarray(0, sizeBytes));
    this.bytes = resized;
  }
}

function playOn(nested: Nested, unitBytes: number, random: Random, name: string): void {
  const files = ['/a', '/b', '/folder/c'].map(
    (path) => new ModelFile(nested, nested.open(path), unitBytes),
  );
  for (let step = 0; step < OPERATIONS; step++) {
    const file = files[below(random, files.length)] as ModelFile;
    const what = below(random, 10);
    const where = `${name}, seed ${String(SEED)}, operation ${String(step)}`;
    if (what < 5) file.write(random, step);
    else if (what < 8) file.read(random, where);
    else if (what === 8) file.truncate(random);
    else expect(nested.lab.run(file.file.fsync(false)), where).toBe(0);
  }
}

const WAYS: readonly (NestedOptions & { readonly unitBytes: number; readonly name: string })[] = [
  {
    name: 'buffered',
    transfer: 'buffered',
    unitBytes: 512,
    upperBlock: '1024',
    lowerBlock: '1024',
  },
  { name: 'vectors', transfer: 'direct', unitBytes: 512, upperBlock: '1024', lowerBlock: '4096' },
  { name: 'vectors-sparse', transfer: 'direct', unitBytes: 512, writtenBytes: MIB, isSparse: true },
  // Memory of less than a page goes wrong there: everything is pages, and the file has no hole.
  { name: 'pages', transfer: 'direct', unitBytes: 4096, revision: '2.6.31-pages' },
];

describeUnless(
  missingReason(['e2fsprogs']),
  `the loop driver inside the engine, seed ${String(SEED)}`,
  () => {
    it.each(WAYS)('$name: what is read is what was written, and both images are sound', (way) => {
      const { name, unitBytes, ...options } = way;
      const random = new Sfc32(SEED, WAYS.indexOf(way));
      const shuffle = (): number => random.next32();
      const nested = new Nested({ ...options, innerBytes: INNER_BYTES, inline: false, shuffle });
      const { lab } = nested;
      playOn(nested, unitBytes, random, name);
      lab.unmount(nested.upper);
      const inner = lab.read(nested.image, 0, INNER_BYTES);
      if (typeof inner === 'number') expect.fail(`${IMAGE}: errno ${String(inner)}`);
      expect(nested.loop.counters.lostWriteBytes).toBe(0);
      lab.unmount(nested.lower);
      expectSound(inner, `${name}-inner`);
      expectSound(lab.disk.bytes, `${name}-outer`);
    });
  },
);
