// SPDX-License-Identifier: GPL-2.0-only
/**
 * File names: bytes on disk, text in the lab. UTF-8; bytes that are not become lone surrogates U+DC80..U+DCFF, one a byte, so that
 * every name has a text and every such text its bytes again.
 */

function continuation(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  return byte !== undefined && (byte & 0xc0) === 0x80 ? byte & 0x3f : -1;
}

/** One character at `at`: [code point, bytes], or null where the bytes are no UTF-8. */
function decodeOne(bytes: Uint8Array, at: number): readonly [number, number] | null {
  const first = bytes[at] as number;
  if (first < 0x80) return [first, 1];
  const length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || first >= 0xf5) return null;
  let code = first & (0x7f >> length);
  for (let index = 1; index < length; index++) {
    const next = continuation(bytes, at + index);
    if (next < 0) return null;
    code = code * 64 + next;
  }
  const least = [0, 0, 0x80, 0x800, 0x10000][length] as number;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return null;
  return [code, length];
}

export function decodeName(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const one = decodeOne(bytes, at);
    text +=
      one === null
        ? String.fromCharCode(0xdc00 + (bytes[at] as number))
        : String.fromCodePoint(one[0]);
    at += one === null ? 1 : one[1];
  }
  return text;
}

export function encodeName(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
    else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63));
      bytes.push(0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
  }
  return Uint8Array.from(bytes);
}
