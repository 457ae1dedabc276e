// SPDX-License-Identifier: GPL-2.0-only
/**
 * Chunks: where logical bytes lie on the device (kernel: fs/btrfs/volumes.c). Known here are the profiles of one device.
 *
 *   single   one stripe      logical start + n  ->  stripe 0 + n
 *   DUP      two stripes     the same, twice: content is read from the first, a node whose checksum is wrong from the second
 *
 * The chunks of the chunk tree itself are in the superblock (system chunk array); the tree has them all.
 */
import type { BtrfsRecord } from './record.ts';
import { unsupported } from './record.ts';
import { CHUNK, CHUNK_PROFILES, CHUNK_TYPE } from './layout.ts';

export interface Chunk {
  readonly startByte: number;
  readonly lengthBytes: number;
  /** `CHUNK_TYPE` bits. */
  readonly type: number;
  /** Where its stripes begin on the device: one, or two of the same content. */
  readonly stripes: readonly number[];
}

/** Physical place of logical bytes. */
export interface Place {
  readonly byte: number;
  /** The second copy; null: there is none. */
  readonly copyByte: number | null;
  /** Bytes up to the end of the chunk. */
  readonly lengthBytes: number;
}

export interface ChunkLimits {
  readonly deviceId: number;
  readonly deviceBytes: number;
  readonly sectorBytes: number;
}

/** A chunk item; refuses profiles and places that cannot be. Throws `HostError`. */
export function readChunk(record: BtrfsRecord, startByte: number, limits: ChunkLimits): Chunk {
  const lengthBytes = record.u64(CHUNK.lengthBytes);
  const { sectorBytes } = limits;
  if (lengthBytes === 0 || lengthBytes % sectorBytes !== 0 || startByte % sectorBytes !== 0) {
    throw record.damaged('length', lengthBytes, 'whole sectors at a whole sector');
  }
  if (startByte + lengthBytes > Number.MAX_SAFE_INTEGER) {
    throw record.damaged('length', lengthBytes, 'an end below 2^53');
  }
  const type = record.u32(CHUNK.type);
  for (const [bit, name] of CHUNK_PROFILES) {
    if ((type & bit) === 0) continue;
    const hint =
      'Balance a copy to single or DUP: btrfs balance start -dconvert=single -mconvert=dup.';
    throw unsupported(record.structure, 'type', `a chunk has the profile ${name}`, hint);
  }
  const stripeCount = record.u16(CHUNK.stripeCount);
  const wanted = (type & CHUNK_TYPE.dup) !== 0 ? 2 : 1;
  if (stripeCount !== wanted) throw record.damaged('num_stripes', stripeCount, String(wanted));
  if ((type & 7) === 0) throw record.damaged('type', type, 'data, metadata or system');
  const stripes = Array.from({ length: stripeCount }, (_, index) =>
    readStripe(record, CHUNK.stripes + index * CHUNK.stripeBytes, lengthBytes, limits),
  );
  return { startByte, lengthBytes, type, stripes };
}

function readStripe(
  record: BtrfsRecord,
  at: number,
  lengthBytes: number,
  { deviceId, deviceBytes, sectorBytes }: ChunkLimits,
): number {
  const id = record.u64(at);
  if (id !== deviceId) {
    throw record.damaged('stripe devid', id, `${String(deviceId)}, the only device`);
  }
  const byte = record.u64(at + 8);
  if (byte % sectorBytes !== 0 || byte + lengthBytes > deviceBytes) {
    throw record.damaged(
      'stripe offset',
      byte,
      `inside the ${String(deviceBytes)} bytes of the device`,
    );
  }
  return byte;
}

export class ChunkMap {
  private readonly chunks: Chunk[] = [];
  /** The chunk of the last look-up: nearly always the next one's, too. */
  private last: Chunk | null = null;

  get all(): readonly Chunk[] {
    return this.chunks;
  }

  /** Takes a chunk in; false where its logical bytes overlap another one's and are not the very same chunk. */
  add(chunk: Chunk): boolean {
    const at = this.indexBehind(chunk.startByte);
    const before = this.chunks[at - 1];
    const after = this.chunks[at];
    if (before?.startByte === chunk.startByte) {
      return before.lengthBytes === chunk.lengthBytes && before.stripes[0] === chunk.stripes[0];
    }
    if (before !== undefined && before.startByte + before.lengthBytes > chunk.startByte)
      return false;
    if (after !== undefined && chunk.startByte + chunk.lengthBytes > after.startByte) return false;
    this.chunks.splice(at, 0, chunk);
    return true;
  }

  /** Null: no chunk has this byte. */
  find(logicalByte: number): Place | null {
    let chunk = this.last;
    const isLast =
      chunk !== null &&
      logicalByte >= chunk.startByte &&
      logicalByte < chunk.startByte + chunk.lengthBytes;
    if (!isLast) chunk = this.chunks[this.indexBehind(logicalByte) - 1] ?? null;
    if (chunk === null) return null;
    const within = logicalByte - chunk.startByte;
    if (!(within >= 0 && within < chunk.lengthBytes)) return null;
    this.last = chunk;
    const [first, second] = chunk.stripes;
    return {
      byte: (first as number) + within,
      copyByte: second === undefined ? null : second + within,
      lengthBytes: chunk.lengthBytes - within,
    };
  }

  /** The logical byte that lies at a byte of the device; null: none. */
  logicalAt(deviceByte: number): number | null {
    for (const { startByte, lengthBytes, stripes } of this.chunks) {
      for (const stripe of stripes) {
        if (deviceByte >= stripe && deviceByte < stripe + lengthBytes) {
          return startByte + deviceByte - stripe;
        }
      }
    }
    return null;
  }

  /** How many chunks start at or before the byte. */
  private indexBehind(logicalByte: number): number {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.chunks[middle] as Chunk).startByte <= logicalByte) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
