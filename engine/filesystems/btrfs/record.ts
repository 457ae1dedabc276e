// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one reader of btrfs structures: every access is checked against the structure's own bounds, and every refusal names structure,
 * block and field. 64-bit numbers become doubles: above 2^53 the low bits are lost, which keeps their order, and where a number is used
 * as a place or a length such a value is out of range anyhow.
 */
import { HostError } from '../../base/index.ts';

export class BtrfsRecord {
  private readonly view: DataView;

  /** `structure` as people call it; `byte` is its logical address, or its place on the device where it has none. */
  constructor(
    readonly structure: string,
    readonly byte: number,
    readonly bytes: Uint8Array,
    private readonly start = 0,
    readonly lengthBytes = bytes.length - start,
  ) {
    if (start < 0 || lengthBytes < 0 || start + lengthBytes > bytes.length) {
      throw damaged(
        structure,
        byte,
        'size',
        lengthBytes,
        `at most ${String(bytes.length - start)}`,
      );
    }
    this.view = new DataView(bytes.buffer, bytes.byteOffset + start, lengthBytes);
  }

  u8(offset: number): number {
    return this.view.getUint8(this.checked(offset, 1));
  }
  u16(offset: number): number {
    return this.view.getUint16(this.checked(offset, 2), true);
  }
  u32(offset: number): number {
    return this.view.getUint32(this.checked(offset, 4), true);
  }
  u64(offset: number): number {
    this.checked(offset, 8);
    return this.view.getUint32(offset, true) + this.view.getUint32(offset + 4, true) * 2 ** 32;
  }
  slice(offset: number, lengthBytes: number): Uint8Array {
    this.checked(offset, lengthBytes);
    return this.bytes.subarray(this.start + offset, this.start + offset + lengthBytes);
  }
  /** Part of it as a structure of its own. */
  part(structure: string, offset: number, lengthBytes: number): BtrfsRecord {
    this.checked(offset, lengthBytes);
    return new BtrfsRecord(structure, this.byte, this.bytes, this.start + offset, lengthBytes);
  }
  /** A UUID as people write it. */
  uuid(offset: number): string {
    const hex = Array.from(this.slice(offset, 16), (byte) => byte.toString(16).padStart(2, '0'));
    return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  damaged(field: string, found: number | string, expected: string): HostError {
    return damaged(this.structure, this.byte, field, found, expected);
  }

  private checked(offset: number, lengthBytes: number): number {
    if (offset < 0 || lengthBytes < 0 || offset + lengthBytes > this.lengthBytes) {
      const within = `within ${String(this.lengthBytes)} bytes`;
      throw this.damaged(`byte ${String(offset)}`, 'outside', within);
    }
    return offset;
  }
}

/** The error for content that cannot be. */
export function damaged(
  structure: string,
  byte: number,
  field: string,
  found: number | string,
  expected: string,
): HostError {
  return new HostError({
    code: 'image.damaged',
    message: `btrfs ${structure}: ${field} is ${String(found)}, expected ${expected}`,
    where: `${structure}, byte ${String(byte)}, field ${field}`,
    hint: 'Check a copy of the image with btrfs check --readonly.',
    exitCode: 65,
    data: { structure, block: byte, field, found, expected },
  });
}

/** The error for what is sound and not known here. */
export function unsupported(
  structure: string,
  field: string,
  what: string,
  hint: string,
): HostError {
  return new HostError({
    code: 'image.unsupported-feature',
    message: `btrfs: ${what}`,
    where: `${structure}, field ${field}`,
    hint,
    exitCode: 65,
    data: { structure, field },
  });
}
