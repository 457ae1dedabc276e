// SPDX-License-Identifier: GPL-2.0-only
/**
 * File names: 8.3 in the OEM code page 437, long names in UTF-16 (fs/fat/namei_vfat.c).
 *
 * Rules: 1. Names are looked up without regard to case, one UTF-16 unit at a time, and without dots at their end. 2. What is valid
 * 8.3 in upper case has no long name; everything else has one, and an alias: upper case, `_` for what 8.3 cannot say, `~1` where it
 * lost something or is taken. 3. A long name's entries carry the checksum of their alias.
 */
import {
  ENTRY_DELETED,
  ENTRY_KANJI_E5,
  LONG_CHARACTERS,
  LONG_LAST,
  LONG_OFFSETS,
  LOWER_BASE,
  LOWER_EXTENSION,
  ATTRIBUTE,
  ENTRY,
  ENTRY_BYTES,
  NAME_UNITS_MAX,
  SHORT_NAME_BYTES,
} from './layout.ts';

/** Code page 437 from 0x80 on. */
const OEM_UPPER =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
  '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

/** Characters that no name may have. */
const FORBIDDEN = /[\u0000-\u001f*?<>|":/\\]/;
/** What a short name may consist of, besides letters and digits. */
const SHORT_SIGNS = "!#$%&'()-@^_`{}~";

export function decodeOem(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : OEM_UPPER[byte - 128];
  return text;
}

/** The key under which a name is found: unit by unit in upper case, without dots at the end (vfat_hashi, vfat_striptail_len). */
export function foldName(name: string): string {
  let folded = '';
  const end = lengthWithoutDots(name);
  for (let at = 0; at < end; at++) {
    const unit = name[at] as string;
    const upper = unit.toUpperCase();
    folded += upper.length === 1 ? upper : unit;
  }
  return folded;
}

function lengthWithoutDots(name: string): number {
  let end = name.length;
  while (end > 0 && name[end - 1] === '.') end--;
  return end;
}

/** Null: the name may be made; else the errno's name. */
export function nameError(name: string): 'EINVAL' | 'ENAMETOOLONG' | null {
  if (lengthWithoutDots(name) === 0 || FORBIDDEN.test(name)) return 'EINVAL';
  return lengthWithoutDots(name) > NAME_UNITS_MAX ? 'ENAMETOOLONG' : null;
}

/** The name as it is kept: without dots at its end. */
export function keptName(name: string): string {
  return name.slice(0, lengthWithoutDots(name));
}

function isShortUnit(unit: string): boolean {
  return (unit >= 'A' && unit <= 'Z') || (unit >= '0' && unit <= '9') || SHORT_SIGNS.includes(unit);
}

/** The eleven bytes of base and extension. */
function pack(base: string, extension: string): Uint8Array {
  const bytes = new Uint8Array(SHORT_NAME_BYTES).fill(0x20);
  for (let at = 0; at < base.length; at++) bytes[at] = base.charCodeAt(at);
  for (let at = 0; at < extension.length; at++) bytes[8 + at] = extension.charCodeAt(at);
  return bytes;
}

/** The short name that says all of it, or null: it needs a long one. */
export function exactShortName(name: string): Uint8Array | null {
  const dot = name.indexOf('.');
  const base = dot < 0 ? name : name.slice(0, dot);
  const extension = dot < 0 ? '' : name.slice(dot + 1);
  const isFine =
    base.length >= 1 &&
    base.length <= 8 &&
    extension.length <= 3 &&
    (dot < 0 || extension.length > 0) &&
    [...base, ...extension].every(isShortUnit);
  return isFine ? pack(base, extension) : null;
}

/** Upper case, blanks and dots dropped, `_` for the rest; says whether that lost anything but case. */
function reduce(part: string): { readonly text: string; readonly isLossy: boolean } {
  let text = '';
  let isLossy = false;
  for (const unit of part.split('')) {
    if (unit === ' ' || unit === '.') {
      isLossy = true;
      continue;
    }
    const upper = unit.toUpperCase();
    const fits = upper.length === 1 && isShortUnit(upper);
    text += fits ? upper : '_';
    if (!fits) isLossy = true;
  }
  return { text, isLossy };
}

/** vfat_create_shortname: an alias that `isTaken` does not know. Null: all are taken. */
export function makeAlias(name: string, isTaken: (alias: string) => boolean): Uint8Array | null {
  const trimmed = name.replace(/^[. ]+/, '');
  const dot = trimmed.lastIndexOf('.');
  const hasExtension = dot > 0 && dot < trimmed.length - 1;
  const base = reduce(hasExtension ? trimmed.slice(0, dot) : trimmed);
  const extension = reduce(hasExtension ? trimmed.slice(dot + 1) : '');
  const isLossy =
    trimmed !== name ||
    base.isLossy ||
    extension.isLossy ||
    base.text.length > 8 ||
    extension.text.length > 3;
  const baseText = base.text === '' ? '_' : base.text;
  const ending = extension.text.slice(0, 3);
  if (!isLossy && base.text !== '') {
    const whole = pack(baseText, ending);
    if (!isTaken(aliasKey(whole))) return whole;
  }
  for (let number = 1; number < 1_000_000; number++) {
    const tail = `~${String(number)}`;
    const alias = pack(baseText.slice(0, 8 - tail.length) + tail, ending);
    if (!isTaken(aliasKey(alias))) return alias;
  }
  return null;
}

/** The short name as text, folded: what look-ups know it by. */
export function aliasKey(bytes: Uint8Array): string {
  return foldName(shortNameText(bytes, 0));
}

/** A short name as people see it; `lowerCase`: the entry's case byte. */
export function shortNameText(bytes: Uint8Array, lowerCase: number): string {
  const raw = bytes.slice(0, SHORT_NAME_BYTES);
  if (raw[0] === ENTRY_KANJI_E5) raw[0] = ENTRY_DELETED;
  let base = decodeOem(raw.subarray(0, 8)).trimEnd();
  let extension = decodeOem(raw.subarray(8)).trimEnd();
  if ((lowerCase & LOWER_BASE) !== 0) base = base.toLowerCase();
  if ((lowerCase & LOWER_EXTENSION) !== 0) extension = extension.toLowerCase();
  return extension === '' ? base : `${base}.${extension}`;
}

/** fat_checksum */
export function aliasChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < SHORT_NAME_BYTES; at++) {
    sum = (((sum & 1) << 7) + (sum >> 1) + (bytes[at] as number)) & 0xff;
  }
  return sum;
}

/** The entries of a long name, in the order in which they lie before their alias. */
export function encodeLongName(name: string, alias: Uint8Array): Uint8Array[] {
  const count = Math.ceil(name.length / LONG_CHARACTERS);
  const checksum = aliasChecksum(alias);
  const entries: Uint8Array[] = [];
  for (let order = count; order >= 1; order--) {
    const bytes = new Uint8Array(ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    bytes[0] = order | (order === count ? LONG_LAST : 0);
    bytes[ENTRY.attributes] = ATTRIBUTE.longName;
    bytes[13] = checksum;
    LONG_OFFSETS.forEach((offset, index) => {
      const at = (order - 1) * LONG_CHARACTERS + index;
      const unit = at < name.length ? name.charCodeAt(at) : at === name.length ? 0 : 0xffff;
      view.setUint16(offset, unit, true);
    });
    entries.push(bytes);
  }
  return entries;
}

/** Puts a long name together, entry by entry as they come; what does not fit together is dropped. */
export class LongNameReader {
  /** Entries of the name so far. */
  count = 0;
  private total = 0;
  private next = 0;
  private checksum = 0;
  private parts: string[] = [];

  reset(): void {
    this.count = 0;
    this.total = 0;
  }

  /** One entry with the attributes of a long name. False: it belongs to none, and what was there before is orphaned, too. */
  add(entry: Uint8Array): boolean {
    const order = entry[0] as number;
    const number = order & ~LONG_LAST;
    const isFirst = (order & LONG_LAST) !== 0;
    const fits =
      number >= 1 && number <= 20 && (isFirst || (this.total > 0 && number === this.next));
    if (!fits || (!isFirst && entry[13] !== this.checksum)) {
      this.reset();
      return false;
    }
    if (isFirst) {
      this.total = number;
      this.count = 0;
      this.checksum = entry[13] as number;
      this.parts = [];
    }
    this.next = number - 1;
    this.count++;
    this.parts.push(unitsOf(entry));
    return true;
  }

  /** The name that belongs to this alias, or null: there is none, or it is not complete or not this alias's. */
  take(alias: Uint8Array): string | null {
    const isWhole = this.total > 0 && this.next === 0 && this.checksum === aliasChecksum(alias);
    const text = isWhole ? this.parts.reverse().join('') : '';
    const end = text.indexOf('\0');
    const name = end < 0 ? text : text.slice(0, end);
    return isWhole && name.length > 0 && name.length <= NAME_UNITS_MAX ? name : null;
  }
}

function unitsOf(entry: Uint8Array): string {
  let text = '';
  for (const offset of LONG_OFFSETS) {
    text += String.fromCharCode((entry[offset] as number) | ((entry[offset + 1] as number) << 8));
  }
  return text;
}
