// SPDX-License-Identifier: GPL-2.0-only
/**
 * Numbers for people, always with their unit: used by verdicts, reports and faces alike. Thousands are apart by a thin space, a unit by
 * a narrow no-break space. MB is 10^6 and MiB 2^20; here bytes are always binary, and say so.
 */

const THIN = '\u2009';
const BEFORE_UNIT = '\u202f';

/** 12 345.6 with `digits` decimals at most; no unit. */
export function numberText(value: number, digits = 0): string {
  if (!Number.isFinite(value)) return String(value);
  const [whole = '0', rest] = Math.abs(value).toFixed(digits).split('.');
  const decimals = rest === undefined ? '' : rest.replace(/0+$/, '');
  const grouped = whole.length < 5 ? whole : whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  const sign = value < 0 && Number(`${whole}.${rest ?? '0'}`) !== 0 ? '\u2212' : '';
  return `${sign}${grouped}${decimals === '' ? '' : `.${decimals}`}`;
}

/** Three significant digits at least, no more decimals than say something. */
function scaled(value: number, unit: string): string {
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2;
  return `${numberText(value, digits)}${BEFORE_UNIT}${unit}`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** 4 KiB, 1.5 GiB; exact where the value is a whole number of the unit. */
export function bytesText(value: number): string {
  let index = 0;
  let size = value;
  while (Math.abs(size) >= 1024 && index < BYTE_UNITS.length - 1) {
    size /= 1024;
    index++;
  }
  const unit = BYTE_UNITS[index] as string;
  return Number.isInteger(size) ? `${numberText(size)}${BEFORE_UNIT}${unit}` : scaled(size, unit);
}

/** 482 MiB/s */
export const bandwidthText = (bytesPerSecond: number): string =>
  `${bytesText(Math.round(bytesPerSecond))}/s`;

/** 83.5 µs, 1.2 ms, 12 s, 3 min 5 s */
export function durationText(valueNs: number): string {
  const size = Math.abs(valueNs);
  if (size < 1000) return scaled(Math.round(valueNs), 'ns');
  if (size < 999_500) return scaled(valueNs / 1e3, 'µs');
  if (size < 999_500_000) return scaled(valueNs / 1e6, 'ms');
  if (size < 60e9) return scaled(valueNs / 1e9, 's');
  const seconds = Math.round(size / 1e9);
  const rest = seconds % 60 === 0 ? '' : ` ${String(seconds % 60)}${BEFORE_UNIT}s`;
  return `${valueNs < 0 ? '\u2212' : ''}${String(Math.floor(seconds / 60))}${BEFORE_UNIT}min${rest}`;
}

/** 99.2 % of `part` in `whole`; 0 % of nothing. */
export const percentText = (part: number, whole: number): string =>
  `${numberText(whole === 0 ? 0 : (part / whole) * 100, 1)}${BEFORE_UNIT}%`;

/** '1 request', '12 345 requests' */
export const countText = (count: number, one: string, many = `${one}s`): string =>
  `${numberText(count)} ${count === 1 ? one : many}`;
