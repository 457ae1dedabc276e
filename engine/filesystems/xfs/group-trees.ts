// SPDX-License-Identifier: GPL-2.0-only
/** The headers and B+trees of an allocation group, read with every check (xfs_alloc.c: xfs_agf_verify; xfs_ialloc.c: xfs_agi_verify). */
import type { Task } from '../../base/index.ts';
import { AGF, AGFL, AGFL_HEADER_BYTES, AGI, LEVELS_MAX, MAGIC, type TreeKind } from './layout.ts';
import { damagedXfs, type XfsRecord } from './record.ts';
import type { XfsVolume } from './volume.ts';

export function* readFreeHeader(volume: XfsVolume, group: number): Task<XfsRecord> {
  const { hasCrc, uuid } = volume.geometry;
  const agf = yield* volume.header(group, 1, 'AGF');
  agf.magic(0, 'magicnum', MAGIC.agf);
  if (hasCrc) {
    agf.verifyCrc(AGF.crc.at);
    agf.verifyUuid(AGF.uuid.at, uuid);
  }
  agf.expectNumber('versionnum', agf.number(AGF.versionnum), 1);
  agf.expectNumber('seqno', agf.number(AGF.seqno), group);
  agf.expectNumber('length', agf.number(AGF.length), volume.groupLength(group));
  const room = freeListRoom(volume);
  agf.within(AGF.flfirst, 0, room - 1);
  agf.within(AGF.fllast, 0, room - 1);
  agf.within(AGF.flcount, 0, room);
  agf.within(AGF.freeblks, 0, volume.groupLength(group));
  return agf;
}

export function* readInodeHeader(volume: XfsVolume, group: number): Task<XfsRecord> {
  const { hasCrc, uuid } = volume.geometry;
  const agi = yield* volume.header(group, 2, 'AGI');
  agi.magic(0, 'magicnum', MAGIC.agi);
  if (hasCrc) {
    agi.verifyCrc(AGI.crc.at);
    agi.verifyUuid(AGI.uuid.at, uuid);
  }
  agi.expectNumber('versionnum', agi.number(AGI.versionnum), 1);
  agi.expectNumber('seqno', agi.number(AGI.seqno), group);
  agi.expectNumber('length', agi.number(AGI.length), volume.groupLength(group));
  return agi;
}

/** Entries that an AGFL has room for. */
export function freeListRoom(volume: XfsVolume): number {
  const { hasCrc, sectorBytes } = volume.geometry;
  return Math.floor((sectorBytes - (hasCrc ? AGFL_HEADER_BYTES : 0)) / 4);
}

/** The blocks of a group that are kept for its free-space trees. */
export function* readFreeList(volume: XfsVolume, group: number, agf: XfsRecord): Task<number[]> {
  const { hasCrc, uuid } = volume.geometry;
  const agfl = yield* volume.header(group, 3, 'AGFL');
  if (hasCrc) {
    agfl.magic(0, 'magicnum', MAGIC.agfl);
    agfl.verifyCrc(AGFL.crc.at);
    agfl.verifyUuid(AGFL.uuid.at, uuid);
    agfl.expectNumber('seqno', agfl.number(AGFL.seqno), group);
  }
  const first = agf.number(AGF.flfirst);
  const count = agf.number(AGF.flcount);
  const room = freeListRoom(volume);
  const blocks: number[] = [];
  for (let index = 0; index < count; index++) {
    const slot = (first + index) % room;
    const block = agfl.u32((hasCrc ? AGFL_HEADER_BYTES : 0) + slot * 4);
    volume.checkInGroup(agfl, `bno[${String(slot)}]`, group, block);
    blocks.push(block);
  }
  return blocks;
}

export interface TreeVisitor {
  /** A block of the tree, by its number in the group. */
  block(inGroup: number): void;
  /** A record of a leaf, at a byte of its block. */
  record(leaf: XfsRecord, at: number, index: number): void;
}

export interface TreeRoot {
  readonly group: number;
  readonly inGroup: number;
  /** Levels of the tree, as its header says: 1 is a root that is a leaf. */
  readonly levels: number;
  /** What holds the pointer to it. */
  readonly header: XfsRecord;
  readonly field: string;
}

/** Visits every block and every record of a tree. Each block is seen once, each level is one below its parent's. */
export function* walkTree(
  volume: XfsVolume,
  kind: TreeKind,
  root: TreeRoot,
  visitor: TreeVisitor,
): Task<void> {
  const { group, levels, header, field } = root;
  if (levels < 1 || levels > LEVELS_MAX) {
    throw header.damaged(field.replace('root', 'level'), levels, `1 to ${String(LEVELS_MAX)}`);
  }
  volume.checkInGroup(header, field, group, root.inGroup);
  const visited = new Set<number>();
  const stack: { inGroup: number; level: number }[] = [
    { inGroup: root.inGroup, level: levels - 1 },
  ];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { inGroup, level } = next;
    const deviceBlock = group * volume.geometry.groupBlocks + inGroup;
    if (visited.has(inGroup)) {
      const name = `${kind.id} of group ${String(group)}`;
      throw damagedXfs(
        name,
        deviceBlock,
        'ptrs',
        inGroup,
        'a block that is not in the tree already',
      );
    }
    visited.add(inGroup);
    visitor.block(inGroup);
    const block = yield* volume.shortBlock(kind, group, inGroup, level);
    const { record, count, headerBytes } = block;
    if (level === 0) {
      for (let index = 0; index < count; index++) {
        visitor.record(record, headerBytes + index * kind.recordBytes, index);
      }
      continue;
    }
    const room = Math.floor((record.bytes.length - headerBytes) / (kind.keyBytes + 4));
    for (let index = count - 1; index >= 0; index--) {
      const pointer = record.u32(headerBytes + room * kind.keyBytes + index * 4);
      volume.checkInGroup(record, `ptrs[${String(index + 1)}]`, group, pointer);
      stack.push({ inGroup: pointer, level: level - 1 });
    }
  }
}
