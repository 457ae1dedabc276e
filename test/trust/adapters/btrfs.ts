// SPDX-License-Identifier: GPL-2.0-only
/**
 * btrfs for the trust suites: mkfs.btrfs, btrfs check, mounts by the kernel, and maps by btrfs inspect-internal dump-tree (FIEMAP gives
 * logical bytes there). We only read it, so hostile images begin with a tree that mkfs.btrfs itself copies.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '../../../engine/filesystems/_ext/checksum.ts';
import { NODE, SB, SUPERBLOCK_BYTE } from '../../../engine/filesystems/btrfs/layout.ts';
import { expectOk, FileSystemLab } from '../../support/file-system-lab.ts';
import type {
  DiskField,
  DiskStructure,
  FsckVerdict,
  ImageVariant,
  MappedPiece,
  SuiteId,
  TrustAdapter,
} from './contract.ts';
import { expectProgram, runProgram } from './programs.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;

type FieldRow = readonly [string, number, DiskField['lengthBytes'], DiskField['kind']];

const SUPERBLOCK_FIELDS: readonly FieldRow[] = [
  ['bytenr', SB.byte, 8, 'pointer'],
  ['flags', SB.flags, 8, 'flags'],
  ['generation', SB.generation, 8, 'other'],
  ['root', SB.root, 8, 'pointer'],
  ['chunk_root', SB.chunkRoot, 8, 'pointer'],
  ['log_root', SB.logRoot, 8, 'pointer'],
  ['total_bytes', SB.totalBytes, 8, 'length'],
  ['bytes_used', SB.usedBytes, 8, 'length'],
  ['num_devices', SB.deviceCount, 8, 'count'],
  ['sectorsize', SB.sectorBytes, 4, 'length'],
  ['nodesize', SB.nodeBytes, 4, 'length'],
  ['sys_chunk_array_size', SB.systemArrayBytes, 4, 'length'],
  ['incompat_flags', SB.incompatFlags, 8, 'flags'],
  ['csum_type', SB.checksumType, 2, 'other'],
  ['root_level', SB.rootLevel, 1, 'count'],
  ['chunk_root_level', SB.chunkRootLevel, 1, 'count'],
  ['sys_chunk.length', SB.systemArray + 17, 8, 'length'],
  ['sys_chunk.type', SB.systemArray + 17 + 24, 8, 'flags'],
  ['sys_chunk.num_stripes', SB.systemArray + 17 + 44, 2, 'count'],
  ['sys_chunk.stripe.offset', SB.systemArray + 17 + 56, 8, 'pointer'],
];
const NODE_FIELDS: readonly FieldRow[] = [
  ['bytenr', NODE.byte, 8, 'pointer'],
  ['generation', NODE.generation, 8, 'other'],
  ['owner', NODE.owner, 8, 'other'],
  ['nritems', NODE.itemCount, 4, 'count'],
  ['level', NODE.level, 1, 'count'],
  ['key 0 objectid', NODE.items, 8, 'pointer'],
  ['key 0 type', NODE.items + 8, 1, 'other'],
  ['key 0 offset', NODE.items + 9, 8, 'pointer'],
  ['item 0 offset, or pointer 0', NODE.items + 17, 4, 'pointer'],
  ['item 0 size', NODE.items + 21, 4, 'length'],
  ['item 1 offset', NODE.items + 42, 4, 'pointer'],
  ['item 1 size', NODE.items + 46, 4, 'length'],
];

function structureOf(
  name: string,
  byte: number,
  lengthBytes: number,
  rows: readonly FieldRow[],
): DiskStructure {
  const fields = rows.map(([field, offsetBytes, length, kind]) => ({
    name: field,
    offsetBytes,
    lengthBytes: length,
    kind,
  }));
  const seal = (image: Uint8Array): void => {
    const sum = ~crc32c(0xffff_ffff, image, byte + 32, byte + lengthBytes) >>> 0;
    new DataView(image.buffer, image.byteOffset).setUint32(byte, sum, true);
  };
  return { name, byte, lengthBytes, fields, seal };
}

/** The superblock, and every node of every tree. */
function structures(image: Uint8Array): DiskStructure[] {
  const lab = new FileSystemLab(image);
  const fileSystem = lab.mount('btrfs');
  const ranges = expectOk(lab.run(fileSystem.layout?.() ?? noLayout()));
  lab.unmount(fileSystem);
  const view = new DataView(image.buffer, image.byteOffset);
  const nodeBytes = view.getUint32(SUPERBLOCK_BYTE + SB.nodeBytes, true);
  const found = [structureOf('superblock', SUPERBLOCK_BYTE, 4096, SUPERBLOCK_FIELDS)];
  for (const { deviceBlock, count, use } of ranges) {
    if (use !== 'tree') continue;
    for (let at = deviceBlock * BLOCK; at < (deviceBlock + count) * BLOCK; at += nodeBytes) {
      const owner = view.getUint32(at + NODE.owner, true);
      const name = `node of tree ${String(owner)} at byte ${String(at)}`;
      found.push(structureOf(name, at, nodeBytes, NODE_FIELDS));
    }
  }
  return found;
}

function noLayout(): never {
  throw new Error('btrfs has no layout');
}

/** What mkfs.btrfs copies, made when this module is loaded and gone with the process. */
function makeSource(): string {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-btrfs-source-'));
  process.on('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  mkdirSync(join(folder, 'folder/deeper'), { recursive: true });
  for (let index = 0; index < 80; index++) {
    const size = index % 4 === 0 ? 40_000 : 20 * index;
    const inside = index % 3 === 0 ? 'folder/deeper' : 'folder';
    const path = join(folder, inside, `entry with a longer name ${String(index)}`);
    writeFileSync(path, new Uint8Array(size).fill(index + 1));
  }
  return folder;
}
const source = makeSource();

function variant(
  sizeBytes: number,
  args: readonly string[],
  suites: readonly SuiteId[],
): ImageVariant {
  const tree = suites.includes('hostile') ? ['--rootdir', source] : [];
  return {
    name: ['mkfs.btrfs', ...args].join(' '),
    sizeBytes,
    format: null,
    mkfs: ['mkfs.btrfs', '-q', '-f', ...args, ...tree, '{image}'],
    suites,
  };
}

function check(path: string): FsckVerdict {
  const { status, text } = runProgram('btrfs', ['check', '--readonly', path]);
  return { isClean: status === 0, isRepaired: false, text: `btrfs check: ${text}` };
}

const dump = (path: string, tree: string): string =>
  expectProgram('btrfs', ['inspect-internal', 'dump-tree', '-t', tree, path]);

interface Dumped {
  /** Path and time of the last change of the image. */
  readonly image: string;
  /** Directory inode and name to inode. */
  readonly names: ReadonlyMap<string, string>;
  /** Pieces by inode, with logical bytes. */
  readonly pieces: ReadonlyMap<string, readonly MappedPiece[]>;
}
/** The last image that was asked about: maps are asked for file by file. */
let dumped: Dumped | null = null;

/** Logical byte to byte of the device, by the tool's dump of the chunk tree. */
function translation(path: string): (logical: number) => number {
  const found = dump(path, 'chunk').matchAll(
    /CHUNK_ITEM (\d+)\)[^]*?length (\d+) [^]*?stripe 0 devid \d+ offset (\d+)/g,
  );
  const chunks = [...found].map(([, ...numbers]) => numbers.map(Number));
  return (logical) => {
    for (const [start = 0, length = 0, stripe = 0] of chunks) {
      if (logical >= start && logical < start + length) return stripe + logical - start;
    }
    throw new Error(`no chunk has ${String(logical)}`);
  };
}

function readDump(path: string, image: string): Dumped {
  const deviceByte = translation(path);
  const names = new Map<string, string>();
  const pieces = new Map<string, MappedPiece[]>();
  for (const item of dump(path, '5').split(/\n\titem \d+ /)) {
    const [, inode = '', type, offset] = /^key \((\d+) (\w+) (\d+)\)/.exec(item) ?? [];
    if (type === 'DIR_INDEX') {
      const [, target = ''] = /location key \((\d+) INODE_ITEM 0\)/.exec(item) ?? [];
      const [, name = ''] = /\n\t\tname: (.*)/.exec(item) ?? [];
      names.set(`${inode}/${name}`, target);
    }
    if (type !== 'EXTENT_DATA') continue;
    const place = /(?:extent|prealloc) data disk byte (\d+) nr \d+/.exec(item);
    const part = /(?:extent|prealloc) data offset (\d+) nr (\d+)/.exec(item);
    if (place === null || part === null || place[1] === '0') continue;
    const list = pieces.get(inode) ?? [];
    pieces.set(inode, list);
    list.push({
      fileByte: Number(offset),
      deviceByte: deviceByte(Number(place[1]) + Number(part[1])),
      lengthBytes: Number(part[2]),
      isUnwritten: item.includes('type 2 (prealloc)'),
    });
  }
  return { image, names, pieces };
}

/** The pieces of a file of the top-level subvolume. */
function dumpedMap(path: string, inside: string): readonly MappedPiece[] {
  const image = `${path} ${String(statSync(path).mtimeMs)}`;
  if (dumped?.image !== image) dumped = readDump(path, image);
  let inode = '256';
  for (const name of inside.split('/')) {
    const next = dumped.names.get(`${inode}/${name}`);
    if (next === undefined) throw new Error(`dump-tree knows no ${inside}`);
    inode = next;
  }
  return dumped.pieces.get(inode) ?? [];
}

export const btrfs: TrustAdapter = {
  moduleId: 'btrfs',
  tools: ['btrfs-progs'],
  variants: [
    variant(16 * MIB, ['--mixed', '-n', '4096'], ['hostile']),
    variant(128 * MIB, [], ['maps']),
    variant(128 * MIB, ['-m', 'single', '-n', '4096'], ['maps']),
  ],
  fsck: check,
  repair: null,
  mountType: 'btrfs',
  fill: null,
  map: dumpedMap,
  blockBytes: () => BLOCK,
  structures,
  orderMutants: [],
};
