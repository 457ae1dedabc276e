// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where a job runs, and what the host's kernel says about it: the same job on several grounds, loop devices, verification through the
 * kernel's own mount, the trace with the kernel's rows. Joined to the contract in index.ts.
 */
import { eventIterator, oc } from '@orpc/contract';
import * as z from 'zod';
import {
  GROUND_IDS,
  type GroundId,
  type GroundRow,
  type GroundSample,
  type Spread,
} from '../../engine/lab/grounds.ts';
import type { Experiment } from '../../engine/lab/experiment.ts';
import type { DeviceTransfer, KernelComparison } from '../../engine/lab/kernel-trace.ts';
import { TRACE_KINDS, type TraceKindId } from '../../engine/base/index.ts';
import { experimentSchema } from './schemas.ts';
import type { HostErrorData, TraceRow } from './types.ts';

const output = <T>(): z.ZodType<T> => z.custom<T>();
const base = oc.errors({
  HOST: { status: 422, message: 'The host or the input refused', data: output<HostErrorData>() },
});
const id = z.string().regex(/^[0-9a-z-]{8,64}$/);
const imagePath = z.string().min(1).max(4096);

/** Rows of a page of the trace at most. */
export const TRACE_PAGE_ROWS_MAX = 10_000;
const TRACE_KIND_IDS = TRACE_KINDS.map((kind) => kind.id) as [TraceKindId, ...TraceKindId[]];

export { GROUND_IDS };
export type { DeviceTransfer, KernelComparison };
export type { GroundId, GroundRow, GroundSample, Spread };

/** A ground and whether it is there for an experiment on this host. */
export interface GroundInfo {
  readonly id: GroundId;
  readonly title: string;
  readonly help: string;
  /** One sentence; null: it can be measured. */
  readonly unavailableWhy: string | null;
}
export type GroundsState = 'preparing' | 'running' | 'finished' | 'cancelled' | 'failed';
export interface GroundsResult {
  readonly id: string;
  readonly name: string;
  readonly startedAtUnixMs: number;
  readonly state: GroundsState;
  readonly experiment: Experiment;
  readonly grounds: readonly GroundId[];
  readonly rounds: number;
  readonly seed: number;
  /** Grounds in the order in which they were measured, a list for each round. */
  readonly order: readonly (readonly GroundId[])[];
  readonly samples: readonly GroundSample[];
  readonly rows: readonly GroundRow[];
  /** Kernel, processor and disk, for a reader of the table. */
  readonly machine: string;
  readonly failure: HostErrorData | null;
}
export type GroundsEvent =
  | {
      readonly kind: 'progress';
      readonly text: string;
      /** 0..1 */
      readonly fraction: number;
    }
  | { readonly kind: 'result'; readonly result: GroundsResult };

export const groundsRequestSchema = z.strictObject({
  experiment: experimentSchema,
  grounds: z.array(z.enum(GROUND_IDS)).min(1).max(GROUND_IDS.length),
  rounds: z.int().min(1).max(100),
  /** Of the shuffled order. */
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  /** How long each run measures; null: as the experiment says. */
  secondsPerRun: z.number().min(0.1).max(3600).nullable(),
});
export type GroundsRequest = z.infer<typeof groundsRequestSchema>;

export const grounds = {
  /** All grounds, and which can be measured. */
  list: base.input(experimentSchema).output(output<readonly GroundInfo[]>()),
  start: base.input(groundsRequestSchema).output(output<{ readonly id: string }>()),
  /** Progress from now on, the result after each round, and at last the whole. */
  watch: base.input(z.strictObject({ id })).output(eventIterator(output<GroundsEvent>())),
  cancel: base.input(z.strictObject({ id })).output(output<{ readonly acknowledged: boolean }>()),
  get: base.input(z.strictObject({ id })).output(output<GroundsResult>()),
  /** Newest first. */
  results: base.output(output<readonly GroundsResult[]>()),
  remove: base.input(z.strictObject({ id })).output(output<{ readonly removed: boolean }>()),
};

/** A loop device that a diolab holds, or has left. */
export interface LoopDeviceInfo {
  /** `/dev/loop3` */
  readonly device: string;
  readonly imagePath: string;
  readonly sectorBytes: number;
  readonly hasDirectIo: boolean;
  readonly isReadOnly: boolean;
  readonly sizeBytes: number;
  /** This lab's, another running diolab's, or left behind by one that is gone. */
  readonly owner: 'here' | 'elsewhere' | 'leftover';
  readonly pid: number | null;
}
export const loopAskSchema = z.strictObject({
  path: imagePath,
  sectorBytes: z.union([z.literal(512), z.literal(1024), z.literal(2048), z.literal(4096)]),
  directIo: z.boolean(),
  readOnly: z.boolean(),
});
/** What a killed run or process left on the disk. */
export interface Leftover {
  readonly path: string;
  /** 'plain-file': the plain file of a run without the engine; 'loop-note': what a diolab that is gone kept about a loop device. */
  readonly kind: 'plain-file' | 'loop-note';
  readonly sizeBytes: number;
  /** One sentence: what it is of. */
  readonly text: string;
}
export const loops = {
  /** Devices of this lab and of other running diolabs, and those of ones that are gone which somebody still keeps. */
  list: base.output(output<readonly LoopDeviceInfo[]>()),
  /** The list now, and again whenever it has changed. */
  watch: base.output(eventIterator(output<readonly LoopDeviceInfo[]>())),
  /** Attaches and keeps the device until it is detached or the lab ends. What the kernel made of it is read back. */
  attach: base.input(loopAskSchema).output(output<LoopDeviceInfo>()),
  /** Of this lab or of another running diolab, which is asked to; a device of anybody else is refused. */
  detach: base
    .input(z.strictObject({ device: z.string().regex(/^\/dev\/loop\d{1,4}$/) }))
    .output(output<{ readonly detached: boolean }>()),
  leftovers: base.output(output<readonly Leftover[]>()),
  /** `path`: of one that `leftovers` lists now; anything else is refused. */
  removeLeftover: base
    .input(z.strictObject({ path: imagePath }))
    .output(output<{ readonly removed: boolean }>()),
};

/** What was found out about an image after a run, kept with the run where one is named. */
export interface VerifyResult {
  readonly imagePath: string;
  /** Null: the whole image. */
  readonly partition: number | null;
  readonly atUnixMs: number;
  readonly fsck: {
    readonly state: 'clean' | 'damaged' | 'not-run';
    /** What the checker said, in a sentence; or why it was not run. */
    readonly text: string;
    /** The end of the checker's own output; empty where it was not run. */
    readonly output: string;
  };
  /** Every file read through the kernel's own mount and through the engine. */
  readonly comparison: {
    readonly state: 'equal' | 'different' | 'not-run';
    /** Regular files that both have and that were read. */
    readonly files: number;
    readonly bytes: number;
    /** The first that differs, with its offset; or why it was not done. */
    readonly text: string;
    readonly firstDifference: FileDifference | null;
  };
}
export interface FileDifference {
  /** In the image. */
  readonly file: string;
  /** Null: the difference is not in the content (missing on one side, another kind, another length). */
  readonly offsetBytes: number | null;
  readonly what: string;
}
export type VerifyEvent =
  | {
      readonly kind: 'progress';
      readonly phase: 'waiting' | 'fsck' | 'engine' | 'kernel';
      /** The file under way; empty where there is none. */
      readonly file: string;
      /** Of this phase. */
      readonly doneBytes: number;
      /** Null: not known. */
      readonly totalBytes: number | null;
    }
  | { readonly kind: 'done'; readonly result: VerifyResult };
export const verify = {
  /**
   * fsck, and a byte comparison through the kernel's own mount. It takes its turn among the runs; ending the stream gives it up.
   * `runId`: a run on this image, with which the result is kept.
   */
  run: base
    .input(
      z.strictObject({
        path: imagePath,
        partition: z.int().min(1).max(1024).nullable().optional(),
        runId: id.nullable(),
      }),
    )
    .output(eventIterator(output<VerifyEvent>())),
};

/** Trace rows of a run, a page of them. */
export interface TracePage {
  /** Rows of the kinds asked for. */
  readonly totalRows: number;
  /** `index`: the row's number in the whole trace. */
  readonly rows: readonly TraceRow[];
  /** Rows that the run had no room for. */
  readonly droppedCount: number;
}
/** Joined to `runs`. */
export const runTraces = {
  /** Rows `from` to `from + count` of those of the kinds asked for (null: all), in the order of the trace. */
  trace: base
    .input(
      z.strictObject({
        runId: id,
        from: z.int().min(0),
        count: z.int().min(1).max(TRACE_PAGE_ROWS_MAX),
        kinds: z.array(z.enum(TRACE_KIND_IDS)).min(1).max(TRACE_KIND_IDS.length).nullable(),
      }),
    )
    .output(output<TracePage>()),
  /** The engine's requests to the device against the bios that the host's kernel queued there; null: the kernel was not watched. */
  kernelComparison: base
    .input(z.strictObject({ runId: id }))
    .output(output<KernelComparison | null>()),
};
