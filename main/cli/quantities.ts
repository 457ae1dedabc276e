// SPDX-License-Identifier: GPL-2.0-only
/** Numbers with units, for people. Bytes are exact where they are shown alone; MiB is 2^20, MB is 10^6, and both are labelled. */

const scaled = (value: number): string => {
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
};

/** '812 ns', '41.3 us', '1.20 ms', '9.50 s', '3 min 20 s'. */
export function durationText(ns: number): string {
  if (ns < 1e3) return `${String(Math.round(ns))} ns`;
  if (ns < 1e6) return `${scaled(ns / 1e3)} us`;
  if (ns < 1e9) return `${scaled(ns / 1e6)} ms`;
  if (ns < 60e9) return `${scaled(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  return `${String(Math.floor(seconds / 60))} min ${String(seconds % 60)} s`;
}

/** '512 B', '4 KiB', '1.50 GiB'. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${scaled(value)} ${units[at] ?? 'B'}`;
}

export const bandwidthText = (bytesPerSecond: number): string => `${bytesText(bytesPerSecond)}/s`;

/** '950', '41.3 k', '1.20 M'. */
export function countText(count: number): string {
  if (count < 1e4) return String(Math.round(count));
  return count < 1e6 ? `${scaled(count / 1e3)} k` : `${scaled(count / 1e6)} M`;
}
