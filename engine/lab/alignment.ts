// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the three alignment dials come to, without running anything: the rule of __blockdev_direct_IO as a pure function, for the
 * check before a run, the dials of the interface and the explanation of one request.
 *
 * The rule: offset, length and memory address are OR-ed. A multiple of the file system's block goes in those blocks. Otherwise all
 * three must be multiples of the device's logical block, and the request goes in that smaller unit; else it is -EINVAL.
 * Worked: offset 4096, length 512, memory 0 with 4096-byte blocks on a 512-byte device: 4096 | 512 = 4608, not a multiple of
 * 4096, but of 512: the unit is 512 bytes, a block holds 2^3 of them (`blkfactor` 3).
 */
import { alignDown, alignUp, assert, isPowerOfTwo, PAGE_BYTES } from '../base/index.ts';
import type { AlignmentVerdict } from './explanation.ts';

export interface AlignmentQuestion {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Distance of the buffer from a page boundary, 0..4095. */
  readonly memoryBytes: number;
  /** Block size of the file system (of a block device: its soft block size). */
  readonly fsBlockBytes: number;
  /** Smallest unit the device addresses; null: no device is known to direct I/O, so there is no smaller unit to fall to. */
  readonly logicalBlockBytes: number | null;
}

type Dial = 'offset' | 'length' | 'memory';
type Placement = AlignmentVerdict['nearest'][number];

/** How many proposals `nearest` holds at most. */
const NEAREST_MAX = 4;

/** Judges one request. Sizes of blocks must be powers of two from 512 to 65536. */
export function judgeAlignment(question: AlignmentQuestion): AlignmentVerdict {
  const { fsBlockBytes } = question;
  const logicalBlockBytes = question.logicalBlockBytes ?? fsBlockBytes;
  assert(
    isPowerOfTwo(fsBlockBytes) && isPowerOfTwo(logicalBlockBytes),
    'block sizes are powers of two',
    { fsBlockBytes, logicalBlockBytes },
  );
  // Blocks smaller than the device's own cannot be addressed: the device's unit is then the only one.
  const largeUnit = Math.max(fsBlockBytes, logicalBlockBytes);
  const againstLarge = offendersOf(question, largeUnit);
  if (againstLarge.length === 0) {
    return {
      passes: true,
      unitBytes: largeUnit,
      blockFactorBits: 0,
      text: `Passes in units of ${bytesText(largeUnit)}, the ${unitName(question, largeUnit)}.`,
      offenders: [],
      nearest: [],
    };
  }
  const smallUnit = logicalBlockBytes;
  const againstSmall = smallUnit < largeUnit ? offendersOf(question, smallUnit) : againstLarge;
  if (againstSmall.length === 0) {
    return {
      passes: true,
      unitBytes: smallUnit,
      blockFactorBits: Math.log2(largeUnit / smallUnit),
      text:
        `Passes in units of ${bytesText(smallUnit)}, the device's logical block: ` +
        `${notMultiple(question, againstLarge)} of the file system's ${String(largeUnit)}-byte block.`,
      offenders: againstLarge,
      nearest: nearestPlacements(question, largeUnit),
    };
  }
  return {
    passes: false,
    unitBytes: null,
    blockFactorBits: null,
    text:
      `Refused with EINVAL: ${notMultiple(question, againstSmall)} of ` +
      `${bytesText(smallUnit)}, the ${unitName(question, smallUnit)}.`,
    offenders: againstSmall,
    nearest: nearestPlacements(question, smallUnit),
  };
}

function valueOf(question: AlignmentQuestion, dial: Dial): number {
  if (dial === 'offset') return question.offsetBytes;
  return dial === 'length' ? question.lengthBytes : question.memoryBytes;
}

function offendersOf(question: AlignmentQuestion, unitBytes: number): Dial[] {
  const dials: readonly Dial[] = ['offset', 'length', 'memory'];
  return dials.filter((dial) => valueOf(question, dial) % unitBytes !== 0);
}

function unitName(question: AlignmentQuestion, unitBytes: number): string {
  if (unitBytes === question.logicalBlockBytes && unitBytes !== question.fsBlockBytes)
    return "device's logical block";
  return unitBytes === question.logicalBlockBytes
    ? "file system's block and the device's logical block"
    : "file system's block";
}

function notMultiple(question: AlignmentQuestion, offenders: readonly Dial[]): string {
  const named = offenders.map((dial) => `${dial} ${String(valueOf(question, dial))}`);
  if (named.length === 1) return `${String(named[0])} is not a multiple`;
  const last = named.pop();
  return `${named.join(', ')} and ${String(last)} are not multiples`;
}

function bytesText(value: number): string {
  return `${String(value)} bytes`;
}

/** Every way to move each dial down or up to a multiple of the unit, by the bytes moved in all. */
function nearestPlacements(question: AlignmentQuestion, unitBytes: number): Placement[] {
  const around = (value: number): number[] => [
    ...new Set([alignDown(value, unitBytes), alignUp(value, unitBytes)]),
  ];
  const found: { readonly placement: Placement; readonly distance: number }[] = [];
  for (const offsetBytes of around(question.offsetBytes)) {
    for (const lengthBytes of around(question.lengthBytes)) {
      if (lengthBytes === 0 && question.lengthBytes !== 0) continue;
      for (const memoryBytes of around(question.memoryBytes)) {
        if (memoryBytes >= PAGE_BYTES) continue;
        const distance =
          Math.abs(offsetBytes - question.offsetBytes) +
          Math.abs(lengthBytes - question.lengthBytes) +
          Math.abs(memoryBytes - question.memoryBytes);
        found.push({ placement: { offsetBytes, lengthBytes, memoryBytes }, distance });
      }
    }
  }
  found.sort((one, other) => one.distance - other.distance);
  return found.slice(0, NEAREST_MAX).map((entry) => entry.placement);
}
