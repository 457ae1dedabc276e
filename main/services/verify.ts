// SPDX-License-Identifier: GPL-2.0-only
/**
 * Verification of an image after a run: the file system's own checker, and every file as the kernel's own mount and as the engine read
 * it. What cannot be done here says why; it is no failure.
 *
 *   its turn among the runs --> fsck (reading) --> engine reads, kernel reads (main/host/native/compare-mounted.ts) --> kept with the run
 *
 * Rules: 1. Nothing is changed. 2. A partition is compared by a copy of it: the helper attaches whole images.
 */
import { rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';
import type { Place } from '../../engine/lab/workbench.ts';
import type { VerifyEvent, VerifyResult } from '../contract/grounds.ts';
import type { EngineHost } from '../host/engine-host.ts';
import type { MountedComparison } from '../host/messages.ts';
import { makeFolder, temporaryName } from './durable.ts';
import type { Journal } from './journal.ts';
import type { Runs } from './runs.ts';
import type { Targets } from './targets.ts';
import { extractRange } from './workbench/copies.ts';
import type { Workbench } from './workbench/index.ts';
import { asEvents, type WorkOf } from './workbench/transfers.ts';

/** Of the checker's output, from its end. */
const OUTPUT_CHARACTERS_MAX = 8192;
/** By the start of the file system's id: what the helper mounts. */
const MOUNTED = /^(ext[234]|xfs|btrfs)$/;

type Progress = Omit<VerifyEvent & { readonly kind: 'progress' }, 'kind'>;
type Report = (progress: Progress) => void;

export interface VerifyParts {
  readonly workbench: Workbench;
  readonly runs: Runs;
  readonly journal: Journal;
  readonly targets: Targets;
  /** The process that asks the helper. */
  readonly holder: EngineHost;
  /** For a copy of a partition. */
  readonly cacheFolder: string;
}
export interface VerifyAsk extends Place {
  /** The run that the result is kept with; null: it is not kept. */
  readonly runId: string | null;
}

const notCompared = (text: string): VerifyResult['comparison'] => ({
  state: 'not-run',
  files: 0,
  bytes: 0,
  text,
  firstDifference: null,
});

export class Verify {
  constructor(private readonly parts: VerifyParts) {}

  async *run(ask: VerifyAsk, signal?: AbortSignal): AsyncGenerator<VerifyEvent> {
    await this.assertAsk(ask);
    const work: WorkOf<Progress, { result: VerifyResult }> = async (report, abort) => {
      report({ phase: 'waiting', file: '', doneBytes: 0, totalBytes: null });
      const result = await this.parts.runs.alone(() => this.verify(ask, report, abort));
      if (ask.runId !== null) await this.parts.runs.keepVerify(ask.runId, result);
      return { result };
    };
    yield* asEvents(work, signal);
  }

  /** The run has to be one on this image, and over. */
  private async assertAsk({ path, partition, runId }: VerifyAsk): Promise<void> {
    if (!isAbsolute(path)) {
      throw new HostError({
        code: 'image.bad-path',
        message: `${JSON.stringify(path)} is not an absolute path`,
        where: path,
        hint: 'Give the whole path, from /.',
        exitCode: 64,
      });
    }
    if (runId === null) return;
    const { intent, isOwnerAlive } = await this.parts.journal.entry(runId);
    const { target } = intent.experiment;
    const own = this.parts.targets.pathOf(target);
    if (own !== path || (target.partition ?? null) !== partition) {
      const place = target.partition === undefined ? '' : `, partition ${String(target.partition)}`;
      throw new HostError({
        code: 'verify.other-image',
        message: `The run ${runId} was on ${own ?? 'no image file'}${place}`,
        where: path,
        hint: 'Name the image of the run, or leave the run out.',
        exitCode: 64,
      });
    }
    if (!isOwnerAlive) return;
    throw new HostError({
      code: 'run.not-ended',
      message: 'A run that has not ended cannot be verified',
      where: runId,
      hint: 'Wait for its end, or cancel it.',
      exitCode: 73,
    });
  }

  private async verify(ask: VerifyAsk, report: Report, abort: AbortSignal): Promise<VerifyResult> {
    abort.throwIfAborted();
    const { path, partition } = ask;
    const place = { path, partition };
    report({ phase: 'fsck', file: '', doneBytes: 0, totalBytes: null });
    const fsck = await this.check(place, abort);
    const comparison = await this.compare(place, report, abort).catch((error: unknown) => {
      // What cannot even be read is no surprise in a damaged image: the checker's word stands.
      if (fsck.state !== 'damaged' || abort.aborted || !(error instanceof HostError)) throw error;
      return notCompared(sentence(error));
    });
    return { imagePath: path, partition, atUnixMs: Date.now(), fsck, comparison };
  }

  private async check(place: Place, abort: AbortSignal): Promise<VerifyResult['fsck']> {
    try {
      const ask = { ...place, repair: false, consent: false };
      const { tool, meaning, state, output } = await this.parts.workbench.fsck(ask, abort);
      return {
        state: state === 'damaged' ? 'damaged' : 'clean',
        text: `${tool}: ${meaning}`,
        output: output.slice(-OUTPUT_CHARACTERS_MAX),
      };
    } catch (error) {
      if (!isMissing(error)) throw error;
      return { state: 'not-run', text: sentence(error), output: '' };
    }
  }

  private async compare(
    place: Place,
    report: Report,
    abort: AbortSignal,
  ): Promise<VerifyResult['comparison']> {
    const { fileSystemId, range } = await this.parts.workbench.rangeOf(place);
    if (!MOUNTED.test(fileSystemId)) {
      const what = fileSystemId === 'raw' ? 'There is no file system' : `This is ${fileSystemId}`;
      return notCompared(
        `${what}, and the helper mounts ext2, ext3, ext4, XFS and btrfs: nothing was compared.`,
      );
    }
    try {
      if (range === null) return await this.compareMounted(place, place.path, report, abort);
      const { cacheFolder } = this.parts;
      await makeFolder(cacheFolder);
      const copy = temporaryName(join(cacheFolder, 'partition'));
      try {
        await extractRange(place.path, range.startBytes, range.sizeBytes, copy, abort);
        return await this.compareMounted(place, copy, report, abort);
      } finally {
        await rm(copy, { force: true });
      }
    } catch (error) {
      if (!isMissing(error)) throw error;
      return notCompared(sentence(error));
    }
  }

  private async compareMounted(
    place: Place,
    mountedPath: string,
    report: Report,
    abort: AbortSignal,
  ): Promise<VerifyResult['comparison']> {
    const found = await this.parts.holder.receiveParts(
      { name: 'compare-mounted', ask: { place, mountedPath } },
      (part) => {
        if (part.kind === 'progress') {
          const { file, doneBytes, totalBytes } = part;
          const phase = totalBytes === null ? 'engine' : 'kernel';
          report({ phase, file, doneBytes, totalBytes });
        }
        return Promise.resolve();
      },
      abort,
    );
    return comparisonOf(found);
  }
}

/** What is missing here, and no fault of the image: no tool, no helper, a refusal of the helper. */
const isMissing = (error: unknown): error is HostError =>
  error instanceof HostError &&
  (/^(host\.missing-program|fsck\.no-checker|loop\.no-mount|host\.no-syscalls)$/.test(error.code) ||
    (error.code.startsWith('helper.') && error.code !== 'helper.protocol'));

const sentence = ({ message, hint }: HostError): string =>
  hint === undefined ? `${message}.` : `${message}. ${hint}`;

const counted = (count: number, one: string, many: string): string =>
  `${String(count)} ${count === 1 ? one : many}`;

/** Exported for its test. */
export function comparisonOf(found: MountedComparison): VerifyResult['comparison'] {
  const { files, bytes, others, unread, differences, first } = found;
  const read = `${counted(files, 'file', 'files')} of ${String(bytes)} bytes`;
  const rest = [
    ...(others === 0 ? [] : [`${counted(others, 'link or device', 'links and devices')} left out`]),
    ...(unread === 0 ? [] : [`${counted(unread, 'entry', 'entries')} that may not be read`]),
  ];
  const aside = rest.length === 0 ? '' : ` (${rest.join(', ')})`;
  if (first === null) {
    const text = `The kernel's own mount and the engine read the same: ${read}${aside}.`;
    return { state: 'equal', files, bytes, text, firstDifference: null };
  }
  const at = first.offsetBytes === null ? '' : ` at byte ${String(first.offsetBytes)}`;
  const more = differences === 1 ? '' : `; ${String(differences)} entries differ`;
  const text = `${first.file}${at}: ${first.what}${more} (of ${read})${aside}.`;
  return { state: 'different', files, bytes, text, firstDifference: first };
}
