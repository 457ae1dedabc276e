// SPDX-License-Identifier: GPL-2.0-only
/** What our formatting of ext2, ext3 and ext4 makes, against e2fsck, dumpe2fs and the kernel's mount. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostError, type OptionValues } from '../../engine/base/index.ts';
import {
  DEFAULT_LIMITS,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
} from '../../engine/block/index.ts';
import { EXT3_FORMAT, EXT4_FORMAT } from '../../engine/filesystems/_ext/index.ts';
import { expectOk, FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless, findProgram, missingReason } from '../support/tools.ts';

const MIB = 1024 * 1024;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-ext4-format-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function tool(name: string, ...args: string[]): string {
  return execFileSync(findProgram(name) ?? name, args, { encoding: 'utf8', stdio: 'pipe' });
}

function expectSound(path: string): void {
  const found = spawnSync(findProgram('e2fsck') ?? 'e2fsck', ['-fn', path], { encoding: 'utf8' });
  expect(found.status, `${found.stdout}${found.stderr}`).toBe(0);
}

const OFFERS = { ext3: EXT3_FORMAT, ext4: EXT4_FORMAT } as const;
type Member = keyof typeof OFFERS;

function format(
  lab: FileSystemLab,
  member: Member,
  options: OptionValues,
  disk: BlockDevice = lab.disk,
): void {
  const offer = OFFERS[member];
  const defaults = Object.fromEntries(
    Object.entries(offer.options).map(([name, field]) => [name, field.default]),
  );
  const chosen = { ...defaults, ...options } as never;
  expectOk(lab.run(offer.format(lab.kernel, disk, chosen)));
}

/** A disk over a sparse file, done at once. */
class FileDisk implements BlockDevice {
  readonly name = 'file disk';
  readonly capacitySectors: number;
  readonly limits = DEFAULT_LIMITS;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>(['read', 'write', 'flush']);
  readonly isReadOnly = false;
  readonly inFlightCount = 0;
  private readonly file: number;
  constructor(
    private readonly lab: FileSystemLab,
    path: string,
    sizeBytes: number,
  ) {
    this.file = openSync(path, 'w+');
    ftruncateSync(this.file, sizeBytes);
    this.capacitySectors = sizeBytes / 512;
  }
  submit(request: DeviceRequest): 'queued' {
    let at = request.sectorStart * 512;
    for (let index = 0; index < request.bioCount && request.op !== 'flush'; index++) {
      const bio = request.bios[index] as NonNullable<(typeof request.bios)[number]>;
      for (let vector = 0; vector < bio.vectorCount * 3; vector += 3) {
        const [page, offset, length] = bio.vectors.subarray(
          vector,
          vector + 3,
        ) as never as number[];
        const start = (page as number) * 4096 + (offset as number);
        const memory = this.lab.memory.bytes.subarray(start, start + (length as number));
        if (request.op === 'read') readSync(this.file, memory, 0, memory.length, at);
        else writeSync(this.file, memory, 0, memory.length, at);
        at += memory.length;
      }
    }
    request.onEnd(request, 0);
    return 'queued';
  }
  commit(): void {
    // Nothing is batched.
  }
  wait(): number {
    return 0;
  }
  close(): void {
    closeSync(this.file);
  }
}

/** Member, size of the image, options that are not the default. */
const CASES: readonly (readonly [Member, number, OptionValues])[] = [
  ['ext4', 8 * MIB, {}],
  ['ext4', 64 * MIB, {}],
  ['ext4', 64 * MIB, { blockSize: '1024', lazy: true }],
  ['ext4', 24 * MIB + 5120, { blockSize: '2048', checksums: 'descriptors', inodeSize: '128' }],
  ['ext4', 40 * MIB, { blockSize: '1024', checksums: 'none', flexible: false }],
  ['ext4', 40 * MIB, { blockSize: '1024', extents: false, wide: false, bytesPerInode: 1024 }],
  [
    'ext4',
    3 * MIB,
    { blockSize: '1024', journal: false, inodeSize: '512', label: 'sixteen letters!' },
  ],
  ['ext4', 40 * MIB, { blockSize: '1024', journalMib: 18, checksums: 'descriptors' }],
  ['ext4', 40 * MIB, { blockSize: '1024', journalMib: 19, extents: false, wide: false }],
  ['ext4', 130 * MIB, { inodeSize: '1024', lazy: true, reservedPercent: 0 }],
  ['ext3', 8 * MIB, {}],
  ['ext3', 64 * MIB, { blockSize: '1024', label: 'three' }],
  ['ext3', 64 * MIB, { blockSize: '2048', inodeSize: '128', journalMib: 16 }],
];

describeUnless(missingReason(['e2fsprogs']), 'formats of the ext family and e2fsprogs', () => {
  for (const [member, sizeBytes, options] of CASES) {
    it(`e2fsck finds nothing in ${member}, ${String(sizeBytes)} bytes, ${JSON.stringify(options)}`, () => {
      const path = join(folder, 'made.img');
      const lab = FileSystemLab.blank(sizeBytes);
      format(lab, member, options);
      lab.save(path);
      expectSound(path);
      expect(tool('debugfs', '-R', 'ls -l /', path)).toContain('lost+found');
    });
  }

  it('of a large sparse image only what is needed is written', () => {
    const path = join(folder, 'large.img');
    for (const [gib, mostMib] of [
      [2, 2],
      [64, 12],
    ] as const) {
      const lab = FileSystemLab.blank(MIB);
      const disk = new FileDisk(lab, path, gib * 1024 * MIB);
      format(lab, 'ext4', { lazy: gib > 2 }, disk);
      disk.close();
      expect(statSync(path).blocks * 512).toBeLessThan(mostMib * MIB);
      const asMade = tool('dumpe2fs', '-h', path);
      expectSound(path);
      const reference = join(folder, 'reference.img');
      tool('mke2fs', '-q', '-F', '-t', 'ext4', reference, `${String(gib)}G`);
      const known = tool('dumpe2fs', '-h', reference);
      for (const line of known.split('\n')) {
        if (
          !/^(Filesystem (features|flags)|Default|Inode|Block|Reserved|First|Group|Flex|Req|Des|Total|Max|Check)/.test(
            line,
          )
        )
          continue;
        if (/Checksum:|Hash Seed/.test(line)) continue;
        expect(asMade).toContain(line);
      }
    }
  });

  it('cut short at any write, it leaves no file system', () => {
    const writes = { count: 0, most: Infinity };
    const lab = FileSystemLab.blank(8 * MIB);
    lab.disk.intercept = ({ op }) => {
      if (op !== 'write') return 0;
      return writes.count++ < writes.most ? 0 : -5;
    };
    format(lab, 'ext4', {});
    const all = writes.count;
    expect(all).toBeGreaterThan(3);
    for (let most = 1; most < all; most++) {
      writes.count = 0;
      writes.most = most;
      const { disk, kernel } = lab;
      disk.bytes.fill(0xa5);
      const offer = OFFERS.ext4;
      const chosen = Object.fromEntries(
        Object.entries(offer.options).map(([name, field]) => [name, field.default]),
      ) as never;
      expect(lab.run(offer.format(kernel, disk, chosen))).toMatchObject({ error: 'EIO' });
      expect(disk.bytes.subarray(1080, 1082)).not.toEqual(Uint8Array.of(0x53, 0xef));
    }
  });

  it('says what does not fit', () => {
    const refusal = (sizeBytes: number, options: OptionValues): string => {
      try {
        format(FileSystemLab.blank(sizeBytes), 'ext4', options);
      } catch (error) {
        if (error instanceof HostError) return error.message;
        throw error;
      }
      return expect.fail('it was not refused');
    };
    expect(refusal(4 * MIB, {})).toContain('1024 blocks are too few for a journal');
    expect(refusal(64 * 1024, { journal: false })).toContain('too small');
    expect(refusal(64 * MIB, { journalMib: 40 })).toContain('does not fit');
    const many = { blockSize: '1024', inodeSize: '1024', bytesPerInode: 1024, journal: false };
    expect(refusal(64 * MIB, many)).toContain('descriptors and inodes fill the groups');
  });
});

const mountReason =
  missingReason(['e2fsprogs', 'mount']) ??
  (process.getuid?.() === 0 ? null : 'loop mounts need root');

describeUnless(mountReason, 'formats of the ext family and the kernel', () => {
  it('the kernel mounts what we make, writes to it, and e2fsck finds nothing afterwards', () => {
    for (const [member, sizeBytes, options] of CASES) {
      const path = join(folder, 'mounted.img');
      const lab = FileSystemLab.blank(sizeBytes);
      format(lab, member, options);
      lab.save(path);
      const data = new Uint8Array(100_000).fill(7);
      withMount(path, member, (mounted) => {
        writeFileSync(join(mounted, 'file'), data);
        mkdirSync(join(mounted, 'folder'));
        expect(Buffer.compare(readFileSync(join(mounted, 'file')), data)).toBe(0);
      });
      expectSound(path);
    }
  });

  function withMount(path: string, type: string, work: (mounted: string) => void): void {
    const device = tool('losetup', '--find', '--show', path).trim();
    const mounted = join(folder, 'mounted');
    mkdirSync(mounted, { recursive: true });
    try {
      tool('mount', '-t', type, device, mounted);
      try {
        work(mounted);
      } finally {
        tool('umount', mounted);
      }
    } finally {
      tool('losetup', '--detach', device);
    }
  }
});
