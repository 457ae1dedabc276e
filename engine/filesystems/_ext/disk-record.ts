// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one reader of on-disk structures: every access is checked against the structure's own bounds, and every refusal names the
 * structure, its block and the field.
 */
import { HostError } from '../../base/index.ts';

export class DiskRecord {
  private readonly view: DataView;

  /** `structure` as people call it ('superblock', 'group descriptor 3'); `deviceBlock` where it lies. */
  constructor(
    readonly structure: string,
    readonly deviceBlock: number,
    bytes: Uint8Array,
    offsetBytes: number,
    readonly lengthBytes: number,
  ) {
    if (offsetBytes < 0 || offsetBytes + lengthBytes > bytes.length) {
      throw damaged(
        structure,
        deviceBlock,
        'end',
        offsetBytes + lengthBytes,
        `at most ${String(bytes.length)}`,
      );
    }
    this.view = new DataView(bytes.buffer, bytes.byteOffset + offsetBytes, lengthBytes);
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
  setU8(offset: number, value: number): void {
    this.view.setUint8(this.checked(offset, 1), value);
  }
  setU16(offset: number, value: number): void {
    this.view.setUint16(this.checked(offset, 2), value, true);
  }
  setU32(offset: number, value: number): void {
    this.view.setUint32(this.checked(offset, 4), value, true);
  }
  /** A view of `length` bytes. */
  bytes(offset: number, length: number): Uint8Array {
    if (length > 0) this.checked(offset + length - 1, 1);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + offset, length);
  }

  /** Reads a number and refuses it outside `min`..`max`. */
  u32Within(field: string, offset: number, min: number, max: number): number {
    const value = this.u32(offset);
    if (value < min || value > max) {
      throw this.damaged(field, value, `${String(min)} to ${String(max)}`);
    }
    return value;
  }

  damaged(field: string, found: number | string, expected: string): HostError {
    return damaged(this.structure, this.deviceBlock, field, found, expected);
  }

  private checked(offset: number, length: number): number {
    if (offset < 0 || offset + length > this.lengthBytes) {
      throw this.damaged(
        `byte ${String(offset)}`,
        'outside',
        `within ${String(this.lengthBytes)} bytes`,
      );
    }
    return offset;
  }
}

/** The error for content that cannot be. */
export function damaged(
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
    hint: 'Check a copy of the image with e2fsck -f.',
    exitCode: 65,
    data: { structure, block: deviceBlock, field, found, expected },
  });
}
