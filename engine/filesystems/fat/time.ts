// SPDX-License-Identifier: GPL-2.0-only
/** Time stamps of FAT: days since 1980 and steps of two seconds, taken for UTC (the kernel's tz=UTC). */

export interface FatTime {
  /** Bits: 7 year since 1980, 4 month, 5 day. */
  readonly date: number;
  /** Bits: 5 hour, 6 minute, 5 two seconds. */
  readonly time: number;
  /** What the two seconds leave, in hundredths. */
  readonly hundredths: number;
}

/** 1980-01-01 00:00:00: what an image made without a clock says. */
const BEGINNING: FatTime = { date: (1 << 5) | 1, time: 0, hundredths: 0 };

/** fat_time_unix2fat; before 1980 and after 2107 the nearest there is. */
export function encodeTime(unixMs: number): FatTime {
  const moment = new Date(unixMs);
  const year = moment.getUTCFullYear();
  if (!(year >= 1980)) return BEGINNING;
  if (year > 2107) return { date: (127 << 9) | (12 << 5) | 31, time: 0xbf7d, hundredths: 199 };
  const seconds = moment.getUTCSeconds();
  return {
    date: ((year - 1980) << 9) | ((moment.getUTCMonth() + 1) << 5) | moment.getUTCDate(),
    time: (moment.getUTCHours() << 11) | (moment.getUTCMinutes() << 5) | (seconds >> 1),
    hundredths: (seconds & 1) * 100 + Math.floor(moment.getUTCMilliseconds() / 10),
  };
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}

/** As a person reads it; `never` for 0. */
export function timeText(date: number, time: number): string {
  if (date === 0) return 'never';
  const day = `${String(1980 + (date >> 9))}-${digits((date >> 5) & 15, 2)}-${digits(date & 31, 2)}`;
  const clock = [time >> 11, (time >> 5) & 63, (time & 31) * 2].map((part) => digits(part, 2));
  return `${day} ${clock.join(':')} UTC`;
}
