// SPDX-License-Identifier: GPL-2.0-only
/**
 * The on-disk layout of a journal (jbd2); all numbers big endian.
 *
 *   block 0          superblock
 *   block first ...  the log, a ring: | descriptor | its blocks ... | (revokes) | commit | descriptor | ...
 *   behind the log, with fast commits: their area
 *
 *   header of every block of the log's own: 0 magic 0xc03b3998   4 kind   8 sequence of the transaction
 *
 *   superblock, 1024 bytes
 *     0 header (kind 3, or 4 with what follows byte 36)  12 block size   16 blocks   20 first block of the log
 *    24 sequence expected first   28 block where the log starts, 0: it is empty   32 errno
 *    36 compat   40 incompat   44 ro_compat   48 uuid[16]   64 users   68 dynamic super   72 max transaction   76 max data
 *    80 checksum type u8   84 fast commit blocks   88 head   252 checksum   256 users' uuids
 *
 *   descriptor: header, tags, with checksums a tail of 4 bytes. A tag, by the features:
 *     plain:       0 block   4 checksum u16   6 flags u16   (8 block high with 64bit)
 *     checksum v3: 0 block   4 flags u32   8 block high   12 checksum
 *     and behind it, unless it says "same uuid", 16 bytes of uuid
 *   revoke: header, 12 bytes used in all, then block numbers of 4 or, with 64bit, 8 bytes; a tail of 4 bytes with checksums
 *   commit: header, 12 checksum type u8, 13 size u8, 16 checksum[8], 48 seconds u64, 56 nanoseconds
 */

export const JOURNAL_MAGIC = 0xc03b3998;
export const JOURNAL_SUPERBLOCK_BYTES = 1024;
export const JOURNAL_KIND = {
  descriptor: 1, commit: 2, superblockV1: 3, superblockV2: 4, revoke: 5,
} as const; // prettier-ignore

/** Offsets in the superblock of a journal. */
export const JS = {
  magic: 0, kind: 4, sequence: 8, blockSize: 12, blocks: 16, first: 20, startSequence: 24, start: 28,
  errno: 32, compat: 36, incompat: 40, roCompat: 44, uuid: 48, users: 64, checksumType: 80,
  fastCommitBlocks: 84, head: 88, checksum: 252,
} as const; // prettier-ignore

export const JOURNAL_COMPAT = { checksum: 1 } as const;
export const JOURNAL_INCOMPAT = {
  revoke: 0x1, '64bit': 0x2, async_commit: 0x4, csum_v2: 0x8, csum_v3: 0x10, fast_commit: 0x20,
} as const; // prettier-ignore
/** Flags of a tag: the block began with the magic number and had it taken out; no uuid follows; the block was freed; the last tag. */
export const TAG_FLAG = { escaped: 1, sameUuid: 2, deleted: 4, last: 8 } as const;
/** Fast commit blocks where the superblock says 0. */
export const FAST_COMMIT_BLOCKS_DEFAULT = 256;

/** The superblock of a new, empty journal (ext2fs_create_journal_superblock). */
export function newJournalSuperblock(
  blockBytes: number,
  blocks: number,
  uuid: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(JOURNAL_SUPERBLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(JS.magic, JOURNAL_MAGIC);
  view.setUint32(JS.kind, JOURNAL_KIND.superblockV2);
  view.setUint32(JS.blockSize, blockBytes);
  view.setUint32(JS.blocks, blocks);
  view.setUint32(JS.first, 1);
  view.setUint32(JS.startSequence, 1);
  view.setUint32(JS.users, 1);
  bytes.set(uuid, JS.uuid);
  return bytes;
}
