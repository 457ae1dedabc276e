// SPDX-License-Identifier: GPL-2.0-only
/**
 * Quantities with their units as types, and every conversion between them. Conversions say how they round.
 * Rule: `index`, `count` and `size` never stand for each other; a sector is always 512 bytes (kernel `sector_t`).
 */

declare const unit: unique symbol;

/** A safe integer that carries its unit. Mixing two units is a compile error. */
export type Quantity<U extends string> = number & { readonly [unit]: U };
export type Bytes = Quantity<'byte'>;
/** Always 512 bytes, whatever the device's logical block size. */
export type Sectors = Quantity<'sector-512'>;
/** 2^inode.blockBits bytes. */
export type FsBlocks = Quantity<'fs-block'>;
/** 2^dio.blockBits bytes; between the device's logical block and the file system's block. */
export type DioBlocks = Quantity<'dio-block'>;
/** 4096 bytes. */
export type Pages = Quantity<'page'>;
export type Nanoseconds = Quantity<'ns'>;

export const SECTOR_BITS = 9;
export const SECTOR_BYTES = 512;
export const PAGE_BITS = 12;
export const PAGE_BYTES = 4096;
export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * 1024 * 1024;

export const bytes = (value: number): Bytes => value as Bytes;
export const sectors = (value: number): Sectors => value as Sectors;
export const nanoseconds = (value: number): Nanoseconds => value as Nanoseconds;

/** Exact: a sector is 512 bytes. */
export const sectorsToBytes = (value: Sectors): Bytes => (value * SECTOR_BYTES) as Bytes;
/** Rounds down to whole sectors. */
export const bytesToSectorsDown = (value: Bytes): Sectors =>
  Math.floor(value / SECTOR_BYTES) as Sectors;
/** Rounds up to whole pages. */
export const bytesToPagesUp = (value: Bytes): Pages => Math.ceil(value / PAGE_BYTES) as Pages;

/** `value` * 2^bits for values beyond 32 bits (shifts in JavaScript are 32 bits wide). */
export const shiftLeft = (value: number, bits: number): number => value * 2 ** bits;
/** floor(value / 2^bits), for values beyond 32 bits. */
export const shiftRight = (value: number, bits: number): number => Math.floor(value / 2 ** bits);
/** Rounds up to a multiple of `alignment` (any positive integer). */
export const alignUp = (value: number, alignment: number): number =>
  Math.ceil(value / alignment) * alignment;
/** Rounds down to a multiple of `alignment` (any positive integer). */
export const alignDown = (value: number, alignment: number): number =>
  Math.floor(value / alignment) * alignment;
export const isPowerOfTwo = (value: number): boolean =>
  Number.isSafeInteger(value) &&
  value > 0 &&
  (value <= 2 ** 30 ? (value & (value - 1)) === 0 : Math.log2(value) % 1 === 0);
