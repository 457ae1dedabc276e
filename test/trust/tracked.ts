// SPDX-License-Identifier: GPL-2.0-only
/**
 * Files whose every 8-byte word says whose it is: its file's number, a generation, and its own place. So a byte of another file, of a
 * deleted one or of the raw disk shows, and so does one that is older than what was promised.
 */
import { GARBAGE_WORD } from './crash-log.ts';

export const WORD = 8;

export class TrackedFile {
  /** Generation of each word; 0: zeros. */
  words = new Uint32Array(0);
  /** Of those, what fsync or O_DSYNC has acknowledged: a word may not be older. */
  durable = new Uint32Array(0);
  sizeBytes = 0;
  private generation = 0;

  constructor(readonly number: number) {}

  /** Content for a write, of a new generation; multiples of 8. */
  fill(at: number, lengthBytes: number): Uint8Array {
    this.generation++;
    const data = new Uint8Array(lengthBytes);
    const view = new DataView(data.buffer);
    for (let offset = 0; offset < lengthBytes; offset += WORD) {
      view.setUint32(offset, ((this.number << 16) | this.generation) >>> 0, true);
      view.setUint32(offset + 4, (at + offset) / WORD, true);
    }
    this.words = grown(this.words, (at + lengthBytes) / WORD);
    this.words.fill(this.generation, at / WORD, (at + lengthBytes) / WORD);
    this.sizeBytes = Math.max(this.sizeBytes, at + lengthBytes);
    return data;
  }

  /** fsync: all of it. */
  acknowledgeAll(): void {
    this.durable = this.words.slice(0, this.sizeBytes / WORD);
  }
  /** O_DSYNC: a range, and with it the size up to its end. */
  acknowledge(at: number, lengthBytes: number): void {
    const end = (at + lengthBytes) / WORD;
    this.durable = grown(this.durable, end);
    this.durable.set(this.words.subarray(at / WORD, end), at / WORD);
  }
  /** Something is about to be cut or zeroed: until the next sync nothing of it is promised. */
  forget(): void {
    this.durable = new Uint32Array(0);
  }
  cut(sizeBytes: number): void {
    this.words = grown(this.words.slice(0, sizeBytes / WORD), sizeBytes / WORD);
    this.sizeBytes = sizeBytes;
  }
  zero(at: number, lengthBytes: number): void {
    this.words.fill(0, at / WORD, Math.min((at + lengthBytes) / WORD, this.words.length));
  }
}

function grown(words: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(words.length, count));
  larger.set(words);
  return larger;
}

/** Every word is zero, garbage, or says one and the same file and its own place. The file; 0: none shows. Else a sentence. */
export function ownerOf(bytes: Uint8Array, expected: number): number | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let owner = expected;
  for (let at = 0; at + WORD <= bytes.length; at += WORD) {
    const low = view.getUint32(at, true);
    const place = view.getUint32(at + 4, true);
    if (low === 0 && place === 0) continue;
    if (low === GARBAGE_WORD && place === GARBAGE_WORD) continue;
    if (owner === 0) owner = low >>> 16;
    if (low >>> 16 === owner && place === at / WORD) continue;
    const found = `word ${String(place)} of file ${String(low >>> 16)} (0x${low.toString(16)})`;
    return `file ${String(owner)} holds at byte ${String(at)} ${found}`;
  }
  return owner;
}

/** Nothing that was promised is missing or older; else a sentence. */
export function olderThan(bytes: Uint8Array | undefined, durable: Uint32Array): string | null {
  const last = durable.findLastIndex((generation) => generation > 0);
  if (last < 0) return null;
  if (bytes === undefined) return 'is gone';
  if (bytes.length < (last + 1) * WORD) return `has ${String(bytes.length)} bytes, too few`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let word = 0; word <= last; word++) {
    const low = view.getUint32(word * WORD, true);
    const generation = low === GARBAGE_WORD ? 0 : low & 0xffff;
    if (generation >= (durable[word] as number)) continue;
    return `is older at byte ${String(word * WORD)} than what was acknowledged`;
  }
  return null;
}
