// SPDX-License-Identifier: GPL-2.0-only
/** A file system in a file of a file system: data, sizes, splitting, faults, coherence, and what is held and copied how often. */
import { describe, expect, it } from 'vitest';
import { expectOk, stamped } from '../../test/support/file-system-lab.ts';
import { IMAGE, Nested } from '../../test/support/nested-lab.ts';
import { ERRNO, KernelBug, MIB, PAGE_BYTES, Sfc32 } from '../base/index.ts';
import { VECTOR_WORDS, type DeviceRequest } from '../block/index.ts';
import { findRevision, openDirectIo, resolveRevision } from '../dio/index.ts';
import { fileSystemById } from '../filesystems/index.ts';
import type { OpenFile } from '../vfs/index.ts';
import { LoopDevice } from './index.ts';

const ROADS = [
  { transfer: 'buffered', revision: '6.4', road: 'buffered' },
  { transfer: 'direct', revision: '6.4', road: 'vectors' },
  { transfer: 'direct', revision: '2.6.31-pages', road: 'pages' },
] as const;

describe.each(ROADS)('a loop device over a file, $road', ({ transfer, revision, road }) => {
  it('gives back what was written, through both file systems and after both were mounted again', () => {
    const nested = new Nested({ transfer, revision, inline: false });
    expect(nested.loop.road).toBe(road);
    const { lab } = nested;
    const file = nested.open();
    const data = stamped(3, 0, 600_000);
    expect(lab.write(file, 0, data)).toBe(data.length);
    expect(
      lab.write(file, 200 * PAGE_BYTES, data.subarray(0, 128 * 1024), { isDirect: true }),
    ).toBe(128 * 1024);
    expectSame(lab.read(file, 0, data.length), data);
    expect(lab.run(file.fsync(false))).toBe(0);
    expect(nested.loop.counters.flushes).toBeGreaterThan(0);
    expect(lab.run(nested.upper.checkInvariants())).toEqual([]);
    nested.end();
    const lower = lab.mount('ext2');
    expect(lab.run(lower.checkInvariants())).toEqual([]);
    const { loop } = nested;
    expect([loop.counters.lostWriteBytes, loop.counters.unfilledReadBytes]).toEqual([0, 0]);
    const image = lab.openPath(lower, IMAGE);
    const again = new LoopDevice(lab.kernel, {
      file: image,
      lowerDevice: lab.device,
      transfer,
      kernelMemory: resolveRevision(findRevision(revision)).traits.kernelMemory,
      sectorBytes: 512,
      isReadOnly: true,
    });
    const { directIo } = openDirectIo(findRevision(revision));
    const upper = lab.run(fileSystemById('ext2').mount(lab.kernel, again, directIo));
    expectSame(lab.read(lab.openPath(upper, '/data'), 0, data.length), data);
    lab.unmount(upper);
    lab.unmount(lower);
  });

  it('grows a file that is shorter than the device', () => {
    const nested = new Nested({ transfer, revision, writtenBytes: MIB });
    const { lab } = nested;
    const file = nested.open();
    const data = stamped(5, 0, 3 * MIB);
    expect(lab.write(file, 0, data, { isDirect: true })).toBe(data.length);
    expect(nested.image.inode.sizeBytes).toBeGreaterThan(3 * MIB);
    expectSame(lab.read(file, 0, data.length, { isDirect: true }), data);
    expect(nested.loop.counters.grown > 0).toBe(road !== 'buffered');
    nested.lab.unmount(nested.upper);
  });

  it('ends a bio with EIO where the disk below fails, and goes on after it', () => {
    const nested = new Nested({ transfer, revision, inline: false });
    const { lab } = nested;
    const file = nested.open();
    expect(lab.write(file, 0, stamped(1, 0, 65536), { isDirect: true })).toBe(65536);
    if (road === 'buffered') expect(lab.run(nested.image.fsync(false))).toBe(0);
    // Nothing of it may come from the cache of the lower file.
    expect(nested.image.inode.mapping.invalidate(0, 10_000)).not.toBeNull();
    lab.run(drop(nested.image));
    lab.disk.intercept = (request) => (request.op === 'read' ? -ERRNO.EIO : 0);
    expect(lab.read(file, 0, 4096, { isDirect: true })).toBe(-ERRNO.EIO);
    lab.disk.intercept = null;
    expectSame(lab.read(file, 0, 65536, { isDirect: true }), stamped(1, 0, 65536));
    nested.end();
  });

  it('keeps the order of requests that overlap', () => {
    const random = new Sfc32(7, 11);
    const nested = new Nested({
      transfer,
      revision,
      inline: false,
      shuffle: () => random.next32(),
    });
    const { lab } = nested;
    const file = nested.open();
    for (let round = 0; round < 12; round++) {
      expect(lab.write(file, 0, stamped(round, 0, 32768), { isDirect: round % 2 === 0 })).toBe(
        32768,
      );
    }
    expectSame(lab.read(file, 0, 32768, { isDirect: true }), stamped(11, 0, 32768));
    nested.end();
  });
});

/** As `toEqual`, which takes seconds for a megabyte. */
function expectSame(read: Uint8Array | number, wanted: Uint8Array): void {
  if (typeof read === 'number') throw new Error(`the read ended with ${String(read)}`);
  expect(read.length).toBe(wanted.length);
  expect(read.findIndex((byte, at) => byte !== wanted[at])).toBe(-1);
}

function* drop(file: OpenFile) {
  const value = file.inode.mapping.invalidate(0, 1_000_000);
  if (typeof value !== 'number') yield* value;
}

describe('direct transfer', () => {
  it.each(['6.4', '2.6.31-pages'])('asks for 32 segments at most at a time (%s)', (revision) => {
    const nested = new Nested({ transfer: 'direct', revision });
    const { lab, loop } = nested;
    const file = nested.open();
    const sizes: number[] = [];
    const submit = loop.submit.bind(loop);
    loop.submit = (request: DeviceRequest) => {
      if (request.op === 'write') sizes.push(segmentsIn(request));
      return submit(request);
    };
    const data = stamped(9, 0, MIB);
    expect(lab.write(file, 0, data, { isDirect: true })).toBe(MIB);
    expect(Math.max(...sizes)).toBe(32);
    expect(sizes.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(256);
    expectSame(lab.read(file, 0, MIB), data);
    nested.end();
  });

  it('throws cached pages of the lower file out, and writes dirty ones back before it reads', () => {
    for (const revision of ['6.4', '2.6.31-pages']) {
      const nested = new Nested({ transfer: 'direct', revision });
      const { lab, image } = nested;
      const file = nested.open();
      expect(lab.write(file, 0, stamped(1, 0, 8192), { isDirect: true })).toBe(8192);
      const [extent] = expectOk(lab.run(file.extents()));
      const at = (extent?.deviceBlock ?? 0) * PAGE_BYTES;
      // A reader of the lower file caches what the upper one wrote, and sees what it writes next.
      expectSame(lab.read(image, at, 8192), stamped(1, 0, 8192));
      expect(lab.write(file, 0, stamped(2, 0, 8192), { isDirect: true })).toBe(8192);
      expectSame(lab.read(image, at, 8192), stamped(2, 0, 8192));
      // A buffered writer of the lower file is dirty there, and is read above all the same.
      expect(lab.write(image, at, stamped(3, 0, 8192))).toBe(8192);
      expectSame(lab.read(file, 0, 8192, { isDirect: true }), stamped(3, 0, 8192));
      nested.end();
    }
  });

  it('is refused bio by bio where it is misaligned, as in 2009, and becomes buffered with later revisions', () => {
    const pages = new Nested({ transfer: 'direct', revision: '2.6.31-pages', lowerBlock: '4096' });
    const { lab, loop } = pages;
    const file = pages.open();
    expect(lab.write(file, 0, stamped(1, 0, 8192), { isDirect: true })).toBe(8192);
    Object.assign(lab.disk.limits, { logicalBlockBytes: 4096 });
    expect(lab.read(file, 512, 1024, { isDirect: true })).toBe(-ERRNO.EIO);
    expect(loop.counters.refusedMisaligned).toBe(1);
    expectSame(lab.read(file, 0, 4096, { isDirect: true }), stamped(1, 0, 4096));
    const settings = { file: pages.image, lowerDevice: lab.disk, isReadOnly: false } as const;
    const wanted = { ...settings, transfer: 'direct', kernelMemory: 'vectors' } as const;
    const small = new LoopDevice(lab.kernel, { ...wanted, sectorBytes: 512 });
    expect([small.road, small.fellBackWhy]).toEqual([
      'buffered',
      'its logical block of 512 bytes is smaller than the 4096 of the device below',
    ]);
    const large = new LoopDevice(lab.kernel, { ...wanted, sectorBytes: 4096 });
    expect([large.road, large.fellBackWhy]).toEqual(['vectors', null]);
  });

  it('loses writes into holes as the text of 2009 has it; later ones go through the page cache', () => {
    for (const revision of ['2.6.31-pages', '6.4']) {
      const isLost = revision === '2.6.31-pages';
      const nested = new Nested({
        transfer: 'direct',
        revision,
        writtenBytes: MIB,
        isSparse: true,
      });
      const { lab, loop } = nested;
      const file = nested.open();
      expect(lab.write(file, 0, stamped(2, 0, 2 * MIB), { isDirect: true })).toBe(2 * MIB);
      const { lostWriteBytes } = loop.counters;
      expect(lostWriteBytes > 0).toBe(isLost);
      expect(loop.counters.lostReferences > 0).toBe(isLost);
      const end = 2 * MIB - 65536;
      const read = lab.read(file, end, 65536, { isDirect: true });
      expectSame(read, isLost ? new Uint8Array(65536) : stamped(2, end, 65536));
      nested.end();
    }
  });

  it('hands down no more of vectors than their pages in 2009: small blocks in one bio go wrong', () => {
    const nested = new Nested({ transfer: 'direct', revision: '2.6.31-pages' });
    const { lab, loop } = nested;
    const { memory, kernel } = lab;
    const first = memory.allocatePages(2);
    memory.bytes.fill(0x11, first * PAGE_BYTES, (first + 1) * PAGE_BYTES);
    memory.bytes.fill(0x22, (first + 1) * PAGE_BYTES, (first + 2) * PAGE_BYTES);
    const bio = kernel.allocateBio(2);
    bio.id = kernel.nextBioId();
    bio.op = 'write';
    bio.device = loop;
    bio.sectorStart = 8;
    // Two halves of two pages: 2048 bytes of each belong on the disk, and both come from the first page.
    bio.pushVector(first, 0, 2048);
    bio.pushVector(first + 1, 0, 2048);
    let status = 1;
    bio.onEnd = (ended) => (status = ended.status);
    kernel.submitBio(bio);
    kernel.drain();
    expect(status).toBe(0);
    const written = lab.read(nested.image, PAGE_BYTES, PAGE_BYTES) as Uint8Array;
    expect([written[0], written[2048]]).toEqual([0x11, 0x11]);
    expect(loop.counters.lostReferences).toBe(1);
    memory.freePages(first, 2);
  });
});

it('ends a bio with EIO where the kernel stops in the worker, and serves the next one', () => {
  const nested = new Nested({ transfer: 'direct', revision: '2.6.31-pages', inline: false });
  const { lab, image } = nested;
  let stops = true;
  const directIo: OpenFile['directIo'] = (iocb, iter) => {
    if (stops) throw new KernelBug('BUG: dio_new_bio', 'a test says so');
    return (image as Required<OpenFile>).directIo(iocb, iter);
  };
  const loop = new LoopDevice(lab.kernel, {
    file: Object.create(image, { directIo: { value: directIo } }) as OpenFile,
    lowerDevice: lab.device,
    transfer: 'direct',
    kernelMemory: 'pages',
    sectorBytes: 512,
    isReadOnly: false,
  });
  const page = lab.memory.allocatePages(1);
  const ended: number[] = [];
  const submit = (): void => {
    const bio = lab.kernel.allocateBio(1);
    bio.id = lab.kernel.nextBioId();
    bio.op = 'read';
    bio.device = loop;
    bio.pushVector(page, 0, 4096);
    bio.onEnd = ({ status }) => ended.push(status);
    lab.kernel.submitBio(bio);
  };
  // The second one is queued behind the one that stops.
  submit();
  submit();
  expect(() => {
    lab.kernel.drain();
  }).toThrow(KernelBug);
  stops = false;
  lab.kernel.drain();
  expect([ended, loop.inFlightCount]).toEqual([[-ERRNO.EIO, 0], 0]);
  expectSame(lab.memory.view(page, 0, 4096), lab.read(image, 0, 4096) as Uint8Array);
});

function segmentsIn(request: DeviceRequest): number {
  let count = 0;
  for (const bio of request.bios.slice(0, request.bioCount)) {
    for (let at = 0; at < bio.vectorCount; at++) {
      count += Math.ceil((bio.vectors[at * VECTOR_WORDS + 2] as number) / PAGE_BYTES);
    }
  }
  return count;
}

describe('what is held and copied', () => {
  it.each([
    { transfer: 'buffered', revision: '6.4', lowerPages: 256, copiedBytes: MIB },
    { transfer: 'direct', revision: '6.4', lowerPages: 0, copiedBytes: 0 },
    { transfer: 'direct', revision: '2.6.31-pages', lowerPages: 0, copiedBytes: 0 },
  ] as const)('a buffered read of 1 MiB, $transfer ($revision)', (row) => {
    const nested = new Nested(row);
    const { lab, loop, image } = nested;
    const file = nested.open();
    expect(lab.write(file, 0, stamped(4, 0, MIB), { isDirect: true })).toBe(MIB);
    lab.run(nested.upper.sync());
    lab.run(drop(image));
    const before = { ...loop.counters };
    expectSame(lab.read(file, 0, MIB), stamped(4, 0, MIB));
    expect(file.inode.mapping.cachedPageCount).toBe(256);
    let held = 0;
    for (const extent of expectOk(lab.run(file.extents()))) {
      for (let block = 0; block < extent.count; block++) {
        const at = ((extent.deviceBlock ?? 0) + block) * PAGE_BYTES;
        if (image.inode.mapping.hasPages?.(at, at + PAGE_BYTES - 1) === true) held++;
      }
    }
    expect(held).toBe(row.lowerPages);
    // Metadata of the upper file system (indirect blocks) is read, and copied, too.
    const copied = loop.counters.copiedBytes - before.copiedBytes;
    expect([copied >= row.copiedBytes, copied <= row.copiedBytes * 1.05]).toEqual([true, true]);
    nested.end();
  });
});
