// SPDX-License-Identifier: GPL-2.0-only
/**
 * Symbolic links (xfs_symlink_remote.c): in the inode, or in blocks of their own. With checksums every extent of such a link begins
 * with a header of 56 bytes: magic, offset, bytes, crc, uuid, owner, address.
 */
import type { Task } from '../../base/index.ts';
import { decodeName } from '../_ext/text.ts';
import type { ExtentList } from './extent-list.ts';
import type { InodeRecord } from './inode.ts';
import { FORK_FORMAT, MAGIC } from './layout.ts';
import { XfsRecord } from './record.ts';
import type { XfsVolume } from './volume.ts';

/** XFS_SYMLINK_MAXLEN */
const LINK_BYTES_MAX = 1024;
const HEADER = {
  offset: 4,
  lengthBytes: 8,
  crc: 12,
  uuid: 16,
  owner: 32,
  bno: 40,
  bytes: 56,
} as const;

/** Where the link points. Throws `HostError`. */
export function* readSymlink(
  volume: XfsVolume,
  inode: InodeRecord,
  extents: ExtentList,
): Task<string> {
  const { sizeBytes, record } = inode;
  if (sizeBytes < 1 || sizeBytes > LINK_BYTES_MAX) {
    throw record.damaged('core.size', sizeBytes, `1 to ${String(LINK_BYTES_MAX)} for a link`);
  }
  if (inode.data.format === FORK_FORMAT.local) {
    return decodeName(inode.data.literal.slice(0, sizeBytes));
  }
  const target = new Uint8Array(sizeBytes);
  let filled = 0;
  for (let index = 0; index < extents.count && filled < sizeBytes; index++) {
    const part = yield* linkPart(volume, inode, extents, index, filled);
    const taken = part.subarray(0, sizeBytes - filled);
    target.set(taken, filled);
    filled += taken.length;
  }
  if (filled < sizeBytes) {
    throw record.damaged('core.size', sizeBytes, `${String(filled)}, as long as its blocks say`);
  }
  return decodeName(target);
}

function* linkPart(
  volume: XfsVolume,
  inode: InodeRecord,
  extents: ExtentList,
  index: number,
  offset: number,
): Task<Uint8Array> {
  const first = extents.deviceBlocks[index] as number;
  const count = Math.abs(extents.lengths[index] as number);
  const { blockBytes, hasCrc, uuid } = volume.geometry;
  const name = `symlink block of inode ${String(inode.inodeNumber)}`;
  if (count * blockBytes > LINK_BYTES_MAX * 4 + blockBytes) {
    throw inode.record.damaged('u3.bmx[0].blockcount', count, 'as long as a link can be');
  }
  const blocks = Array.from({ length: count }, (_, at) => first + at);
  const record = new XfsRecord(name, first, yield* volume.joined(blocks));
  if (!hasCrc) return record.bytes;
  record.magic(0, 'magic', MAGIC.symlink);
  record.verifyCrc(HEADER.crc);
  record.verifyUuid(HEADER.uuid, uuid);
  record.expectNumber('owner', record.u64(HEADER.owner, 'owner'), inode.inodeNumber);
  record.expectNumber('bno', record.u64(HEADER.bno, 'bno'), volume.addressOf(first));
  record.expectNumber('offset', record.u32(HEADER.offset), offset);
  const lengthBytes = record.u32(HEADER.lengthBytes);
  if (lengthBytes < 1 || lengthBytes > record.bytes.length - HEADER.bytes) {
    throw record.damaged(
      'bytes',
      lengthBytes,
      `1 to ${String(record.bytes.length - HEADER.bytes)}`,
    );
  }
  return record.slice(HEADER.bytes, lengthBytes);
}
