// SPDX-License-Identifier: GPL-2.0-only
/** Bits of a bitmap block; bit 0 is the lowest of byte 0. Set: in use. */

export function testBit(bytes: Uint8Array, bit: number): boolean {
  return ((bytes[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
}
export function setBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
}
export function clearBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) & ~(1 << (bit & 7));
}

/** First clear bit in `from`..`end` - 1, or -1. */
export function findClear(bytes: Uint8Array, from: number, end: number): number {
  let bit = from;
  while (bit < end) {
    const byte = bytes[bit >> 3] as number;
    if (byte === 0xff) {
      bit = ((bit >> 3) + 1) << 3;
      continue;
    }
    if ((byte & (1 << (bit & 7))) === 0) return bit;
    bit++;
  }
  return -1;
}

/** First byte-aligned bit at or after `from` with its whole byte clear, or -1. */
export function findClearByte(bytes: Uint8Array, from: number, end: number): number {
  for (let at = (from + 7) >> 3; (at + 1) << 3 <= end; at++) {
    if (bytes[at] === 0) return at << 3;
  }
  return -1;
}

const ones = Uint8Array.from({ length: 256 }, (_, value) => {
  let count = 0;
  for (let bit = 0; bit < 8; bit++) count += (value >> bit) & 1;
  return count;
});

/** Set bits in 0..`end` - 1. */
export function countSet(bytes: Uint8Array, end: number): number {
  let count = 0;
  const whole = end >> 3;
  for (let at = 0; at < whole; at++) count += ones[bytes[at] as number] as number;
  if ((end & 7) !== 0) count += ones[(bytes[whole] as number) & ((1 << (end & 7)) - 1)] as number;
  return count;
}
