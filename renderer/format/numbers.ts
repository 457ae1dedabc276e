// SPDX-License-Identifier: GPL-2.0-only
/**
 * Numbers for people: value and unit apart, thin spaces between thousands, never more digits than are known. Pure.
 * `Shown.unit` is empty only for plain counts. Bytes are exact: KiB is 1024 bytes, and a size that is not a whole number of a unit
 * is shown in bytes.
 */

/** U+2009; between thousands. */
export const THIN_SPACE = '\u2009';
/** What stands where a number is not known. */
export const NONE = '–';

export interface Shown {
  readonly value: string;
  readonly unit: string;
}
const shown = (value: string, unit: string): Shown => ({ value, unit });
const nothing = (unit: string): Shown => shown(NONE, unit);

/** Groups the integer digits by three: '1300908.5' gives '1 300 908.5' with thin spaces. */
export function groupThousands(digits: string): string {
  const [whole = '', fraction] = digits.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE);
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A whole number, rounded half up. */
export const formatCount = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value)
    ? NONE
    : groupThousands(String(Math.round(value)).replace('-', '\u2212'));

/** At least `digits` significant digits; integers are kept whole. */
export function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  // Rounded first: 0.9999 has the magnitude of the 1.00 that it is shown as.
  const rounded = Number(Math.abs(value).toPrecision(digits));
  const magnitude = Math.floor(Math.log10(rounded));
  const decimals = Math.max(0, digits - 1 - magnitude);
  return groupThousands(value.toFixed(Math.min(decimals, 9)));
}

const TIME_UNITS: readonly (readonly [number, string])[] = [
  [1, 'ns'],
  [1e3, 'µs'],
  [1e6, 'ms'],
  [1e9, 's'],
];

/** A latency: three significant digits in the unit that fits. */
export function formatLatency(ns: number | null | undefined): Shown {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return nothing('µs');
  let unit = TIME_UNITS[0] as readonly [number, string];
  for (const candidate of TIME_UNITS) if (Math.abs(ns) >= candidate[0] * 0.9995) unit = candidate;
  const value = ns / unit[0];
  return shown(unit[0] === 1 ? formatCount(value) : significant(value, 3), unit[1]);
}

/** A length of time as on a clock: '12.4 s', '3 min 20 s', '2 h 05 min'. */
export function formatElapsed(ns: number | null | undefined): string {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return NONE;
  const seconds = ns / 1e9;
  if (seconds < 1) return joinShown(formatLatency(ns));
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${String(minutes)} min ${String(whole % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, '0')} min`;
}

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A size that is known to the byte: in the largest unit that divides it, else in bytes. 4096 is '4 KiB', 1536 is '1 536 B'. */
export function formatExactBytes(bytes: number | null | undefined): Shown {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return nothing('B');
  let index = 0;
  let value = bytes;
  while (value !== 0 && value % 1024 === 0 && index < BINARY_UNITS.length - 1) {
    value /= 1024;
    index += 1;
  }
  return shown(formatCount(value), BINARY_UNITS[index] as string);
}

/** A size to read at a glance: three significant digits in the unit that fits. */
export function formatBytes(bytes: number | null | undefined, digits = 3): Shown {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return nothing('B');
  let index = 0;
  let value = bytes;
  while (Math.abs(value) >= 1023.995 && index < BINARY_UNITS.length - 1) {
    value /= 1024;
    index += 1;
  }
  const unit = BINARY_UNITS[index] as string;
  if (index === 0 || Number.isInteger(value)) return shown(formatCount(value), unit);
  return shown(significant(value, digits), unit);
}

/** Bytes a second, four significant digits. */
export function formatBandwidth(bytesPerSecond: number | null | undefined): Shown {
  const { value, unit } = formatBytes(bytesPerSecond, 4);
  return shown(value, value === NONE ? 'MiB/s' : `${unit}/s`);
}

/** Operations a second: whole above 100, else three significant digits. */
export function formatIops(iops: number | null | undefined): string {
  if (iops === null || iops === undefined || !Number.isFinite(iops)) return NONE;
  return iops === 0 || Math.abs(iops) >= 100 ? formatCount(iops) : significant(iops, 3);
}

export const formatPercent = (percent: number | null | undefined): string =>
  percent === null || percent === undefined || !Number.isFinite(percent)
    ? NONE
    : `${percent.toFixed(percent < 10 && percent > 0 ? 1 : 0)} %`;

/** Value and unit with a no-break space between; the value alone where there is no unit. */
export const joinShown = ({ value, unit }: Shown): string =>
  unit === '' ? value : `${value}\u00a0${unit}`;

const SUFFIX_BITS: Readonly<Record<string, number>> = { '': 0, k: 10, m: 20, g: 30, t: 40 };

/**
 * Reads a size as people write it: '4k', '4 KiB', '1.5g', '1 536', '4096 B'. Powers of 1024, as fio has it. Null where it is none, or
 * not a whole number of bytes.
 */
export function parseBytes(text: string): number | null {
  const match = /^([+-]?[\d\s\u2009\u202f]*\.?\d+)\s*([kmgt]?)(?:i?b)?$/i.exec(
    text.trim().replace('\u2212', '-'),
  );
  if (!match) return null;
  const value = Number((match[1] as string).replace(/[\s\u2009\u202f]/g, ''));
  const bytes = value * 2 ** (SUFFIX_BITS[(match[2] as string).toLowerCase()] as number);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Reads seconds: '20', '20 s', '5 min', '1h', '500ms'. Null where it is none. */
export function parseSeconds(text: string): number | null {
  const match = /^(\d*\.?\d+)\s*(ms|s|m|min|h)?$/i.exec(text.trim());
  if (!match) return null;
  const factor = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 }[(match[2] ?? 's').toLowerCase()];
  return factor === undefined ? null : Number(match[1]) * factor;
}

export interface SizeShare {
  readonly sizeBytes: number;
  readonly percent: number;
}

/** Short form of an exact size for a split: '4k', '1536'. */
const shortBytes = (bytes: number): string => {
  const { value, unit } = formatExactBytes(bytes);
  return value.replaceAll(THIN_SPACE, '') + (unit === 'B' ? '' : (unit[0] as string).toLowerCase());
};

/** One size as '4 KiB', several in fio's bssplit form: '4k/60:64k/40'. */
export const formatSizeShares = (shares: readonly SizeShare[]): string =>
  shares.length === 1
    ? joinShown(formatExactBytes((shares[0] as SizeShare).sizeBytes))
    : shares.map((share) => `${shortBytes(share.sizeBytes)}/${String(share.percent)}`).join(':');

/** The inverse; parts without a percentage share the rest. Null where it is not such a list, or does not add up to 100. */
export function parseSizeShares(text: string): SizeShare[] | null {
  const parts = text.split(':').map((part) => part.split('/'));
  const sizes = parts.map(([size]) => parseBytes(size ?? ''));
  if (sizes.some((size) => size === null || size < 1)) return null;
  const given = parts.map(([, percent]) => (percent ? Number(percent) : null));
  if (given.some((percent) => percent !== null && !(percent >= 0))) return null;
  const sum = given.reduce<number>((total, percent) => total + (percent ?? 0), 0);
  const open = given.filter((percent) => percent === null).length;
  if (sum > 100 || (open === 0 && Math.abs(sum - 100) > 0.01)) return null;
  const shares = sizes.map((size, index) => ({
    sizeBytes: size as number,
    percent: given[index] ?? (100 - sum) / open,
  }));
  return shares;
}

/** A date and time in the machine's zone, to the minute: '2026-03-01 14:05'. */
export function formatDateTime(unixMs: number): string {
  const date = new Date(unixMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${String(date.getFullYear())}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}`
  );
}

/** How long ago, in one unit: '3 min ago'. */
export function formatAgo(unixMs: number, nowUnixMs: number): string {
  const seconds = Math.max(0, Math.round((nowUnixMs - unixMs) / 1000));
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${String(Math.floor(seconds / 60))} min ago`;
  if (seconds < 86400) return `${String(Math.floor(seconds / 3600))} h ago`;
  return `${String(Math.floor(seconds / 86400))} d ago`;
}
