// SPDX-License-Identifier: GPL-2.0-only
/** Bytes as a person reads them: rows of sixteen with their characters, and which field of a structure each byte is of. Pure. */
import type { StructureField } from '../../../main/contract/types.ts';

export const BYTES_PER_ROW = 16;

export interface HexRow {
  readonly offsetBytes: number;
  readonly bytes: readonly string[];
  readonly characters: readonly string[];
}
/** A row of the dump; the last one may be short. */
export function hexRow(bytes: Uint8Array, row: number): HexRow {
  const offsetBytes = row * BYTES_PER_ROW;
  const part = bytes.subarray(offsetBytes, offsetBytes + BYTES_PER_ROW);
  return {
    offsetBytes,
    bytes: Array.from(part, (byte) => byte.toString(16).padStart(2, '0')),
    characters: Array.from(part, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·',
    ),
  };
}
export const rowCountOf = (bytes: Uint8Array): number => Math.ceil(bytes.length / BYTES_PER_ROW);
/** '00000fa0': at least four digits, as many as the largest needs. */
export function offsetText(offsetBytes: number, largestBytes: number): string {
  const digits = Math.max(4, Math.ceil(largestBytes.toString(16).length / 2) * 2);
  return offsetBytes.toString(16).padStart(digits, '0');
}
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
/** For each byte the field that it is of, the smallest where fields lie in one another; -1: of none. */
export function fieldOfBytes(fields: readonly StructureField[], lengthBytes: number): Int32Array {
  const owner = new Int32Array(lengthBytes).fill(-1);
  const order = fields
    .map((_, index) => index)
    .sort((a, b) => (fields[b]?.lengthBytes ?? 0) - (fields[a]?.lengthBytes ?? 0));
  for (const index of order) {
    const field = fields[index];
    if (field) owner.fill(index, field.offsetBytes, field.offsetBytes + field.lengthBytes);
  }
  return owner;
}
