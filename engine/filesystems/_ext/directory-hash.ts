// SPDX-License-Identifier: GPL-2.0-only
/**
 * Hashes of names in directory indexes (fs/ext4/hash.c): legacy, half MD4, TEA; each with bytes taken as signed or as unsigned, as the
 * machine that made the file system had its characters.
 *
 * A hash is 32 bits unsigned with its lowest bit 0; the index uses that bit to say "the run of this hash goes on in the next block".
 */

export const HASH_VERSION = { legacy: 0, halfMd4: 1, tea: 2 } as const;
/** Added to the version where bytes are unsigned. */
export const HASH_UNSIGNED = 3;

/** The last hash is the end mark of readdir's position; names do not get it. */
const HASH_END = 0xfffffffe;
const HASH_LAST = 0xfffffffc;

const MD4_START: readonly number[] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
const MD4_K2 = 0x5a827999;
const MD4_K3 = 0x6ed9eba1;
const TEA_DELTA = 0x9e3779b9;
const TEA_ROUNDS = 16;

export interface HashSettings {
  /** `HASH_VERSION`, plus `HASH_UNSIGNED`. */
  readonly version: number;
  /** s_hash_seed as four little-endian words; all 0: none. */
  readonly seed: Uint32Array;
}

/** Null: a version that this code does not know. */
export function hashName(name: Uint8Array, settings: HashSettings): number | null {
  const isUnsigned = settings.version >= HASH_UNSIGNED;
  const version = settings.version - (isUnsigned ? HASH_UNSIGNED : 0);
  const state = Uint32Array.from(
    settings.seed.some((word) => word !== 0) ? settings.seed : MD4_START,
  );
  let hash: number;
  if (version === HASH_VERSION.legacy) hash = legacyHash(name, isUnsigned);
  else if (version === HASH_VERSION.halfMd4) hash = halfMd4(name, state, isUnsigned);
  else if (version === HASH_VERSION.tea) hash = tea(name, state, isUnsigned);
  else return null;
  hash = (hash & ~1) >>> 0;
  return hash === HASH_END ? HASH_LAST : hash;
}

function byteAt(name: Uint8Array, at: number, isUnsigned: boolean): number {
  const byte = name[at] as number;
  return isUnsigned || byte < 128 ? byte : byte - 256;
}

/** dx_hack_hash */
function legacyHash(name: Uint8Array, isUnsigned: boolean): number {
  let before = 0x37abe8f9;
  let hash = 0x12a3fe2d;
  for (let at = 0; at < name.length; at++) {
    const product = Math.imul(byteAt(name, at, isUnsigned), 7152373);
    let next = (before + (hash ^ product)) >>> 0;
    if (next >= 0x80000000) next -= 0x7fffffff;
    before = hash;
    hash = next;
  }
  return (hash << 1) >>> 0;
}

const words = new Int32Array(8);

/** str2hashbuf: `count` words from the name at `from`, what is missing filled with its length. */
function takeWords(name: Uint8Array, from: number, count: number, isUnsigned: boolean): void {
  const left = name.length - from;
  const half = left | (left << 8);
  const pad = half | (half << 16);
  const length = Math.min(left, count * 4);
  let value = pad;
  let filled = 0;
  for (let at = 0; at < length; at++) {
    value = (byteAt(name, from + at, isUnsigned) + (value << 8)) | 0;
    if (at % 4 === 3) {
      words[filled++] = value;
      value = pad;
    }
  }
  if (filled < count) words[filled++] = value;
  while (filled < count) words[filled++] = pad;
}

type Mix = (x: number, y: number, z: number) => number;
const choose: Mix = (x, y, z) => z ^ (x & (y ^ z));
const majority: Mix = (x, y, z) => ((x & y) + ((x ^ y) & z)) | 0;
const parity: Mix = (x, y, z) => x ^ y ^ z;

/** The three rounds: how to mix, what to add, by how much to turn, in which order the words come. */
const MD4_ROUNDS: readonly (readonly [Mix, number, readonly number[], readonly number[]])[] = [
  [choose, 0, [3, 7, 11, 19], [0, 1, 2, 3, 4, 5, 6, 7]],
  [majority, MD4_K2, [3, 5, 9, 13], [1, 3, 5, 7, 0, 2, 4, 6]],
  [parity, MD4_K3, [3, 9, 11, 15], [3, 7, 2, 6, 1, 5, 0, 4]],
];

function halfMd4(name: Uint8Array, state: Uint32Array, isUnsigned: boolean): number {
  for (let from = 0; from < name.length; from += 32) {
    takeWords(name, from, 8, isUnsigned);
    let [a, b, c, d] = state as unknown as [number, number, number, number];
    for (const [mix, constant, turns, order] of MD4_ROUNDS) {
      for (let step = 0; step < 8; step++) {
        const word = words[order[step] as number] as number;
        const sum = (a + mix(b, c, d) + word + constant) | 0;
        const turn = turns[step % 4] as number;
        const turned = (sum << turn) | (sum >>> (32 - turn));
        [a, b, c, d] = [d, turned, b, c];
      }
    }
    state[0] = (state[0] as number) + a;
    state[1] = (state[1] as number) + b;
    state[2] = (state[2] as number) + c;
    state[3] = (state[3] as number) + d;
  }
  return state[1] as number;
}

function tea(name: Uint8Array, state: Uint32Array, isUnsigned: boolean): number {
  for (let from = 0; from < name.length; from += 16) {
    takeWords(name, from, 4, isUnsigned);
    const [k0, k1, k2, k3] = words as unknown as [number, number, number, number];
    let first = state[0] as number;
    let second = state[1] as number;
    let sum = 0;
    for (let round = 0; round < TEA_ROUNDS; round++) {
      sum = (sum + TEA_DELTA) | 0;
      first = (first + (((second << 4) + k0) ^ (second + sum) ^ ((second >>> 5) + k1))) | 0;
      second = (second + (((first << 4) + k2) ^ (first + sum) ^ ((first >>> 5) + k3))) | 0;
    }
    state[0] = (state[0] as number) + first;
    state[1] = (state[1] as number) + second;
  }
  return state[0] as number;
}
