// SPDX-License-Identifier: GPL-2.0-only
/**
 * Scenarios and traces of the golden format (test/golden/FORMAT.md): the shapes as they stand in the files, with short keys, and the
 * same with defaults filled in and checked.
 */
import { HostError, isPowerOfTwo } from '../../base/index.ts';

/** [fileBlock, count, diskBlock] mapped, or with "u" unwritten. */
export type ScenarioExtent = [number, number, number] | [number, number, number, 'u'];

export interface ScenarioRequest {
  readonly op: 'r' | 'w';
  readonly pos: number;
  readonly iov: readonly (readonly [number, number])[];
  readonly async?: number;
  readonly dsync?: number;
  readonly nowait?: number;
  readonly locking?: number;
  readonly skip?: number;
  readonly own?: number;
  readonly endio?: number | string;
  readonly kernel?: number;
  readonly subio?: number;
  readonly wbwerr?: string;
  readonly invalerr?: string;
  readonly wqerr?: string;
  readonly fsyncerr?: string;
  readonly pc?: number;
}

export interface Scenario {
  readonly name?: string;
  readonly blkbits?: number;
  readonly lbs?: number;
  readonly bdev?: number;
  readonly size?: number;
  readonly pc?: number;
  readonly sectors?: number;
  readonly extents?: readonly ScenarioExtent[];
  readonly maxmap?: number;
  readonly alloc?: readonly [number, number];
  readonly nocreate?: number;
  readonly boundary?: number;
  readonly defer?: number;
  readonly priv?: number;
  readonly gberr?: readonly (readonly [number, string])[];
  readonly pages?: number;
  readonly bad?: readonly (readonly [number, number])[];
  readonly ro?: readonly (readonly [number, number])[];
  readonly contig?: number;
  readonly maxvecs?: number;
  readonly maxsect?: number;
  readonly maxseg?: number;
  readonly chunk?: number;
  readonly policy?: string;
  readonly bioerr?: readonly (readonly [number, number, string])[];
  readonly reqs: readonly ScenarioRequest[];
}

/** A trace event: its name, then its values. */
export type GoldenEvent = readonly [string, ...unknown[]];
export interface GoldenRequest {
  readonly ev: readonly GoldenEvent[];
  readonly ret?: number | string;
  readonly left?: number;
  readonly kpos?: number;
  readonly acct?: number;
}
export interface GoldenTrace {
  readonly reqs: readonly GoldenRequest[];
  readonly isize: number;
  readonly mem: string;
  readonly dev: string;
  readonly bug?: string;
  readonly refs?: Readonly<Record<string, number>>;
  readonly dio?: number;
  readonly dirty?: readonly number[];
  readonly live?: readonly [number, number];
  readonly sem?: number;
}
/** One line of a golden file. `trace` is absent where only the scenario is given. */
export interface Vector {
  readonly rev: string;
  readonly name?: string;
  readonly about?: string;
  readonly scenario: Scenario;
  readonly trace?: GoldenTrace;
}

/** A scenario with every default filled in. */
export type FullScenario = Required<Omit<Scenario, 'name'>>;

/** Fills in the defaults of FORMAT.md, section 1, and refuses what cannot be run (`HostError`, 'scenario.bad-value'). */
export function completeScenario(scenario: Scenario, where: string): FullScenario {
  const full: FullScenario = {
    blkbits: 12, lbs: 512, bdev: 1, size: 0, pc: 0, sectors: 2048, extents: [], maxmap: 0, alloc: [0, 0],
    nocreate: 0, boundary: 0, defer: 0, priv: 0, gberr: [], pages: 16, bad: [], ro: [], contig: 0, maxvecs: 0,
    maxsect: 256, maxseg: 128, chunk: 0, policy: 'inline', bioerr: [], ...scenario,
  }; // prettier-ignore
  const refuse = (what: string, hint: string): HostError =>
    new HostError({ code: 'scenario.bad-value', message: what, where, hint, exitCode: 65 });
  if (!Array.isArray(full.reqs)) {
    throw refuse('the scenario has no list of requests', 'Give "reqs" as a list, FORMAT.md 1.');
  }
  if (!Number.isInteger(full.blkbits) || full.blkbits < 9 || full.blkbits > 12) {
    throw refuse(`blkbits is ${String(full.blkbits)}`, 'It is 9 to 12.');
  }
  if (!isPowerOfTwo(full.lbs) || full.lbs < 512 || full.lbs > 2 ** full.blkbits) {
    throw refuse(`lbs is ${String(full.lbs)}`, 'A power of two from 512 to the block size.');
  }
  if (!Number.isInteger(full.pages) || full.pages < 1 || full.pages > 65536) {
    throw refuse(`pages is ${String(full.pages)}`, 'It is 1 to 65536.');
  }
  if (!Number.isInteger(full.sectors) || full.sectors < 0 || full.sectors > 4194304) {
    throw refuse(`sectors is ${String(full.sectors)}`, 'It is 0 to 4194304.');
  }
  if (!/^(inline|fifo|lifo|shuffle:\d+|lag:\d+)$/.test(full.policy)) {
    throw refuse(`policy is "${full.policy}"`, 'inline, fifo, lifo, shuffle:SEED or lag:K.');
  }
  full.reqs.forEach((request: ScenarioRequest, index) => {
    if ((request.op !== 'r' && request.op !== 'w') || !Array.isArray(request.iov)) {
      throw refuse(`request ${String(index)} has no op or iov`, 'op is "r" or "w", iov a list.');
    }
  });
  return full;
}
