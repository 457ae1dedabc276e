// SPDX-License-Identifier: GPL-2.0-only
/**
 * Random lists of operations on every file system that can be written, against a model that keeps each file as an array: content,
 * sizes, names and the file system's own check must agree, whatever the order, the block size, and the order of completions.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XorShift32 } from '../../engine/base/index.ts';
import { FILE_SYSTEMS, fileSystemById } from '../../engine/filesystems/index.ts';
import type { FallocateMode, FileSystemModule, MountedFileSystem } from '../../engine/vfs/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';

const SECTOR = 512;
const DISK_BYTES = 4 * 1024 * 1024;
/** A journal takes 1024 blocks of a file system of 2048 or more. */
const JOURNALED_BLOCKS = 2560;
const FILES = 4;
const SEED = Number(process.env['DIOLAB_SEED'] ?? Date.now() % 1_000_000);

type Operation =
  | {
      readonly kind: 'write' | 'read';
      readonly file: number;
      readonly at: number;
      readonly length: number;
      readonly direct: boolean;
      readonly dsync: boolean;
    }
  | { readonly kind: 'truncate'; readonly file: number; readonly size: number }
  | {
      readonly kind: 'fallocate';
      readonly file: number;
      readonly mode: FallocateMode;
      readonly at: number;
      readonly length: number;
    }
  | { readonly kind: 'unlink' | 'fsync'; readonly file: number }
  | { readonly kind: 'sync' | 'remount' | 'check' };

const place = fc.oneof(
  fc.nat({ max: 64 * 1024 }),
  fc.nat({ max: 1024 * 1024 }),
  fc.nat({ max: 40 * 1024 * 1024 }),
);
const length = fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 200_000 }));
const file = fc.nat({ max: FILES - 1 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom('write' as const, 'read' as const),
      file,
      at: place,
      length,
      direct: fc.boolean(),
      dsync: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('truncate' as const), file, size: place }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('fallocate' as const),
      file,
      mode: fc.constantFrom<FallocateMode>('allocate', 'keep-size', 'punch', 'zero'),
      at: place,
      length,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('unlink' as const, 'fsync' as const), file }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('sync' as const, 'remount' as const, 'check' as const),
    }),
  },
);

/** Files as arrays, made longer as needed. */
class Model {
  readonly files = new Map<number, Uint8Array>();
  write(index: number, at: number, data: Uint8Array): void {
    const old = this.files.get(index) ?? new Uint8Array(0);
    const grown = new Uint8Array(Math.max(old.length, at + data.length));
    grown.set(old);
    grown.set(data, at);
    this.files.set(index, grown);
  }
  fallocate(index: number, mode: FallocateMode, at: number, length: number): void {
    const size = this.files.get(index)?.length ?? 0;
    const end = at + length;
    if ((mode === 'allocate' || mode === 'zero') && end > size) this.truncate(index, end);
    if (mode === 'punch' || mode === 'zero') this.files.get(index)?.fill(0, at, end);
  }
  truncate(index: number, size: number): void {
    const old = this.files.get(index) ?? new Uint8Array(0);
    const cut = new Uint8Array(size);
    cut.set(old.subarray(0, size));
    this.files.set(index, cut);
  }
}

class Session {
  readonly model = new Model();
  fileSystem: MountedFileSystem;
  private stamp = 1;
  constructor(
    readonly lab: FileSystemLab,
    readonly id: string,
  ) {
    this.fileSystem = lab.mount(id);
  }

  apply(operation: Operation): void {
    const { lab } = this;
    switch (operation.kind) {
      case 'write':
        this.write(operation);
        return;
      case 'read':
        this.read(operation);
        return;
      case 'truncate': {
        const inode = lab.inodeAt(this.fileSystem, this.name(operation.file), 'file');
        const before = inode.sizeBytes;
        const status = lab.run(this.fileSystem.truncate(inode, operation.size));
        if (status === -28 && fileSystemById(this.id).supports.holes === false) {
          // Growing takes space where there are no holes.
          expect(inode.sizeBytes).toBe(before);
          if (!this.model.files.has(operation.file)) this.model.truncate(operation.file, 0);
          return;
        }
        expect(status).toBe(0);
        this.model.truncate(operation.file, operation.size);
        return;
      }
      case 'fallocate':
        this.fallocate(operation);
        return;
      case 'unlink': {
        if (!this.model.files.has(operation.file)) return;
        const root = lab.inodeAt(this.fileSystem, '/', null);
        expectOk(lab.run(this.fileSystem.unlink(root, this.name(operation.file))));
        this.model.files.delete(operation.file);
        return;
      }
      case 'fsync':
        if (!this.model.files.has(operation.file)) return;
        expect(lab.run(lab.openPath(this.fileSystem, this.name(operation.file)).fsync(false))).toBe(
          0,
        );
        return;
      case 'sync':
        expect(lab.run(this.fileSystem.sync())).toBe(0);
        return;
      case 'check':
        expect(lab.run(this.fileSystem.checkInvariants())).toEqual([]);
        return;
      case 'remount':
        lab.unmount(this.fileSystem);
        expect(lab.pagesInUse).toBe(0);
        this.fileSystem = lab.mount(this.id);
        this.verify();
    }
  }

  verify(): void {
    for (const [index, expected] of this.model.files) {
      const opened = this.lab.openPath(this.fileSystem, this.name(index));
      expect(opened.inode.sizeBytes).toBe(expected.length);
      for (let at = 0; at < expected.length; at += 1024 * 1024) {
        const piece = this.lab.read(opened, at, Math.min(1024 * 1024, expected.length - at));
        this.same(
          piece,
          expected.subarray(at, at + 1024 * 1024),
          `file ${String(index)} at ${String(at)}`,
        );
      }
    }
  }

  private name(index: number): string {
    return index % 2 === 0 ? `f${String(index)}` : `f${String(index)}`.padEnd(40, 'x');
  }

  private write(operation: Operation & { kind: 'write' | 'read' }): void {
    const { lab, model } = this;
    const opened = lab.openPath(this.fileSystem, this.name(operation.file));
    if (!model.files.has(operation.file)) model.files.set(operation.file, new Uint8Array(0));
    const { at, count } = aligned(operation);
    const data = stamped(this.stamp++, at, count);
    const before = opened.inode.sizeBytes;
    const result = lab.write(opened, at, data, {
      isDirect: operation.direct,
      isDsync: operation.dsync,
    });
    if (result >= 0) {
      // A short count: the rest found no space.
      model.write(operation.file, at, data.subarray(0, result));
      return;
    }
    expect(result).toBe(-28);
    expect(opened.inode.sizeBytes).toBe(before);
    // What a failed write left inside the file is either old or new, sector by sector.
    const known = model.files.get(operation.file) as Uint8Array;
    const inside = Math.max(0, Math.min(known.length - at, count));
    if (inside > 0) {
      const now = lab.read(opened, at, inside);
      if (typeof now === 'number') expect.fail(`reading gave ${String(now)}`);
      for (let byte = 0; byte < inside; byte++) {
        if (now[byte] !== known[at + byte] && now[byte] !== data[byte]) {
          expect.fail(`byte ${String(at + byte)} is neither old nor new`);
        }
      }
      known.set(now, at);
    }
  }

  private fallocate(operation: Operation & { kind: 'fallocate' }): void {
    const { fileSystem, lab, model } = this;
    if (fileSystem.fallocate === undefined) return;
    const { inode } = lab.openPath(fileSystem, this.name(operation.file));
    if (!model.files.has(operation.file)) model.files.set(operation.file, new Uint8Array(0));
    const before = inode.sizeBytes;
    const { mode, at, length } = operation;
    const result = lab.run(fileSystem.fallocate(inode, mode, at, length));
    if (result === 0) {
      model.fallocate(operation.file, mode, at, length);
      return;
    }
    // EOPNOTSUPP: a mode that it has not.
    if (result === -95) return;
    // Without space nothing that shows has changed, but for what of the edges is zero already.
    expect(result).toBe(-28);
    expect(inode.sizeBytes).toBe(before);
    if (mode === 'zero') this.adopt(operation.file, at, length);
  }

  /** After a request that failed half way: each byte of the range is what it was, or zero. */
  private adopt(index: number, at: number, length: number): void {
    const known = this.model.files.get(index) as Uint8Array;
    const opened = this.lab.openPath(this.fileSystem, this.name(index));
    const now = this.lab.read(opened, at, Math.max(0, Math.min(length, known.length - at)));
    if (typeof now === 'number') expect.fail(`reading gave ${String(now)}`);
    for (const [byte, value] of now.entries()) {
      if (value !== 0 && value !== known[at + byte]) {
        expect.fail(`byte ${String(at + byte)} is neither old nor zero`);
      }
    }
    known.set(now, at);
  }

  private read(operation: Operation & { kind: 'write' | 'read' }): void {
    const expected = this.model.files.get(operation.file);
    if (expected === undefined) return;
    const opened = this.lab.openPath(this.fileSystem, this.name(operation.file));
    const { at, count } = aligned(operation);
    const found = this.lab.read(opened, at, count, { isDirect: operation.direct });
    this.same(found, expected.subarray(at, at + count), `read at ${String(at)}`);
  }

  private same(found: Uint8Array | number, expected: Uint8Array, where: string): void {
    if (typeof found === 'number') expect.fail(`${where}: errno ${String(found)}`);
    if (Buffer.compare(found, expected) === 0) return;
    const at = found.findIndex((byte, index) => byte !== expected[index]);
    expect.fail(
      `${where}: ${String(found.length)} of ${String(expected.length)} bytes, first wrong ${String(at)}`,
    );
  }
}

function aligned(operation: { at: number; length: number; direct: boolean }): {
  readonly at: number;
  readonly count: number;
} {
  if (!operation.direct) return { at: operation.at, count: operation.length };
  const at = Math.floor(operation.at / SECTOR) * SECTOR;
  return { at, count: Math.ceil(operation.length / SECTOR) * SECTOR };
}

function runList(
  id: string,
  options: Readonly<Record<string, unknown>>,
  operations: readonly Operation[],
  seed: number,
): void {
  const random = new XorShift32(seed);
  const journaled = fileSystemById(id).supports.journal === true ? JOURNALED_BLOCKS : 0;
  const diskBytes = Math.max(DISK_BYTES, journaled * Number(options['blockSize'] ?? 0));
  const lab = FileSystemLab.blank(diskBytes, {
    arenaPages: 1024,
    inline: seed % 3 === 0,
    shuffle: () => random.next32(),
  });
  lab.format(id, options);
  const session = new Session(lab, id);
  for (const operation of operations) session.apply(operation);
  session.verify();
  expect(lab.run(session.fileSystem.checkInvariants())).toEqual([]);
  lab.unmount(session.fileSystem);
  expect(lab.pagesInUse).toBe(0);
  session.fileSystem = lab.mount(id);
  expect(session.fileSystem.statfs().state).toBe('clean');
  session.verify();
  lab.unmount(session.fileSystem);
}

/** Every block size, or every width of a FAT. */
function variantsOf(module: FileSystemModule): readonly Readonly<Record<string, string>>[] {
  for (const name of ['blockSize', 'fatBits']) {
    const field = module.options[name];
    if (field?.type !== 'choice') continue;
    return field.choices
      .filter((choice) => choice !== 'auto')
      .map((choice) => ({ [name]: choice }));
  }
  return [{}];
}

describe(`random operations, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const module of FILE_SYSTEMS) {
    if (module.format === undefined) continue;
    for (const options of variantsOf(module)) {
      it(`${module.id} ${JSON.stringify(options)}: content equals the model`, () => {
        fc.assert(
          fc.property(
            fc.array(operation, { minLength: 1, maxLength: 40 }),
            fc.integer({ min: 1, max: 2 ** 31 - 1 }),
            (operations, seed) => {
              runList(module.id, options, operations, seed);
            },
          ),
          { seed: SEED, numRuns: 40 },
        );
      });
    }
  }
});
