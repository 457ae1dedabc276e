// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where the structures of an XFS image of version 5 are: group headers, tree blocks, inodes in use, map blocks, directory blocks,
 * each with its fields and the way to set its checksum right again. Reads a sound image only, and asks our own reader for offsets.
 */
import {
  AGF,
  AGFL,
  AGI,
  INODE,
  INODE3,
  LONG_BLOCK,
  SB,
  SHORT_BLOCK,
} from '../../../engine/filesystems/xfs/layout.ts';
import { xfsCrc, type Field } from '../../../engine/filesystems/xfs/record.ts';
import type { BlockRange, MountedFileSystem } from '../../../engine/vfs/index.ts';
import { expectOk, FileSystemLab } from '../../support/file-system-lab.ts';
import type { DiskField, DiskStructure } from './contract.ts';

const pointerNames =
  /root$|ptrs|sib$|owner|^bno|logstart|rootino|next_unlinked|fllast|flfirst|startblock/;
const countNames = /count|numrecs|level|extents|blks|blocks|nlink|length|size$|log$/;

function fieldsOf(table: Readonly<Record<string, Field>>, limitBytes: number): DiskField[] {
  const fields: DiskField[] = [];
  for (const { name, at, lengthBytes } of Object.values(table)) {
    if (at + lengthBytes > limitBytes || ![1, 2, 4, 8].includes(lengthBytes)) continue;
    if (name.endsWith('crc')) continue;
    fields.push(field(name, at, lengthBytes as 1 | 2 | 4 | 8));
  }
  return fields;
}

function field(name: string, offsetBytes: number, lengthBytes: 1 | 2 | 4 | 8): DiskField {
  const kind = pointerNames.test(name)
    ? 'pointer'
    : countNames.test(name)
      ? 'count'
      : /flags|features|mode|format/.test(name)
        ? 'flags'
        : 'other';
  return { name, offsetBytes, lengthBytes, isBigEndian: true, kind };
}

/** Words of a block behind its header, as far as `lengthBytes`. */
function words(name: string, fromByte: number, lengthBytes: number): DiskField[] {
  return Array.from({ length: Math.floor(lengthBytes / 4) }, (_, index) =>
    field(`${name}[${String(index)}]`, fromByte + index * 4, 4),
  );
}

/** Sets the little-endian checksum of a structure right. */
function sealer(byte: number, lengthBytes: number, crcAt: number): (image: Uint8Array) => void {
  return (image) => {
    const own = image.subarray(byte, byte + lengthBytes);
    const crc = xfsCrc(own, crcAt);
    new DataView(own.buffer, own.byteOffset).setUint32(crcAt, crc, true);
  };
}

export class XfsStructures {
  private readonly list: DiskStructure[] = [];
  private readonly view: DataView;
  readonly blockBytes: number;

  constructor(private readonly image: Uint8Array) {
    this.view = new DataView(image.buffer, image.byteOffset, image.length);
    this.blockBytes = XfsStructures.blockBytes(image);
  }

  static blockBytes(image: Uint8Array): number {
    return new DataView(image.buffer, image.byteOffset).getUint32(SB.blocksize.at);
  }

  all(): readonly DiskStructure[] {
    const lab = new FileSystemLab(this.image.slice());
    lab.disk.isReadOnly = true;
    const fileSystem = lab.mount('xfs');
    for (const range of layoutOf(lab, fileSystem)) this.range(range);
    lab.unmount(fileSystem);
    return this.list;
  }

  private range(range: BlockRange): void {
    const { use, deviceBlock, count } = range;
    if (use === 'superblock') this.headers(deviceBlock * this.blockBytes);
    else if (use === 'journal') this.log(range);
    for (let block = deviceBlock; block < deviceBlock + count; block++) {
      const byte = block * this.blockBytes;
      if (use === 'tree') this.tree(byte);
      else if (use === 'map') this.map(byte, range);
      else if (use === 'inodes') this.inodes(byte);
    }
    if (use === 'directory') this.directory(range);
  }

  private add(
    name: string,
    byte: number,
    lengthBytes: number,
    fields: readonly DiskField[],
    crcAt: number | null,
  ): void {
    const seal = crcAt === null ? null : sealer(byte, lengthBytes, crcAt);
    this.list.push({ name, byte, lengthBytes, fields, seal });
  }

  private headers(byte: number): void {
    const sector = this.view.getUint16(SB.sectsize.at);
    const at = (index: number): number => byte + index * sector;
    const name = (what: string): string => `${what} at ${String(byte)}`;
    this.add(name('superblock'), at(0), sector, fieldsOf(SB, 264), SB.crc.at);
    this.add(name('AGF'), at(1), sector, fieldsOf(AGF, 224), AGF.crc.at);
    this.add(name('AGI'), at(2), sector, fieldsOf(AGI, 344), AGI.crc.at);
    const list = [...fieldsOf(AGFL, 36), ...words('bno', 36, 40)];
    this.add(name('AGFL'), at(3), sector, list, AGFL.crc.at);
  }

  private log({ deviceBlock }: BlockRange): void {
    this.add('log', deviceBlock * this.blockBytes, 1024, words('log', 0, 64), null);
  }

  private tree(byte: number): void {
    const fields = [...fieldsOf(SHORT_BLOCK, 56), ...words('recs', 56, 64)];
    this.add(`tree block at ${String(byte)}`, byte, this.blockBytes, fields, SHORT_BLOCK.crc.at);
  }

  private map(byte: number, { inodeNumber }: BlockRange): void {
    const fields = [...fieldsOf(LONG_BLOCK, 72), ...words('recs', 72, 64)];
    const name = `bmbt block of inode ${String(inodeNumber)}`;
    this.add(name, byte, this.blockBytes, fields, LONG_BLOCK.crc.at);
  }

  private inodes(block: number): void {
    const inodeBytes = this.view.getUint16(SB.inodesize.at);
    for (let byte = block; byte < block + this.blockBytes; byte += inodeBytes) {
      if (this.view.getUint16(byte + INODE.mode.at) === 0) continue;
      const own = [...fieldsOf(INODE, 100), ...fieldsOf(INODE3, 176), ...words('u3', 176, 96)];
      this.add(`inode at ${String(byte)}`, byte, inodeBytes, own, INODE3.crc.at);
    }
  }

  private directory({ deviceBlock, count, inodeNumber }: BlockRange): void {
    const each = 2 ** this.view.getUint8(SB.dirblklog.at);
    for (let block = deviceBlock; block + each <= deviceBlock + count; block += each) {
      const byte = block * this.blockBytes;
      const isData = this.image[byte] === 0x58 && this.image[byte + 1] === 0x44;
      const name = `directory block at ${String(byte)} of inode ${String(inodeNumber)}`;
      const fields = [...words('hdr', 0, 64), ...words('entries', 64, 96)];
      this.add(name, byte, this.blockBytes * each, fields, isData ? 4 : 12);
    }
  }
}

function layoutOf(lab: FileSystemLab, fileSystem: MountedFileSystem): readonly BlockRange[] {
  if (fileSystem.layout === undefined) throw new Error('XFS says nothing of its blocks');
  return expectOk(lab.run(fileSystem.layout()));
}
