// SPDX-License-Identifier: GPL-2.0-only
/** zod schemas of what faces send: the one check of every input that crosses the contract. Types come from engine/lab. */
import * as z from 'zod';
import { DISTRIBUTIONS, RW_PATTERNS, type Experiment } from '../../engine/lab/experiment.ts';
import type { CompareRequest } from '../../engine/lab/comparison.ts';
import type { ExplainRequest } from '../../engine/lab/explanation.ts';

const byteCount = z
  .int()
  .min(0)
  .max(2 ** 46);
const optionValues = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));

export const jobSchema = z.strictObject({
  name: z.string().min(1).max(80),
  rw: z.enum(RW_PATTERNS),
  rwMixReadPercent: z.int().min(0).max(100),
  blockSizes: z
    .array(
      z.strictObject({
        sizeBytes: z
          .int()
          .min(1)
          .max(2 ** 28),
        percent: z.number().min(0).max(100),
      }),
    )
    .min(1)
    .max(64),
  offsetBytes: byteCount,
  sizeBytes: byteCount.nullable(),
  ioSizeBytes: byteCount.nullable(),
  alignment: z.strictObject({
    offsetBytes: z
      .int()
      .min(0)
      .max(2 ** 28),
    lengthBytes: z
      .int()
      .min(-(2 ** 28))
      .max(2 ** 28),
    memoryBytes: z.int().min(0).max(4095),
  }),
  ioEngine: z.enum(['sync', 'threads', 'libaio', 'io_uring']),
  ioDepth: z.int().min(1).max(4096),
  submitBatch: z.int().min(1).max(4096),
  numJobs: z.int().min(1).max(64),
  direct: z.boolean(),
  sync: z.enum(['none', 'dsync', 'sync']),
  nowait: z.boolean(),
  fsyncEvery: z.int().min(0),
  endFsync: z.boolean(),
  runtimeSeconds: z.number().min(0).max(604800),
  timeBased: z.boolean(),
  rampSeconds: z.number().min(0).max(86400),
  randSeed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  noRandomMap: z.boolean(),
  distribution: z.strictObject({
    kind: z.enum(DISTRIBUTIONS),
    parameter: z.number().min(0).max(100),
  }),
});

const experimentObject = z.strictObject({
  name: z.string().min(1).max(200),
  target: z.strictObject({
    device: z.strictObject({ id: z.string(), options: optionValues }),
    partition: z.int().min(1).max(1024).exactOptional(),
    inner: z
      .strictObject({
        file: z.string().min(1).max(4096),
        fileSystem: z.strictObject({ id: z.string(), options: optionValues }),
        fileSizeBytes: byteCount.nullable(),
        transfer: z.enum(['buffered', 'direct']),
        sectorBytes: z.int().min(512).max(4096),
      })
      .exactOptional(),
    fileSystem: z.strictObject({ id: z.string(), options: optionValues }),
    filePath: z.string().min(1).max(4096).nullable(),
    fileSizeBytes: byteCount.nullable(),
    create: z.strictObject({ sizeBytes: byteCount }).nullable(),
    by: z.enum(['engine', 'host']).exactOptional(),
    snapshot: z.enum(['none', 'before', 'restore']).exactOptional(),
    consentToWrite: z.boolean(),
  }),
  jobs: z.array(jobSchema).min(1).max(64),
  revision: z.string(),
  trace: z.strictObject({
    level: z.enum(['off', 'requests', 'full']),
    rowsMax: z.int().min(0).max(20_000_000),
  }),
}) satisfies z.ZodType<Experiment>;

/** Typed by the lab's own (read-only) type, so that an experiment goes in as it is. */
export const experimentSchema: z.ZodType<Experiment, Experiment> = experimentObject;

const explainRequestObject = z.strictObject({
  target: experimentObject.shape.target,
  op: z.enum(['read', 'write']),
  offsetBytes: byteCount,
  lengthBytes: z
    .int()
    .min(0)
    .max(2 ** 24),
  memoryOffsetBytes: z.int().min(0).max(4095),
  isAsync: z.boolean(),
  isDsync: z.boolean(),
  revision: z.string(),
});
/** The dial: two to all revisions, the first is what the others are held against. */
export const compareRequestSchema = z.strictObject({
  request: explainRequestObject.omit({ revision: true }),
  revisions: z.array(z.string()).min(1).max(16),
}) satisfies z.ZodType<CompareRequest>;

export const explainRequestSchema: z.ZodType<ExplainRequest, ExplainRequest> = explainRequestObject;

export const runIdSchema = z.string().regex(/^[0-9a-z-]{8,64}$/);
