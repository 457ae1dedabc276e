// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one reader of structures on a FAT disk: every access is checked against the structure's own bounds, and every refusal names
 * the structure, its sector and the field.
 */
import { HostError } from '../../base/index.ts';

export class FatRecord {
  private readonly view: DataView;

  constructor(
    readonly structure: string,
    readonly sector: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
  damaged(field: string, found: number | string, expected: string): HostError {
    return damaged(this.structure, this.sector, field, found, expected);
  }

  private checked(offset: number, length: number): number {
    if (offset < 0 || offset + length > this.bytes.length) {
      const expected = `within ${String(this.bytes.length)} bytes`;
      throw this.damaged(`byte ${String(offset)}`, 'outside', expected);
    }
    return offset;
  }
}

/** The error for content that cannot be. */
export function damaged(
  structure: string,
  sector: number,
  field: string,
  found: number | string,
  expected: string,
): HostError {
  return new HostError({
    code: 'image.damaged',
    message: `${structure}: ${field} is ${String(found)}, expected ${expected}`,
    where: `${structure}, block ${String(sector)}, field ${field}`,
    hint: 'Check a copy of the image with fsck.fat -n.',
    exitCode: 65,
    data: { structure, block: sector, field, found, expected },
  });
}

/** The error for an image that is sound but not ours to use, or a device that does not let us. */
export function refusal(code: string, message: string, where: string, hint: string): HostError {
  return new HostError({ code, message, where, hint, exitCode: 65 });
}
