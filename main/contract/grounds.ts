// SPDX-License-Identifier: GPL-2.0-only
/** The same job on several grounds, and loop devices: what faces may ask (joined to the contract in index.ts). */
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
import { experimentSchema } from './schemas.ts';
import type { HostErrorData } from './types.ts';

const output = <T>(): z.ZodType<T> => z.custom<T>();
const base = oc.errors({
  HOST: { status: 422, message: 'The host or the input refused', data: output<HostErrorData>() },
});
const id = z.string().regex(/^[0-9a-z-]{8,64}$/);
const imagePath = z.string().min(1).max(4096);

export { GROUND_IDS };
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
export const loops = {
  list: base.output(output<readonly LoopDeviceInfo[]>()),
  /** Attaches and keeps the device until it is detached or the lab ends. What the kernel made of it is read back. */
  attach: base.input(loopAskSchema).output(output<LoopDeviceInfo>()),
  detach: base
    .input(z.strictObject({ device: z.string().regex(/^\/dev\/loop\d{1,4}$/) }))
    .output(output<{ readonly detached: boolean }>()),
};

/** What was found out about an image after a run, kept with the run where one is named. */
export interface VerifyResult {
  readonly imagePath: string;
  readonly atUnixMs: number;
  readonly fsck: {
    readonly state: 'clean' | 'damaged' | 'not-run';
    readonly text: string;
  };
  /** Every file read through the kernel's own mount and through the engine. */
  readonly comparison: {
    readonly state: 'equal' | 'different' | 'not-run';
    readonly files: number;
    readonly bytes: number;
    /** The first that differs, with its offset; or why it was not done. */
    readonly text: string;
  };
}
export const verify = {
  /** fsck, and a byte comparison through the kernel's own mount. `runId`: the result is kept with that run. */
  run: base
    .input(z.strictObject({ path: imagePath, runId: id.nullable() }))
    .output(output<VerifyResult>()),
};
