// SPDX-License-Identifier: GPL-2.0-only
/**
 * Measures one job on several grounds (engine/lab/grounds.ts): run after run, each in an engine process of its own, in an order that
 * the seed shuffles, round by round. Kept as one small file each; the single runs are not kept.
 *
 *   start --its turn among the runs--> image made, file laid out (not measured) --> rounds --> result
 *                                                          cancel: what runs is stopped, what was measured is kept
 */
import { readdir, rm } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import { assertExperiment } from '../../engine/lab/check.ts';
import type { Experiment, Job } from '../../engine/lab/experiment.ts';
import {
  groundOrder,
  groundRows,
  GROUNDS,
  onGround,
  sampleOf,
  type GroundId,
  type GroundSample,
} from '../../engine/lab/grounds.ts';
import type { RunResult } from '../../engine/lab/result.ts';
import type {
  GroundInfo,
  GroundsEvent,
  GroundsRequest,
  GroundsResult,
} from '../contract/grounds.ts';
import type { EngineHost, RunningEngine } from '../host/engine-host.ts';
import { failureData } from '../host/failure.ts';
import { makeFolder, readJson, writeJson } from './durable.ts';
import type { Images } from './images.ts';
import { newRunId } from './journal.ts';
import type { Runs } from './runs.ts';
import { Signal } from './signal.ts';
import type { Targets } from './targets.ts';

/** Long enough to lay the file out and to touch it; nothing of it is counted. */
const PREPARE_SECONDS = 0.2;

/** A measurement of this process. */
class Measurement {
  result: GroundsResult;
  text = 'Waiting for the run before it';
  fraction = 0;
  engine: RunningEngine | null = null;
  isOver = false;
  readonly abort = new AbortController();
  readonly changed = new Signal();

  constructor(result: GroundsResult) {
    this.result = result;
  }
  say(text: string, fraction: number): void {
    this.text = text;
    this.fraction = fraction;
    this.changed.raise();
  }
  update(change: Partial<GroundsResult>): void {
    this.result = { ...this.result, ...change };
    this.changed.raise();
  }
}

/** What every run of a measurement starts from. */
interface Prepared {
  readonly experiment: Experiment;
  readonly plainSizeBytes: number;
}

export interface GroundsParts {
  readonly folder: string;
  readonly engine: EngineHost;
  readonly runs: Runs;
  readonly targets: Targets;
  readonly images: Images;
}

/** The same load for a given time, from its start. */
function timed(job: Job, seconds: number): Job {
  return { ...job, timeBased: true, runtimeSeconds: seconds, rampSeconds: 0 };
}

export class Grounds {
  private readonly active = new Map<string, Measurement>();

  constructor(private readonly parts: GroundsParts) {}

  /** All grounds with what keeps each from this experiment. */
  async list(experiment: Experiment): Promise<GroundInfo[]> {
    const facts = await this.parts.engine.call('facts', { folder: this.parts.folder });
    const helper = facts.find(({ id }) => id === 'helper');
    const hasImage = this.parts.targets.pathOf(experiment.target) !== null;
    return GROUNDS.map((ground) => {
      const { id, title, help } = ground;
      let why = ground.refusal(experiment);
      if (!hasImage && id !== 'engine') why = 'the job is not on an image file';
      if (why === null && ground.needsHelper && helper?.state !== 'yes') {
        why = `the privileged helper is not here: ${helper?.remedy ?? helper?.text ?? 'not known'}`;
      }
      return { id, title, help, unavailableWhy: why };
    });
  }

  /** Checks, and takes its turn. Throws `HostError` where a ground cannot be measured or nobody agreed to the writes. */
  async start(request: GroundsRequest): Promise<{ id: string }> {
    assertExperiment(request.experiment);
    const infos = await this.list(request.experiment);
    const refused = infos.find(
      ({ id, unavailableWhy }) => request.grounds.includes(id) && unavailableWhy !== null,
    );
    if (refused !== undefined) {
      throw new HostError({
        code: 'grounds.unavailable',
        message: `${refused.title} cannot be measured: ${refused.unavailableWhy ?? ''}`,
        where: refused.id,
        hint: 'Leave this ground out, or change the job.',
        exitCode: 78,
      });
    }
    const experiment = await this.parts.targets.prepare(request.experiment);
    const startedAtUnixMs = Date.now();
    const id = newRunId(startedAtUnixMs);
    const { grounds, rounds, seed } = request;
    const measurement = new Measurement({
      id,
      name: experiment.name,
      startedAtUnixMs,
      state: 'preparing',
      experiment,
      grounds,
      rounds,
      seed,
      order: groundOrder(grounds, rounds, seed),
      samples: [],
      rows: [],
      machine: `Linux ${release()}, ${cpus()[0]?.model.trim() ?? 'processor not known'}`,
      failure: null,
    });
    this.active.set(id, measurement);
    void this.parts.runs.alone(() => this.carryOut(measurement, request.secondsPerRun));
    return { id };
  }

  async *watch(id: string, signal?: AbortSignal): AsyncGenerator<GroundsEvent> {
    const measurement = this.active.get(id);
    if (measurement === undefined) {
      yield { kind: 'result', result: await this.get(id) };
      return;
    }
    let given: GroundsResult | null = null;
    for (;;) {
      const seen = measurement.changed.count;
      const { text, fraction, result, isOver } = measurement;
      yield { kind: 'progress', text, fraction };
      if (given !== result) yield { kind: 'result', result };
      given = result;
      if (isOver || signal?.aborted === true) return;
      await measurement.changed.wait(seen, signal);
    }
  }

  async cancel(id: string): Promise<{ acknowledged: boolean }> {
    const measurement = this.active.get(id);
    if (measurement === undefined || measurement.isOver) return { acknowledged: false };
    measurement.abort.abort();
    await measurement.engine?.stop();
    return { acknowledged: true };
  }

  async get(id: string): Promise<GroundsResult> {
    const active = this.active.get(id);
    if (active !== undefined) return active.result;
    const stored = await readJson(this.pathOf(id));
    if (stored !== null) return stored as GroundsResult;
    throw new HostError({
      code: 'grounds.unknown',
      message: `There is no measurement ${id}`,
      where: id,
      hint: 'The list shows those there are.',
      exitCode: 66,
    });
  }

  async results(): Promise<GroundsResult[]> {
    const names = await readdir(this.parts.folder).catch(() => []);
    const ids = new Set([
      ...names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5)),
      ...this.active.keys(),
    ]);
    const sorted = [...ids].sort().reverse();
    return Promise.all(sorted.map((id) => this.get(id)));
  }

  async remove(id: string): Promise<{ removed: boolean }> {
    const active = this.active.get(id);
    if (active?.isOver === false) {
      throw new HostError({
        code: 'grounds.not-ended',
        message: 'A measurement that has not ended cannot be removed',
        where: id,
        hint: 'Cancel it first.',
        exitCode: 73,
      });
    }
    await this.get(id);
    this.active.delete(id);
    await rm(this.pathOf(id), { force: true });
    return { removed: true };
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.active.keys()].map((id) => this.cancel(id)));
  }

  private pathOf(id: string): string {
    return join(this.parts.folder, `${id}.json`);
  }

  /** From its turn to its end. Never rejects. */
  private async carryOut(measurement: Measurement, secondsPerRun: number | null): Promise<void> {
    let change: Partial<GroundsResult>;
    try {
      const prepared = await this.prepare(measurement, secondsPerRun);
      await this.measure(measurement, prepared);
      change = { state: 'finished' };
    } catch (error) {
      const failure: HostErrorData = failureData(error);
      const isCancelled = measurement.abort.signal.aborted;
      change = isCancelled ? { state: 'cancelled' } : { state: 'failed', failure };
    }
    measurement.update(change);
    try {
      await makeFolder(this.parts.folder);
      await writeJson(this.pathOf(measurement.result.id), measurement.result);
    } catch (error) {
      measurement.update({ state: 'failed', failure: failureData(error) });
    }
    measurement.isOver = true;
    measurement.changed.raise();
  }

  /** The image is made and the file laid out, by a short run of the engine that is not measured. */
  private async prepare(measurement: Measurement, secondsPerRun: number | null): Promise<Prepared> {
    const { targets, images, engine } = this.parts;
    const { experiment } = measurement.result;
    const { signal } = measurement.abort;
    measurement.update({ state: 'running' });
    measurement.say('Preparing the image', 0);
    const target = await targets.make(experiment.target, signal, (text) => {
      measurement.say(text, 0);
    });
    const jobs = experiment.jobs.map((job) => timed(job, PREPARE_SECONDS));
    await this.runOne(measurement, { ...onGround({ ...experiment, jobs }, 'engine'), target });
    const path = targets.pathOf(target) ?? '';
    const { filePath } = target;
    let plainSizeBytes = target.fileSizeBytes;
    if (filePath !== null) {
      plainSizeBytes ??= (await engine.call('map', { path, file: filePath })).sizeBytes;
    }
    // A plain file of the host needs a size; on a raw target the engine takes none.
    plainSizeBytes ??= (await images.probe(path)).sizeBytes;
    const measured =
      secondsPerRun === null
        ? experiment.jobs
        : experiment.jobs.map((job) => timed(job, secondsPerRun));
    return { experiment: { ...experiment, jobs: measured, target }, plainSizeBytes };
  }

  private async measure(measurement: Measurement, prepared: Prepared): Promise<void> {
    const { order } = measurement.result;
    const total = order.reduce((sum, round) => sum + round.length, 0);
    const samples: GroundSample[] = [];
    for (const [round, ids] of order.entries()) {
      for (const id of ids) {
        measurement.abort.signal.throwIfAborted();
        const title = GROUNDS.find((ground) => ground.id === id)?.title ?? id;
        const text = `Round ${String(round + 1)} of ${String(order.length)}: ${title}`;
        measurement.say(text, samples.length / total);
        samples.push(await this.sample(measurement, prepared, id, round));
        measurement.update({ samples: [...samples], rows: groundRows(samples) });
      }
    }
    measurement.say('Finished', 1);
  }

  /** What a ground refuses is a sample without numbers: the others go on. */
  private async sample(
    measurement: Measurement,
    { experiment, plainSizeBytes }: Prepared,
    id: GroundId,
    round: number,
  ): Promise<GroundSample> {
    const asked = onGround(experiment, id);
    const isPlain = id === 'host-file';
    const target = { ...asked.target, ...(isPlain && { fileSizeBytes: plainSizeBytes }) };
    try {
      const result = await this.runOne(measurement, { ...asked, target });
      return sampleOf(id, round, result);
    } catch (error) {
      measurement.abort.signal.throwIfAborted();
      return emptySample(id, round, failureData(error).message);
    }
  }

  private async runOne(measurement: Measurement, experiment: Experiment): Promise<RunResult> {
    const running = this.parts.engine.startRun(experiment, {
      onProgress: () => undefined,
      onBatch: () => Promise.resolve(),
    });
    measurement.engine = running;
    if (measurement.abort.signal.aborted) void running.stop();
    const end = await running.ended;
    measurement.engine = null;
    measurement.abort.signal.throwIfAborted();
    if (end.kind === 'ended') return end.result;
    throw new HostError(end.error);
  }
}

const emptySample = (ground: GroundId, round: number, failure: string): GroundSample => ({
  ground,
  round,
  iops: 0,
  bytesPerSecond: 0,
  p50Ns: 0,
  p99Ns: 0,
  cpuUserNs: 0,
  cpuSystemNs: 0,
  requests: 0,
  askedBytes: 0,
  movedBytes: null,
  cacheGrowthBytes: null,
  failure,
});
