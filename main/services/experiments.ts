// SPDX-License-Identifier: GPL-2.0-only
/** What can be said of an experiment before it runs: problems, alignment, a summary in words, the time it may take, consent. */
import { PAGE_BYTES, type HostErrorData } from '../../engine/base/index.ts';
import { judgeAlignment } from '../../engine/lab/alignment.ts';
import { checkExperiment, experimentWrites } from '../../engine/lab/check.ts';
import type { Comparison, CompareRequest } from '../../engine/lab/comparison.ts';
import type { Experiment, InnerImage, Job, Target } from '../../engine/lab/experiment.ts';
import type {
  AlignmentVerdict,
  ExplainRequest,
  Explanation,
} from '../../engine/lab/explanation.ts';
import { findRevision } from '../../engine/lab/lists.ts';
import type { ExperimentCheck, ImageInfo } from '../contract/types.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { failureData } from '../host/failure.ts';
import { bytesInWords, secondsInWords } from './words.ts';
import { consentProblem, type Images } from './images.ts';
import { summaryOf } from './journal.ts';
import type { Runs } from './runs.ts';
import { changesImage, type Targets } from './targets.ts';

const DEFAULT_BLOCK_BYTES = 4096;
const DEFAULT_LOGICAL_BYTES = 512;

/** The image of a target, as far as it is there. */
type Found =
  | { readonly kind: 'none' }
  | { readonly kind: 'new'; readonly path: string }
  | { readonly kind: 'missing'; readonly problem: HostErrorData }
  | { readonly kind: 'there'; readonly info: ImageInfo };

export class Experiments {
  constructor(
    private readonly targets: Targets,
    private readonly images: Images,
    private readonly runs: Runs,
    private readonly engine: EngineHost,
  ) {}

  async check(experiment: Experiment): Promise<ExperimentCheck> {
    const found = await this.find(experiment);
    const needsConsent =
      found.kind === 'there' && !found.info.madeByLab && changesImage(experiment);
    const problems = [...checkExperiment(experiment), ...imageProblems(experiment, found)];
    const damage = await this.damage(experiment, found);
    if (damage !== null) problems.push(damage);
    // What is no image at all is not made one by consent.
    const isUsable = found.kind !== 'there' || found.info.refusal === null;
    if (needsConsent && isUsable && !experiment.target.consentToWrite) {
      problems.push(consentProblem(found.info.path));
    }
    const willWriteBytes = writtenBytes(experiment);
    const estimate = await this.estimate(experiment);
    return {
      problems,
      alignment: alignmentOf(experiment, found),
      summary: [...summaryInWords(experiment, found, willWriteBytes), ...estimate.words],
      estimateSeconds: estimate.seconds,
      willWriteBytes,
      needsConsent,
    };
  }

  /** Tells step by step what happens to one request. It runs on an overlay in memory: nothing is written, so nobody has to agree. */
  async explain(request: ExplainRequest): Promise<Explanation> {
    findRevision(request.revision);
    return this.engine.call('explain', { ...request, target: this.overlaid(request.target) });
  }

  /** The same request on several revisions, on an overlay each. */
  async compare({ request, revisions }: CompareRequest): Promise<Comparison> {
    for (const id of revisions) findRevision(id);
    const target = this.overlaid(request.target);
    return this.engine.call('compare', { request: { ...request, target }, revisions });
  }

  private overlaid(asked: Target): Target {
    const target = { ...asked, consentToWrite: true };
    const path = this.targets.pathOf(target);
    if (path === null) return target;
    return { ...target, device: { ...target.device, options: { ...target.device.options, path } } };
  }

  /** Why nothing could be recognized in an image that has to hold a file system: its mount names the structure and the field. */
  private async damage(experiment: Experiment, found: Found): Promise<HostErrorData | null> {
    const { fileSystem, filePath } = experiment.target;
    if (found.kind !== 'there' || filePath === null || fileSystem.id === 'raw') return null;
    const { path, probe, refusal } = found.info;
    if (probe !== null || refusal !== null) return null;
    try {
      await this.images.entries(path, '/');
      return null;
    } catch (error) {
      return failureData(error);
    }
  }

  private async find(experiment: Experiment): Promise<Found> {
    const path = this.targets.pathOf(experiment.target);
    if (path === null) return { kind: 'none' };
    try {
      return { kind: 'there', info: await this.images.probe(path) };
    } catch (error) {
      const problem = failureData(error);
      if (problem.code !== 'image.missing') return { kind: 'missing', problem };
      return experiment.target.create === null
        ? { kind: 'missing', problem }
        : { kind: 'new', path };
    }
  }

  /** By its runtime, or by what runs like it took before; null where nothing is known. */
  private async estimate(
    experiment: Experiment,
  ): Promise<{ readonly seconds: number | null; readonly words: string[] }> {
    const bounds = experiment.jobs.map((job) => {
      const isBounded = job.runtimeSeconds > 0;
      return { job, seconds: isBounded ? job.runtimeSeconds + job.rampSeconds : null };
    });
    const longest = Math.max(0, ...bounds.map(({ seconds }) => seconds ?? 0));
    if (bounds.every(({ job }) => job.timeBased)) {
      return {
        seconds: longest,
        words: [`It takes ${secondsInWords(longest)}, as its runtime says.`],
      };
    }
    const bytes = movedBytes(experiment);
    const like = summaryOf(experiment);
    const earlier = (await this.runs.list()).find(
      ({ state, summary }) =>
        state === 'finished' &&
        (summary.bytesPerSecond ?? 0) > 0 &&
        summary.rw === like.rw &&
        summary.blockSizeBytes === like.blockSizeBytes &&
        summary.ioEngine === like.ioEngine &&
        summary.ioDepth === like.ioDepth &&
        summary.fileSystem === like.fileSystem,
    );
    const rate = earlier?.summary.bytesPerSecond ?? null;
    if (rate === null || bytes === null) {
      if (bounds.every(({ seconds }) => seconds !== null)) {
        return { seconds: longest, words: [`It takes ${secondsInWords(longest)} at most.`] };
      }
      return {
        seconds: null,
        words: ['How long it takes is not known: no run like it was made yet.'],
      };
    }
    const expected = bytes / rate;
    const isCut = bounds.every(({ seconds }) => seconds !== null) && longest < expected;
    const seconds = isCut ? longest : expected;
    return {
      seconds,
      words: [
        `It takes ${seconds < 0.1 ? '' : 'about '}${secondsInWords(seconds)}, judged by the last run like it (${bytesInWords(rate)} a second).`,
      ],
    };
  }
}

function imageProblems(experiment: Experiment, found: Found): HostErrorData[] {
  if (found.kind === 'missing') return [found.problem];
  if (found.kind !== 'there') return [];
  const { info } = found;
  if (info.refusal !== null) return [info.refusal];
  const problems: HostErrorData[] = [];
  if (changesImage(experiment) && !info.writable) {
    problems.push({
      code: 'image.permission',
      message: `${info.path} may not be written`,
      where: info.path,
      hint: 'Change its owner or mode, or use a copy.',
      exitCode: 77,
    });
  }
  const asked = experiment.target.fileSystem.id;
  if (asked !== 'auto' && asked !== 'raw' && info.probe !== null && info.fileSystemId !== asked) {
    problems.push({
      code: 'image.no-file-system',
      message: `${info.path} holds ${info.fileSystemId}, not ${asked}`,
      where: info.path,
      hint: 'Choose the file system "auto", or another image.',
      exitCode: 65,
    });
  }
  return [...problems, ...areaProblems(experiment, info)];
}

/** Areas beyond the end of a raw image: known before the run. */
function areaProblems(experiment: Experiment, info: ImageInfo): HostErrorData[] {
  if (experiment.target.filePath !== null) return [];
  return experiment.jobs
    .filter((job) => job.offsetBytes + (job.sizeBytes ?? 0) > info.sizeBytes)
    .map((job) => ({
      code: 'job.beyond-image',
      message: `job ${job.name} goes to byte ${String(job.offsetBytes + (job.sizeBytes ?? 0))}, the image has ${String(info.sizeBytes)}`,
      where: `job ${job.name}`,
      hint: 'Make its size or offset smaller, or the image larger.',
      exitCode: 65,
    }));
}

const choiceBytes = (value: unknown): number | null => {
  const bytes = Number(value);
  return Number.isSafeInteger(bytes) && bytes >= 512 ? bytes : null;
};

/** One verdict for each block size of each job, in their order. */
function alignmentOf(experiment: Experiment, found: Found): AlignmentVerdict[] {
  const { device, fileSystem } = experiment.target;
  const info = found.kind === 'there' ? found.info : null;
  const chosen = Object.entries(fileSystem.options).find(([name]) =>
    /^block(Size)?(Bytes)?$/.test(name),
  );
  const logicalBlockBytes =
    choiceBytes(device.options['logicalBlockBytes']) ??
    choiceBytes(info?.offsetAlignBytes) ??
    DEFAULT_LOGICAL_BYTES;
  const fsBlockBytes =
    info?.probe?.blockSizeBytes ?? choiceBytes(chosen?.[1]) ?? DEFAULT_BLOCK_BYTES;
  return experiment.jobs.flatMap((job) =>
    job.blockSizes.map(({ sizeBytes }) => {
      const { offsetBytes, lengthBytes, memoryBytes } = job.alignment;
      const question = {
        offsetBytes: Math.max(0, job.offsetBytes + offsetBytes),
        lengthBytes: Math.max(0, sizeBytes + lengthBytes),
        memoryBytes: memoryBytes % PAGE_BYTES,
        fsBlockBytes,
        logicalBlockBytes,
      };
      const first = judgeAlignment(question);
      // With a length dial the second request starts where the block size, not the length, puts it.
      if (!first.passes || lengthBytes === 0) return first;
      return judgeAlignment({ ...question, offsetBytes: question.offsetBytes + sizeBytes });
    }),
  );
}

const writeShare = (job: Job): number => {
  if (job.rw === 'write' || job.rw === 'randwrite') return 1;
  return job.rw === 'rw' || job.rw === 'randrw' ? 1 - job.rwMixReadPercent / 100 : 0;
};

/** Bytes that one clone of a job moves; null where only its runtime says. */
function jobBytes(experiment: Experiment, job: Job): number | null {
  if (job.timeBased) return null;
  const { target } = experiment;
  const whole =
    target.fileSizeBytes ?? (target.filePath === null ? (target.create?.sizeBytes ?? null) : null);
  const area = job.sizeBytes ?? (whole === null ? null : Math.max(0, whole - job.offsetBytes));
  return job.ioSizeBytes ?? area;
}

function movedBytes(experiment: Experiment): number | null {
  let total = 0;
  for (const job of experiment.jobs) {
    const bytes = jobBytes(experiment, job);
    if (bytes === null) return null;
    total += bytes * job.numJobs;
  }
  return total;
}

/** What the load writes, without the layout of its file; null where only its runtime says. */
function writtenBytes(experiment: Experiment): number | null {
  let total = 0;
  for (const job of experiment.jobs) {
    const share = writeShare(job);
    if (share === 0) continue;
    const bytes = jobBytes(experiment, job);
    if (bytes === null) return null;
    total += Math.round(bytes * share) * job.numJobs;
  }
  return total;
}

const PATTERN_WORDS: Readonly<Record<Job['rw'], string>> = {
  read: 'reads in order',
  write: 'writes in order',
  randread: 'reads at random places',
  randwrite: 'writes at random places',
  rw: 'reads and writes in order',
  randrw: 'reads and writes at random places',
};

function innerInWords({ file, fileSizeBytes, transfer }: InnerImage): string {
  const made =
    fileSizeBytes === null ? '' : `, made with ${bytesInWords(fileSizeBytes)} where it is smaller`;
  const how = transfer === 'direct' ? 'hands its pages down' : 'goes through the lower page cache';
  return `The image lies in ${file} of it${made}, under the engine's loop driver, which ${how}.`;
}

function summaryInWords(
  experiment: Experiment,
  found: Found,
  willWriteBytes: number | null,
): string[] {
  const { target } = experiment;
  const where = target.filePath ?? 'the whole device';
  const words: string[] = [];
  if (found.kind === 'new') {
    words.push(
      `Makes the image ${found.path} of ${bytesInWords(target.create?.sizeBytes ?? 0)} with ${target.fileSystem.id}.`,
    );
  } else if (found.kind === 'there') {
    words.push(
      `Uses the image ${found.info.path}${found.info.madeByLab ? ', made by the lab' : ''}.`,
    );
  } else if (found.kind === 'none') {
    words.push(`Uses the device ${target.device.id}; no file of this host is touched.`);
  }
  if (target.inner !== undefined) words.push(innerInWords(target.inner));
  if (target.fileSizeBytes !== null) {
    words.push(`Lays ${where} out to ${bytesInWords(target.fileSizeBytes)} where it is smaller.`);
  }
  for (const job of experiment.jobs) {
    const sizes = job.blockSizes.map(({ sizeBytes }) => bytesInWords(sizeBytes)).join(', ');
    const copies = job.numJobs > 1 ? `${String(job.numJobs)} times side by side: ` : '';
    // A synchronous engine has one request in flight, whatever depth is asked for.
    const engine =
      job.ioEngine === 'sync' ? 'sync' : `${job.ioEngine} at depth ${String(job.ioDepth)}`;
    words.push(
      `${copies}${job.name} ${PATTERN_WORDS[job.rw]} in ${where}, ${sizes} a request, with ${engine}, ${job.direct ? 'direct' : 'through the page cache'}.`,
    );
  }
  if (experimentWrites(experiment)) {
    words.push(
      willWriteBytes === null
        ? 'Writes until its runtime is over.'
        : `Writes ${bytesInWords(willWriteBytes)}.`,
    );
  }
  return words;
}
