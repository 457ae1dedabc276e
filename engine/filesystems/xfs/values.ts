// SPDX-License-Identifier: GPL-2.0-only
/** On-disk values as a person reads them. */
import { decodeName } from '../_ext/text.ts';
import { hex, uuidText, type Field, type XfsRecord } from './record.ts';

/** Nanoseconds from the epoch of bigtime (1901-12-13 20:45:52 UTC) to that of Unix. */
const BIGTIME_EPOCH_SECONDS = 2 ** 31;
const NS_PER_SECOND = 1_000_000_000n;
/** Dates that ECMAScript can say. */
const DATE_MS_MAX = 8.64e15;

/** A time stamp of 8 bytes: seconds and nanoseconds, or with bigtime nanoseconds since 1901. */
export function timeText(bytes: Uint8Array, isBigTime: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const seconds = isBigTime
    ? Number(view.getBigUint64(0) / NS_PER_SECOND) - BIGTIME_EPOCH_SECONDS
    : view.getInt32(0);
  if (Math.abs(seconds * 1000) > DATE_MS_MAX) return `${String(seconds)} s`;
  return new Date(seconds * 1000).toISOString().replace('T', ' ').replace('.000Z', ' UTC');
}

/** A field's value; `isBigTime` for time stamps. */
export function fieldText(record: XfsRecord, field: Field, isBigTime: boolean): string {
  const bytes = record.slice(field.at, field.lengthBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (field.type) {
    case 'u8':
      return String(view.getUint8(0));
    case 'u16':
      return String(view.getUint16(0));
    case 'u32': {
      const value = view.getUint32(0);
      return value === 0xffffffff ? 'null' : String(value);
    }
    case 'u64': {
      const value = view.getBigUint64(0);
      return value === 0xffff_ffff_ffff_ffffn ? 'null' : String(value);
    }
    case 'hex32':
    case 'magic':
      return hex(view.getUint32(0));
    case 'crc':
      return hex(view.getUint32(0, true));
    case 'uuid':
      return uuidText(bytes);
    case 'text':
      return JSON.stringify(labelText(bytes));
    case 'time':
      return timeText(bytes, isBigTime);
    case 'lsn':
      return `cycle ${String(view.getUint32(0))}, block ${String(view.getUint32(4))}`;
  }
}

/** A text that zeros fill up. */
export function labelText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeName(end < 0 ? bytes : bytes.subarray(0, end));
}
