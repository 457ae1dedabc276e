// SPDX-License-Identifier: GPL-2.0-only
/** FAT for the trust suites: mkfs.fat, fsck.fat and mtools; there is no mount. */
import { readFileSync, writeFileSync } from 'node:fs';
import type {
  DiskField,
  DiskStructure,
  FsckVerdict,
  ImageVariant,
  OrderMutant,
  SuiteId,
  TrustAdapter,
} from './contract.ts';
import { expectProgram, runProgram } from './programs.ts';

const MIB = 1024 * 1024;
/** Clusters of directories that are looked for at most. */
const DIRECTORIES_MAX = 40;

/** fsck.fat: 0 nothing found, 1 errors (with -a: corrected), 2 usage. */
function fsckFat(flags: readonly string[], path: string): FsckVerdict {
  const { status, text } = runProgram('fsck.fat', [...flags, path]);
  return {
    isClean: status === 0,
    isRepaired: status === 0 || status === 1,
    text: `fsck.fat ${flags.join(' ')}: status ${String(status)}\n${text}`,
  };
}

/**
 * fsck.fat -a, without what it salvages: it makes a file FSCKnnnn.REC of every chain that no directory names, such as that of a file
 * just deleted, up to the end of its last cluster. What was promised has to be in a file of its own, so these go.
 */
function repair(path: string): FsckVerdict {
  const verdict = fsckFat(['-a'], path);
  const salvaged = /FSCK\d{4}\.REC|[Rr]eclaimed \d+ unused cluster/.test(verdict.text);
  if (!salvaged) return verdict;
  const image = new Uint8Array(readFileSync(path));
  const volume = new Volume(image);
  if (volume.isFat32) {
    // mtools takes a FAT32 with few clusters for another type.
    removeSalvaged(volume);
    writeFileSync(path, image);
  } else expectProgram('mdel', ['-i', path, '::/FSCK*.REC']);
  return verdict;
}

/** Takes FSCKnnnn.REC out of the root of a FAT32: entries, chains in every copy of the FAT, free clusters in FSInfo. */
function removeSalvaged({ image, view, ...volume }: Volume): void {
  const next = (cluster: number): number =>
    view.getUint32(volume.fatByte + cluster * 4, true) & 0x0fffffff;
  let freed = 0;
  const dataByte = (cluster: number): number =>
    volume.dataByte + (cluster - 2) * volume.clusterBytes;
  for (let root = volume.rootCluster; root < 0x0ffffff7; root = next(root)) {
    const first = dataByte(root);
    for (let at = first; at < first + volume.clusterBytes; at += 32) {
      if (!/^FSCK\d{4}REC$/.test(String.fromCharCode(...image.subarray(at, at + 11)))) continue;
      image[at] = 0xe5;
      let cluster = view.getUint16(at + 20, true) * 65536 + view.getUint16(at + 26, true);
      while (cluster >= 2 && cluster < 0x0ffffff7) {
        const following = next(cluster);
        for (let copy = 0; copy < volume.fatCount; copy++) {
          view.setUint32(volume.fatByte + copy * volume.fatBytes + cluster * 4, 0, true);
        }
        cluster = following;
        freed++;
      }
    }
  }
  const free = volume.sectorBytes + 488;
  view.setUint32(free, view.getUint32(free, true) + freed, true);
}

/** Where things are, by our own reading of the BPB. */
class Volume {
  readonly view: DataView;
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  readonly fatByte: number;
  readonly fatBytes: number;
  readonly fatCount: number;
  readonly rootByte: number;
  readonly rootBytes: number;
  readonly dataByte: number;
  readonly isFat32: boolean;
  readonly rootCluster: number;

  constructor(readonly image: Uint8Array) {
    const view = new DataView(image.buffer, image.byteOffset, image.length);
    this.view = view;
    this.sectorBytes = view.getUint16(11, true);
    this.clusterBytes = this.sectorBytes * view.getUint8(13);
    this.fatByte = view.getUint16(14, true) * this.sectorBytes;
    this.fatCount = view.getUint8(16);
    this.isFat32 = view.getUint16(22, true) === 0;
    const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
    this.fatBytes = fatSectors * this.sectorBytes;
    this.rootByte = this.fatByte + this.fatCount * this.fatBytes;
    this.rootBytes = view.getUint16(17, true) * 32;
    this.dataByte = this.rootByte + this.rootBytes;
    this.rootCluster = this.isFat32 ? view.getUint32(44, true) : 0;
  }

  clusterByte(cluster: number): number {
    return this.dataByte + (cluster - 2) * this.clusterBytes;
  }
}

type Row = readonly [name: string, offset: number, length: 1 | 2 | 4, kind: DiskField['kind']];

function fieldsOf(rows: readonly Row[]): DiskField[] {
  return rows.map(([name, offsetBytes, lengthBytes, kind]) => ({
    name,
    offsetBytes,
    lengthBytes,
    kind,
  }));
}

const BOOT_FIELDS = fieldsOf([
  ['bytes per sector', 11, 2, 'length'],
  ['sectors per cluster', 13, 1, 'length'],
  ['reserved sectors', 14, 2, 'pointer'],
  ['number of FATs', 16, 1, 'count'],
  ['root entries', 17, 2, 'count'],
  ['total sectors', 19, 2, 'count'],
  ['media', 21, 1, 'other'],
  ['sectors per FAT', 22, 2, 'length'],
  ['total sectors, long', 32, 4, 'count'],
  ['sectors per FAT, long', 36, 4, 'length'],
  ['flags', 40, 2, 'flags'],
  ['root cluster', 44, 4, 'pointer'],
  ['FSInfo sector', 48, 2, 'pointer'],
  ['copy of the boot sector', 50, 2, 'pointer'],
]);
const INFO_FIELDS = fieldsOf([
  ['signature', 484, 4, 'other'],
  ['free clusters', 488, 4, 'count'],
  ['next cluster', 492, 4, 'pointer'],
]);

/** Entries of a directory's cluster: the fields of its first slots. */
function directoryFields(lengthBytes: number): DiskField[] {
  const rows: Row[] = [];
  for (let at = 0; at < Math.min(lengthBytes, 512); at += 32) {
    rows.push(['first byte', at, 1, 'other']);
    rows.push(['attributes', at + 11, 1, 'flags']);
    rows.push(['checksum', at + 13, 1, 'other']);
    rows.push(['cluster, high', at + 20, 2, 'pointer']);
    rows.push(['cluster, low', at + 26, 2, 'pointer']);
    rows.push(['size', at + 28, 4, 'length']);
  }
  return fieldsOf(rows);
}

function structuresOf(image: Uint8Array): readonly DiskStructure[] {
  const volume = new Volume(image);
  const found: DiskStructure[] = [];
  const add = (
    name: string,
    byte: number,
    lengthBytes: number,
    fields: readonly DiskField[],
  ): void => {
    found.push({ name, byte, lengthBytes, fields, seal: null });
  };
  add('boot sector', 0, 512, BOOT_FIELDS);
  if (volume.isFat32) add('FSInfo', volume.sectorBytes, 512, INFO_FIELDS);
  for (let copy = 0; copy < volume.fatCount; copy++) {
    const rows: Row[] = [];
    for (let at = 0; at < 128; at += 4) rows.push(['entry', at, 4, 'pointer']);
    const byte = volume.fatByte + copy * volume.fatBytes;
    add(`FAT ${String(copy + 1)}`, byte, volume.fatBytes, fieldsOf(rows));
  }
  const queue: number[] = [];
  if (volume.isFat32) queue.push(volume.rootCluster);
  else {
    add('directory /', volume.rootByte, volume.rootBytes, directoryFields(volume.rootBytes));
    queue.push(...directoriesIn(volume, volume.rootByte, volume.rootBytes));
  }
  const seen = new Set<number>();
  for (let cluster = queue.shift(); cluster !== undefined; cluster = queue.shift()) {
    if (seen.has(cluster) || seen.size >= DIRECTORIES_MAX) continue;
    seen.add(cluster);
    const byte = volume.clusterByte(cluster);
    const { clusterBytes } = volume;
    add(
      `directory in cluster ${String(cluster)}`,
      byte,
      clusterBytes,
      directoryFields(clusterBytes),
    );
    queue.push(...directoriesIn(volume, byte, clusterBytes));
  }
  return found;
}

/** First clusters of the directories that are named there. */
function directoriesIn(volume: Volume, byte: number, lengthBytes: number): number[] {
  const clusters: number[] = [];
  for (let at = byte; at < byte + lengthBytes; at += 32) {
    const first = volume.image[at] as number;
    const attributes = volume.image[at + 11] as number;
    if (first === 0 || first === 0xe5 || first === 0x2e || (attributes & 0x18) !== 0x10) continue;
    const high = volume.isFat32 ? volume.view.getUint16(at + 20, true) : 0;
    const cluster = high * 65536 + volume.view.getUint16(at + 26, true);
    if (cluster >= 2) clusters.push(cluster);
  }
  return clusters;
}

const isFat = (name: string): boolean => /^FAT \d/.test(name);
const isDirectory = (name: string): boolean => /^directory/.test(name);

/** The order of fat/commit.ts, broken in ten ways. */
const ORDER_MUTANTS: readonly OrderMutant[] = [
  {
    name: 'no flush between data and what points at it',
    dropsFlush: (before, after) => before.has('data') && [...after].some(isDirectory),
  },
  { name: 'no flush at all', dropsFlush: () => true },
  { name: 'no flush after the FAT', dropsFlush: (before) => [...before].some(isFat) },
  { name: 'directories early', moves: (name) => (isDirectory(name) ? 'early' : null) },
  { name: 'directories late', moves: (name) => (isDirectory(name) ? 'late' : null) },
  { name: 'directories lost', moves: (name) => (isDirectory(name) ? 'lost' : null) },
  { name: 'data late', moves: (name) => (name === 'data' ? 'late' : null) },
  { name: 'data lost', moves: (name) => (name === 'data' ? 'lost' : null) },
  { name: 'the FAT lost', moves: (name) => (isFat(name) ? 'lost' : null) },
  { name: 'the FAT late', moves: (name) => (isFat(name) ? 'late' : null) },
];

function ours(
  name: string,
  sizeBytes: number,
  format: Readonly<Record<string, unknown>>,
  suites: readonly SuiteId[],
): ImageVariant {
  return { name, sizeBytes, format, mkfs: null, suites };
}
function mkfsFat(
  sizeBytes: number,
  args: readonly string[],
  suites: readonly SuiteId[],
): ImageVariant {
  return {
    name: ['mkfs.fat', ...args].join(' '),
    sizeBytes,
    format: null,
    mkfs: ['mkfs.fat', ...args, '{image}'],
    suites,
  };
}

export const fat: TrustAdapter = {
  moduleId: 'fat',
  tools: ['dosfstools', 'mtools'],
  variants: [
    ours('FAT12', 4 * MIB, { fatBits: '12' }, ['crash', 'hostile', 'faults']),
    ours('FAT16', 4 * MIB, { fatBits: '16' }, ['crash', 'hostile', 'faults', 'writes']),
    ours('FAT32', 4 * MIB, { fatBits: '32' }, ['crash', 'hostile', 'faults', 'writes']),
    mkfsFat(8 * MIB, ['-F', '12'], ['writes', 'hostile']),
    mkfsFat(32 * MIB, ['-F', '16', '-s', '8'], ['writes']),
    mkfsFat(40 * MIB, ['-F', '32', '-s', '1'], ['writes']),
  ],
  fsck: (path) => fsckFat(['-n'], path),
  repair,
  mountType: null,
  fill: null,
  map: null,
  blockBytes: (image) => new Volume(image).clusterBytes,
  structures: (image) => structuresOf(image),
  orderMutants: ORDER_MUTANTS,
};
