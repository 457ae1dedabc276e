// SPDX-License-Identifier: GPL-2.0-only
/** Quantities for people, with their units: binary units where a size is a whole number of them, decimal ones for rates. */
import { GIB, KIB, MIB } from '../../engine/base/index.ts';

/** '4 KiB', '1.5 MiB', '512 B'; at most three digits behind the point. */
export function bytesInWords(bytes: number): string {
  const rounded = (value: number): string => String(Math.round(value * 1000) / 1000);
  if (bytes >= GIB) return `${rounded(bytes / GIB)} GiB`;
  if (bytes >= MIB) return `${rounded(bytes / MIB)} MiB`;
  if (bytes >= KIB) return `${rounded(bytes / KIB)} KiB`;
  return `${String(Math.round(bytes))} B`;
}

/** 'less than 0.1 s', '12 s', '2 min 5 s', '3 h 20 min'. */
export function secondsInWords(seconds: number): string {
  if (seconds < 0.1) return 'less than 0.1 s';
  if (seconds < 10) return `${String(Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${String(whole)} s`;
  if (whole < 3600) {
    const rest = whole % 60;
    return `${String(Math.floor(whole / 60))} min${rest === 0 ? '' : ` ${String(rest)} s`}`;
  }
  const minutes = Math.round((whole % 3600) / 60);
  return `${String(Math.floor(whole / 3600))} h${minutes === 0 ? '' : ` ${String(minutes)} min`}`;
}
