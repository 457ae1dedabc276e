// SPDX-License-Identifier: GPL-2.0-only
/**
 * The typed API between any face (window, browser, terminal) and the services; all that renderer/ may import from main/.
 * One contract, carried over a MessagePort in the window and over a WebSocket in the browser. Failures are `HostErrorData` under the
 * oRPC error code 'HOST'. Bulk data goes by plain fetch (bulk.ts), not through here.
 */
import { eventIterator, oc } from '@orpc/contract';
import * as z from 'zod';
import {
  compareRequestSchema,
  experimentSchema,
  explainRequestSchema,
  runIdSchema,
} from './schemas.ts';
import { grounds, loops, runTraces, verify } from './grounds.ts';
import { lessons } from './lessons.ts';
import type {
  Comparison, ExhibitInfo, ExhibitRun,
  Catalogue, ExperimentCheck, Explanation, FileMap, HostErrorData, HostFacts, ImageEntry, ImageInfo, KeptRunResult, ParsedText,
  RunEvent, RunListEntry,
} from './types.ts'; // prettier-ignore
import { layoutRecipeSchema, workbench } from './workbench.ts';

/** Output that our own services made: typed, not checked again. */
const output = <T>(): z.ZodType<T> => z.custom<T>();

const hostError = {
  HOST: { status: 422, message: 'The host or the input refused', data: output<HostErrorData>() },
} as const;
const base = oc.errors(hostError);
const path = z.string().min(1).max(4096);
/** As `placeSchema` has it; absent: the whole image. */
const partition = z.int().min(1).max(1024).nullable().optional();
const textKind = z.enum(['yaml', 'fio']);

export const contract = {
  host: {
    /** What this machine can do (the doctor). `folder`: for which folder O_DIRECT is asked; default the data folder. */
    facts: base.input(z.strictObject({ folder: path.optional() })).output(output<HostFacts>()),
    /** All visible lists, so that forms come from the modules' own data. */
    catalogue: base.output(output<Catalogue>()),
  },
  images: {
    /** Images in the data folder and those used lately. */
    list: base.output(output<ImageInfo[]>()),
    probe: base.input(z.strictObject({ path })).output(output<ImageInfo>()),
    /** Makes a new image file; refuses an existing one. */
    make: base
      .input(
        z.strictObject({
          path: path.nullable(),
          name: z.string().max(100).nullable(),
          sizeBytes: z
            .int()
            .min(65536)
            .max(2 ** 46),
          fileSystemId: z.string(),
          options: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
          /** True: every block of the file is taken from the host at once; absent or false: a sparse file. */
          preallocate: z.boolean().optional(),
          /** Lays files out in the new image. */
          recipe: layoutRecipeSchema.nullable().optional(),
          /** Whose mkfs makes the file system: the lab's own (also where absent), or the host's; see `Catalogue.fileSystems`. */
          formatter: z.enum(['lab', 'system']).optional(),
        }),
      )
      .output(output<ImageInfo>()),
    entries: base
      .input(z.strictObject({ path, folder: z.string().max(4096), partition }))
      .output(output<ImageEntry[]>()),
    map: base
      .input(z.strictObject({ path, file: z.string().max(4096), partition }))
      .output(output<FileMap>()),
    /** Host folders and files, for choosing an image where there is no native dialog. */
    browse: base.input(z.strictObject({ folder: path.nullable() })).output(
      output<{
        folder: string;
        parent: string | null;
        entries: { name: string; path: string; kind: 'folder' | 'file'; sizeBytes: number }[];
      }>(),
    ),
    ...workbench,
  },
  experiments: {
    check: base.input(experimentSchema).output(output<ExperimentCheck>()),
    parse: base
      .input(z.strictObject({ text: z.string().max(1_000_000), kind: textKind }))
      .output(output<ParsedText>()),
    format: base
      .input(z.strictObject({ experiment: experimentSchema, kind: textKind }))
      .output(output<{ text: string; notes: string[] }>()),
    explain: base.input(explainRequestSchema).output(output<Explanation>()),
    /** The same request on several revisions, each held against the first. Never changes the image. */
    compare: base.input(compareRequestSchema).output(output<Comparison>()),
  },
  gallery: {
    list: base.output(output<ExhibitInfo[]>()),
    /** Runs an exhibit on its old and on its fixed revision. */
    run: base.input(z.strictObject({ id: z.string().max(80) })).output(output<ExhibitRun>()),
  },
  lessons,
  grounds,
  loops,
  verify,
  runs: {
    ...runTraces,
    start: base.input(experimentSchema).output(output<{ runId: string }>()),
    /** Progress of a running run from now on; ends with 'ended'. Frames are dropped rather than queued. */
    watch: base
      .input(z.strictObject({ runId: runIdSchema }))
      .output(eventIterator(output<RunEvent>())),
    cancel: base
      .input(z.strictObject({ runId: runIdSchema }))
      .output(output<{ acknowledged: boolean }>()),
    list: base.output(output<RunListEntry[]>()),
    /** Says when the list has changed. */
    watchList: base.output(eventIterator(output<RunListEntry[]>())),
    get: base.input(z.strictObject({ runId: runIdSchema })).output(output<KeptRunResult>()),
    rename: base
      .input(z.strictObject({ runId: runIdSchema, name: z.string().min(1).max(200) }))
      .output(output<RunListEntry>()),
    /** Marks as deleted; `restore` undoes it; purged at the next start. */
    remove: base
      .input(z.strictObject({ runId: runIdSchema }))
      .output(output<{ removed: boolean }>()),
    restore: base.input(z.strictObject({ runId: runIdSchema })).output(output<RunListEntry>()),
  },
};
export type Contract = typeof contract;
export * from './types.ts';
export type * from './grounds.ts';
export type * from './workbench.ts';
