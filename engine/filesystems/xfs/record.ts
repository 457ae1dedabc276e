// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one reader of XFS structures: big endian, every access checked against the structure's own bounds, and every refusal names the
 * structure, its block and the field as xfs_db calls it. A table of fields (layout.ts) serves the checks and the hex view alike.
 */
import { HostError } from '../../base/index.ts';
import { crc32c } from '../_ext/checksum.ts';

export type FieldType =
  'u8' | 'u16' | 'u32' | 'u64' | 'hex32' | 'magic' | 'crc' | 'uuid' | 'text' | 'time' | 'lsn';

export interface Field {
  /** As xfs_db prints it. */
  readonly name: string;
  /** From the start of the structure. */
  readonly at: number;
  readonly type: FieldType;
  readonly lengthBytes: number;
}

const lengths: Readonly<Record<FieldType, number>> = {
  u8: 1, u16: 2, u32: 4, u64: 8, hex32: 4, magic: 4, crc: 4, uuid: 16, text: 12, time: 8, lsn: 8,
}; // prettier-ignore

/** A table of fields by name: `fieldTable({ magicnum: [0, 'magic'], ... })`. */
export function fieldTable<K extends string>(
  rows: Readonly<Record<K, readonly [number, FieldType, string?]>>,
): Readonly<Record<K, Field>> {
  const table = {} as Record<K, Field>;
  for (const key of Object.keys(rows) as K[]) {
    const [at, type, name] = rows[key];
    table[key] = { name: name ?? key, at, type, lengthBytes: lengths[type] };
  }
  return table;
}

/** The image could not be read where it had to be: not damage, an error of the device. */
export class XfsReadError extends Error {
  constructor(
    readonly deviceBlock: number,
    /** Minus an errno. */
    readonly errno: number,
  ) {
    super(`block ${String(deviceBlock)} cannot be read (${String(errno)})`);
  }
}

/** The error for content that cannot be. */
export function damagedXfs(
  structure: string,
  deviceBlock: number,
  field: string,
  found: number | string,
  expected: string,
): HostError {
  return new HostError({
    code: 'image.damaged',
    message: `${structure}: ${field} is ${String(found)}, expected ${expected}`,
    where: `${structure}, block ${String(deviceBlock)}, field ${field}`,
    hint: 'Check it with xfs_repair -n IMAGE, and repair a copy with xfs_repair.',
    exitCode: 65,
    data: { structure, block: deviceBlock, field, found, expected },
  });
}

export const hex = (value: number, digits = 8): string =>
  `0x${value.toString(16).padStart(digits, '0')}`;

export class XfsRecord {
  private readonly view: DataView;

  /** `structure` as people call it ('AGF of group 3'); `deviceBlock` where it begins; `bytes` all of it. */
  constructor(
    readonly structure: string,
    readonly deviceBlock: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(at: number): number {
    return this.view.getUint8(this.checked(at, 1));
  }
  u16(at: number): number {
    return this.view.getUint16(this.checked(at, 2));
  }
  u32(at: number): number {
    return this.view.getUint32(this.checked(at, 4));
  }
  /** 64 bits as a number; refused where it is beyond 2^53 and so no size or place of an image. */
  u64(at: number, field: string): number {
    const value = this.u32(at) * 2 ** 32 + this.u32(at + 4);
    if (!Number.isSafeInteger(value)) throw this.damaged(field, hex(value, 16), 'below 2^53');
    return value;
  }
  /** 64 bits as a number, rounded: for what may be anything (all ones is a null pointer). */
  u64Rounded(at: number): number {
    return this.u32(at) * 2 ** 32 + this.u32(at + 4);
  }
  /** A number by its field. */
  number(field: Field): number {
    if (field.lengthBytes === 1) return this.u8(field.at);
    if (field.lengthBytes === 2) return this.u16(field.at);
    return field.lengthBytes === 8 ? this.u64(field.at, field.name) : this.u32(field.at);
  }
  /** A number by its field, refused outside `min`..`max`. */
  within(field: Field, min: number, max: number): number {
    const value = this.number(field);
    if (value < min || value > max) {
      throw this.damaged(field.name, value, `${String(min)} to ${String(max)}`);
    }
    return value;
  }
  /** Refuses another magic number than one of these. */
  magic(at: number, name: string, ...expected: readonly number[]): number {
    const found = this.u32(at);
    if (expected.includes(found)) return found;
    throw this.damaged(name, hex(found), expected.map((one) => hex(one)).join(' or '));
  }
  slice(at: number, lengthBytes: number): Uint8Array {
    if (lengthBytes > 0) this.checked(at, lengthBytes);
    return this.bytes.subarray(at, at + lengthBytes);
  }
  /** A part of it as a structure of its own. */
  part(structure: string, at: number, lengthBytes: number): XfsRecord {
    this.checked(at, lengthBytes);
    return new XfsRecord(structure, this.deviceBlock, this.bytes.subarray(at, at + lengthBytes));
  }

  /** Refuses content whose crc32c, at `crcAt`, is not that of the rest. XFS keeps it little endian. */
  verifyCrc(crcAt: number): void {
    const stored = this.view.getUint32(this.checked(crcAt, 4), true);
    const computed = xfsCrc(this.bytes, crcAt);
    if (stored === computed) return;
    throw this.damaged('crc', hex(stored), `${hex(computed)}, which is that of its content`);
  }
  /** Refuses another UUID than the file system's: the block is of an older one. */
  verifyUuid(at: number, uuid: Uint8Array): void {
    const found = this.slice(at, 16);
    if (found.every((byte, index) => byte === uuid[index])) return;
    throw this.damaged('uuid', uuidText(found), uuidText(uuid));
  }
  /** Refuses a number that is not what it has to be: the block's own address, its owner, its group. */
  expectNumber(name: string, found: number, expected: number): void {
    if (found !== expected) throw this.damaged(name, found, String(expected));
  }

  damaged(field: string, found: number | string, expected: string): HostError {
    return damagedXfs(this.structure, this.deviceBlock, field, found, expected);
  }

  private checked(at: number, lengthBytes: number): number {
    if (at < 0 || at + lengthBytes > this.bytes.length) {
      throw this.damaged(
        `byte ${String(at)}`,
        'outside',
        `within ${String(this.bytes.length)} bytes`,
      );
    }
    return at;
  }
}

const ZEROS = new Uint8Array(4);

/** The crc32c of a structure, its own field counted as zeros. */
export function xfsCrc(bytes: Uint8Array, crcAt: number): number {
  let crc = crc32c(0xffffffff, bytes, 0, crcAt);
  crc = crc32c(crc, ZEROS);
  crc = crc32c(crc, bytes, crcAt + 4, bytes.length);
  return ~crc >>> 0;
}

export function uuidText(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]]
    .map(([from, to]) => digits.slice(from, to))
    .join('-'); // prettier-ignore
}
