// SPDX-License-Identifier: GPL-2.0-only
/** ext2, ext3 and ext4 for the trust suites: mke2fs, e2fsck, debugfs, and mounts by the kernel. */
import type {
  FsckVerdict,
  ImageVariant,
  MappedPiece,
  OrderMutant,
  SuiteId,
  TrustAdapter,
} from './contract.ts';
import { ExtStructures } from './ext-structures.ts';
import { expectProgram, runProgram } from './programs.ts';

const MIB = 1024 * 1024;

/** e2fsck's status is made of bits: 1 errors corrected, 2 reboot, 4 errors left, 8 operational error, 16 usage, 128 library. */
function e2fsck(flags: string, path: string): FsckVerdict {
  const { status, text } = runProgram('e2fsck', [flags, path]);
  return {
    isClean: status === 0,
    isRepaired: status === 0 || status === 1 || status === 2 || status === 3,
    text: `e2fsck ${flags}: status ${String(status)}\n${text}`,
  };
}

/** Data blocks of a file as debugfs lists them: `(0-11):100-111, (IND):112, (12):113[u]`. */
function debugfsMap(path: string, inside: string, blockBytes: number): readonly MappedPiece[] {
  const text = expectProgram('debugfs', ['-R', `stat "/${inside}"`, path]);
  const section = /(?:BLOCKS|EXTENTS):\n([\s\S]*?)(?:\nTOTAL|\n\n|$)/.exec(text)?.[1] ?? '';
  const pieces: MappedPiece[] = [];
  for (const found of section.matchAll(/\((\d+)(?:-(\d+))?(\[u\])?\):(\d+)(?:-\d+)?/g)) {
    const [, from, to, unwritten, first] = found;
    const count = Number(to ?? from) - Number(from) + 1;
    pieces.push({
      fileByte: Number(from) * blockBytes,
      deviceByte: Number(first) * blockBytes,
      lengthBytes: count * blockBytes,
      isUnwritten: unwritten !== undefined,
    });
  }
  return pieces;
}

function ours(
  name: string,
  sizeBytes: number,
  format: Readonly<Record<string, unknown>>,
  suites: readonly SuiteId[],
): ImageVariant {
  return { name, sizeBytes, format, mkfs: null, suites };
}
function mke2fs(
  type: string,
  sizeBytes: number,
  args: readonly string[],
  suites: readonly SuiteId[],
): ImageVariant {
  return {
    name: ['mke2fs', type, ...args].join(' '),
    sizeBytes,
    format: null,
    mkfs: ['mke2fs', '-q', '-F', '-t', type, ...args, '{image}'],
    suites,
  };
}

const isMetadata = (name: string): boolean => name !== 'data';
const isPointing = (name: string): boolean =>
  /^inode \d|^directory block|^indirect block|^extent node/.test(name);

/** The order of `_ext/commit.ts`, broken in ten ways. */
const ORDER_MUTANTS: readonly OrderMutant[] = [
  {
    name: 'no flush between data and what points at it',
    dropsFlush: (before, after) => before.has('data') && [...after].some(isMetadata),
  },
  { name: 'no flush between metadata', dropsFlush: (before) => [...before].some(isMetadata) },
  { name: 'no flush at all', dropsFlush: () => true },
  {
    name: 'inodes before what they point at',
    moves: (name) => (/^inode /.test(name) ? 'early' : null),
  },
  {
    name: 'pointing blocks before their data',
    moves: (name) => (isPointing(name) ? 'early' : null),
  },
  { name: 'data late', moves: (name) => (name === 'data' ? 'late' : null) },
  { name: 'data lost', moves: (name) => (name === 'data' ? 'lost' : null) },
  { name: 'inodes late', moves: (name) => (/^inode /.test(name) ? 'late' : null) },
  { name: 'inodes lost', moves: (name) => (/^inode /.test(name) ? 'lost' : null) },
  { name: 'directories lost', moves: (name) => (/^directory/.test(name) ? 'lost' : null) },
];

function adapter(moduleId: string, variants: readonly ImageVariant[]): TrustAdapter {
  return {
    moduleId,
    tools: ['e2fsprogs'],
    variants,
    fsck: (path) => e2fsck('-fn', path),
    repair: (path) => e2fsck('-fy', path),
    mountType: moduleId,
    fill: null,
    map: debugfsMap,
    blockBytes: (image) => ExtStructures.blockBytes(image),
    structures: (image) => new ExtStructures(image).all(),
    orderMutants: ORDER_MUTANTS,
  };
}

const SMALL = { bytesPerInode: 8192 } as const;

export const ext2 = adapter('ext2', [
  ours('1k blocks', MIB, { blockSize: '1024', ...SMALL }, ['crash', 'hostile', 'faults']),
  ours('4k blocks', MIB, { blockSize: '4096', ...SMALL }, ['crash', 'hostile', 'faults']),
  ours('2k blocks', 8 * MIB, { blockSize: '2048' }, ['writes']),
  mke2fs('ext2', 12 * MIB, ['-b', '1024'], ['maps', 'writes', 'hostile']),
  mke2fs('ext2', 24 * MIB, ['-b', '4096', '-I', '128'], ['maps', 'writes']),
  mke2fs('ext2', 12 * MIB, ['-b', '1024', '-O', 'meta_bg,^resize_inode'], ['maps', 'writes']),
]);

export const ext3 = adapter('ext3', [
  ours('1k blocks', 4 * MIB, { blockSize: '1024', ...SMALL }, [
    'crash',
    'hostile',
    'faults',
    'writes',
  ]),
  ours('4k blocks', 8 * MIB, { blockSize: '4096', ...SMALL }, [
    'crash',
    'hostile',
    'faults',
    'writes',
  ]),
  mke2fs('ext3', 16 * MIB, ['-b', '1024'], ['maps', 'writes', 'hostile']),
  mke2fs('ext3', 32 * MIB, ['-b', '4096'], ['maps', 'writes']),
]);

export const ext4 = adapter('ext4', [
  ours('1k blocks', 4 * MIB, { blockSize: '1024', ...SMALL }, [
    'crash',
    'hostile',
    'faults',
    'writes',
  ]),
  ours('4k blocks', 8 * MIB, { blockSize: '4096', ...SMALL }, [
    'crash',
    'hostile',
    'faults',
    'writes',
  ]),
  mke2fs('ext4', 16 * MIB, [], ['maps', 'writes', 'hostile']),
  mke2fs('ext4', 32 * MIB, ['-b', '4096'], ['maps', 'writes', 'hostile']),
  mke2fs('ext4', 16 * MIB, ['-O', '^metadata_csum,^64bit'], ['maps', 'writes', 'hostile']),
  mke2fs('ext4', 16 * MIB, ['-O', '^extent,^64bit', '-b', '1024'], ['maps', 'writes']),
]);
