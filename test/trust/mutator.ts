// SPDX-License-Identifier: GPL-2.0-only
/**
 * Damages an image where it hurts: fields of structures by their kind, bits anywhere in a structure, pointers swapped between
 * structures or led in circles, structures copied over each other, and images that end too soon; checksums set right again or not.
 * The same seed damages the same way.
 */
import { below, type Random } from '../../engine/base/index.ts';
import type { DiskField, DiskStructure } from './adapters/index.ts';

const CHANGES_MAX = 6;

export interface Damaged {
  readonly bytes: Uint8Array;
  /** `inode 12 i_size_high = 0xffffffff, sealed; ...` */
  readonly what: string;
}

interface Place {
  readonly structure: DiskStructure;
  readonly field: DiskField;
}

export class Mutator {
  private readonly pointers: Place[];

  constructor(
    private readonly image: Uint8Array,
    private readonly structures: readonly DiskStructure[],
    private readonly blockBytes: number,
  ) {
    this.pointers = structures.flatMap((structure) =>
      structure.fields
        .filter(({ kind }) => kind === 'pointer')
        .map((field) => ({ structure, field })),
    );
  }

  damage(random: Random): Damaged {
    let bytes = this.image.slice();
    const what: string[] = [];
    const touched: DiskStructure[] = [];
    // Half of all images are damaged in one place only: the check behind that place is what is met.
    const count = random.next32() % 2 === 0 ? 1 : 1 + below(random, CHANGES_MAX);
    for (let change = 0; change < count; change++) what.push(this.change(bytes, touched, random));
    if (random.next32() % 4 !== 0) {
      for (const { seal } of touched) seal?.(bytes);
      what.push('sealed');
    }
    if (random.next32() % 24 === 0) {
      const sectors = below(random, bytes.length / 512);
      bytes = bytes.slice(0, Math.max(1, sectors) * 512);
      what.push(`cut to ${String(bytes.length)} bytes`);
    }
    return { bytes, what: what.join('; ') };
  }

  private change(bytes: Uint8Array, touched: DiskStructure[], random: Random): string {
    const structure = pick(this.structures, random);
    touched.push(structure);
    const field = structure.fields.length > 0 ? pick(structure.fields, random) : null;
    switch (below(random, 8)) {
      case 0:
        return flip(bytes, structure, random);
      case 1:
        return this.swap(bytes, touched, random) ?? flip(bytes, structure, random);
      case 2: {
        const other = pick(this.structures, random);
        const length = Math.min(structure.lengthBytes, other.lengthBytes);
        bytes.copyWithin(structure.byte, other.byte, other.byte + length);
        return `${structure.name} is a copy of ${other.name}`;
      }
      case 3: {
        const value = pick([0, 0xff, 0xa5], random);
        bytes.fill(value, structure.byte, structure.byte + structure.lengthBytes);
        return `${structure.name} filled with ${String(value)}`;
      }
      default:
        if (field === null) return flip(bytes, structure, random);
        return this.set(bytes, { structure, field }, random);
    }
  }

  /** A field gets a value that its kind makes dangerous. */
  private set(bytes: Uint8Array, { structure, field }: Place, random: Random): string {
    const old = read(bytes, structure, field);
    const top = 2 ** (field.lengthBytes * 8) - 1;
    const blocks = Math.floor(this.image.length / this.blockBytes);
    const own = Math.floor(structure.byte / this.blockBytes);
    const values = [0, 1, top, Math.floor(top / 2), Math.floor(top / 2) + 1, old + 1, old - 1];
    if (field.kind === 'pointer') {
      const other = pick(this.structures, random);
      values.push(
        own,
        blocks - 1,
        blocks,
        blocks + 1,
        Math.floor(other.byte / this.blockBytes),
        below(random, blocks),
      );
    } else if (field.kind === 'flags') values.push(old ^ (1 << below(random, 16)), old ^ 0xff);
    else values.push(old * 2, old >>> 1, this.blockBytes, random.next32());
    const value = pick(values, random);
    write(bytes, structure, field, value);
    return `${structure.name} ${field.name} ${String(old)} = ${String(value)}`;
  }

  private swap(bytes: Uint8Array, touched: DiskStructure[], random: Random): string | null {
    if (this.pointers.length < 2) return null;
    const one = pick(this.pointers, random);
    const two = pick(this.pointers, random);
    const first = read(bytes, one.structure, one.field);
    write(bytes, one.structure, one.field, read(bytes, two.structure, two.field));
    write(bytes, two.structure, two.field, first);
    touched.push(one.structure, two.structure);
    const name = ({ structure, field }: Place): string => `${structure.name} ${field.name}`;
    return `${name(one)} and ${name(two)} swapped`;
  }
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[below(random, list.length)] as T;
}

function flip(bytes: Uint8Array, structure: DiskStructure, random: Random): string {
  const byte = below(random, structure.lengthBytes);
  const bit = below(random, 8);
  const at = structure.byte + byte;
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
  return `${structure.name} byte ${String(byte)} bit ${String(bit)}`;
}

function read(bytes: Uint8Array, structure: DiskStructure, field: DiskField): number {
  let value = 0;
  const { lengthBytes, isBigEndian = false } = field;
  for (let index = 0; index < lengthBytes; index++) {
    const at = isBigEndian ? index : lengthBytes - 1 - index;
    value = value * 256 + (bytes[structure.byte + field.offsetBytes + at] as number);
  }
  return value;
}

function write(bytes: Uint8Array, structure: DiskStructure, field: DiskField, value: number): void {
  const { lengthBytes, isBigEndian = false } = field;
  let left = BigInt.asUintN(lengthBytes * 8, BigInt(Math.trunc(value)));
  for (let index = 0; index < lengthBytes; index++) {
    const at = isBigEndian ? lengthBytes - 1 - index : index;
    bytes[structure.byte + field.offsetBytes + at] = Number(left & 255n);
    left >>= 8n;
  }
}
