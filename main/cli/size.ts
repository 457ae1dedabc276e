// SPDX-License-Identifier: GPL-2.0-only
/** Sizes and counts as people type them: '64m', '4k', '1GiB', '4096'. */
import { HostError } from '../../engine/base/index.ts';

const POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/**
 * Bytes of a size. A bare letter and KiB, MiB.. are powers of 1024 (fio's rule); kB, MB.. are powers of 1000. `option` names what
 * was being set, for the error (exit code 64).
 */
export function parseSizeBytes(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?$/i.exec(text.trim());
  const power = POWERS[(match?.[2] ?? '').toLowerCase()] ?? 0;
  const isDecimal = match?.[3]?.toLowerCase() === 'b' && power > 0;
  const value = match === null ? NaN : Number(match[1]) * (isDecimal ? 1000 : 1024) ** power;
  if (!Number.isSafeInteger(value)) {
    throw new HostError({
      code: 'usage.size',
      message: `${option} wants a size in whole bytes, not '${text}'`,
      where: option,
      hint: 'Write bytes, or a number with k, m, g or t (powers of 1024): 4096, 4k, 64m, 1.5g.',
      exitCode: 64,
    });
  }
  return value;
}

/** A whole number in a range; exit code 64 where it is not. */
export function parseWhole(text: string, option: string, min: number, max: number): number {
  const value = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new HostError({
      code: 'usage.number',
      message: `${option} wants a whole number, not '${text}'`,
      where: option,
      hint: `From ${String(min)} to ${String(max)}.`,
      exitCode: 64,
    });
  }
  return value;
}
