// SPDX-License-Identifier: GPL-2.0-only
/**
 * One experiment, from its description to its result. Blocks the calling thread until it is over.
 *
 *   check --> open (arena, kernel, device, format, mount, lay out) --> ramp, run --stop--> drain --> fsync --> unmount, close --> result
 *
 * Rules: 1. The order of stopping: nothing more is submitted, all that is in flight is reaped, the file system is unmounted (and so
 * marked clean), the device is closed. No buffer is reused before its request is back. 2. A stop is looked at between any two
 * turns, and a turn waits at most 20 ms. 3. A device that answers nothing for `STALL_NS` (for `DRAIN_STALL_NS` after a stop) is given
 * up: the result says so, nothing is freed or closed, and the caller ends the process. 4. Where time is the model's own, the run's
 * times and runtimes are; only progress goes by the real clock. 5. Evidence and counters cover the load and what it left to be written
 * (fsync at the end), not preparing and unmounting.
 */
import {
  assert,
  HostError,
  InvariantError,
  KernelBug,
  PAGE_BYTES,
  type HostErrorData,
} from '../base/index.ts';
import { ZERO_PAGE } from '../memory/index.ts';
import { intervalForNs, RequestRows, TimeSeries } from '../metrics/index.ts';
import { newIoCounters, type FileExtent, type IoCounters } from '../vfs/index.ts';
import { RequestStream, writesData } from '../workload/index.ts';
import {
  assertExperiment,
  bufferPages,
  depthOf,
  experimentWrites,
  slotCount,
  slotPages,
} from './check.ts';
import type { LabPorts, RunControl, RunOutcome } from './door.ts';
import type { Experiment, Job } from './experiment.ts';
import { endTheRest, kernelBugFailure } from './kernel-bug.ts';
import {
  addKernelEvents,
  compareWithKernel,
  kernelTraceNotes,
  parseKernelEvents,
} from './kernel-trace.ts';
import { JobClone, JobRecord, type LoadContext } from './load.ts';
import { loopBefore, loopEvidence, upperCopiedBytes, type LoopBefore } from './nested.ts';
import { loopNotes } from './nested-words.ts';
import { openHostTarget } from './host-target.ts';
import { openTarget, RunCancelled, type PrepareControl, type RunTarget } from './open-target.ts';
import { ProgressReporter } from './progress.ts';
import type {
  DeviceCounters,
  HostEvidence,
  LoopEvidence,
  RevisionEffects,
  RunResult,
} from './result.ts';
import {
  countersSince,
  deviceCountersSince,
  jobResults,
  NO_EVIDENCE,
  sectorFinder,
  type CpuTimes,
} from './run-result.ts';
import { revisionNotes } from './revision-effects.ts';
import { verdictOf } from './verdict.ts';
import { countText } from './words.ts';

/** A device that ends nothing for so long while requests are in flight has failed (the kernel's own time-out is 30 s, tried again). */
const STALL_NS = 120e9;
/** The same once the person wants to stop. */
const DRAIN_STALL_NS = 2.5e9;
/** Points of the time series. */
const SERIES_POINTS_MAX = 1200;
/** Turns without a look at the clock of the progress. */
const TURNS_PER_LOOK = 16;

/** Runs an experiment. Throws `HostError` for what is refused before the first request; after it the outcome says what failed. */
export function runExperiment(
  experiment: Experiment,
  ports: LabPorts,
  control: RunControl,
): RunOutcome {
  assertExperiment(experiment);
  const startedAtUnixMs = ports.unixMs();
  const progress = new ProgressReporter(ports, control);
  const startNs = ports.clock.nowNs();
  try {
    const target = openForRun(experiment, ports, prepareControl(ports, control, progress));
    return new Run(experiment, ports, control, target, progress, startedAtUnixMs).go();
  } catch (error) {
    if (error instanceof KernelBug) {
      throw new HostError(kernelBugFailure(error, null, experiment.revision));
    }
    if (!(error instanceof RunCancelled)) throw error;
    return cancelledOutcome(experiment, startedAtUnixMs, ports.clock.nowNs() - startNs);
  }
}

function prepareControl(
  ports: LabPorts,
  control: RunControl,
  progress: ProgressReporter,
): PrepareControl {
  return {
    isStopRequested: () => control.isStopRequested(),
    nowNs: () => ports.clock.nowNs(),
    onPhase: (text, fraction) => {
      progress.preparing(text, fraction);
    },
  };
}

function openForRun(experiment: Experiment, ports: LabPorts, control: PrepareControl): RunTarget {
  const job = experiment.jobs[0] as Job;
  const slots = slotCount(experiment);
  control.onPhase('Opening the device', null);
  const open = experiment.target.by === 'host' ? openHostTarget : openTarget;
  return open(
    {
      target: experiment.target,
      revision: experiment.revision,
      traceRowsMax: experiment.trace.level === 'full' ? experiment.trace.rowsMax : 0,
      userPages: bufferPages(experiment),
      // One engine thread cannot block in several places: several synchronous jobs need threads.
      ioEngine: job.ioEngine === 'sync' && slots > 1 ? 'threads' : job.ioEngine,
      depth: slots,
      submitBatch: job.submitBatch,
      direct: job.direct,
      writes: experimentWrites(experiment),
      withCallers: true,
    },
    ports,
    control,
  );
}

class Run {
  private readonly records: JobRecord[] = [];
  private readonly clones: JobClone[] = [];
  private readonly context: LoadContext;
  private readonly rows: RequestRows;
  private readonly series: TimeSeries;
  private readonly notes: string[];
  private state: RunResult['state'] = 'finished';
  private failure: HostErrorData | null = null;
  private loop: LoopEvidence | null = null;
  private isStalled = false;
  private lostBytes = 0;
  private turns = 0;
  private lastDoneIos = -1;
  private lastDoneNs = 0;
  private elapsedNs = 0;

  constructor(
    private readonly experiment: Experiment,
    private readonly ports: LabPorts,
    private readonly control: RunControl,
    private readonly target: RunTarget,
    private readonly progress: ProgressReporter,
    private readonly startedAtUnixMs: number,
  ) {
    const { trace } = experiment;
    this.notes = [...target.notes];
    this.rows = new RequestRows(trace.level === 'off' ? 0 : trace.rowsMax);
    this.series = new TimeSeries(intervalForNs(expectedNs(experiment)), SERIES_POINTS_MAX);
    this.context = {
      kernel: target.kernel,
      file: target.file,
      series: this.series,
      rows: this.rows,
      trace: target.trace,
      startNs: 0,
      inFlight: 0,
      doneIos: 0,
      doneBytes: 0,
      stoppedAt: null,
    };
  }

  go(): RunOutcome {
    const { target, ports } = this;
    try {
      this.makeClones();
    } catch (error) {
      // A job that does not fit the file: nothing was asked of it yet, and it is left as clean as it was.
      target.close();
      throw error;
    }
    this.noteChoices();
    const image = target.openDevice.image;
    const stopWatching = image !== null ? (ports.watchHost?.(image.path) ?? null) : null;
    const countersBefore: IoCounters = { ...target.counters };
    const deviceBefore: DeviceCounters = { ...target.deviceCounters };
    const loopAtStart = target.loop === undefined ? null : loopBefore(target.loop);
    const cpuBefore = ports.cpuTimes();
    this.load();
    const cpuAfter = ports.cpuTimes();
    const evidence = {
      ...(stopWatching === null ? NO_EVIDENCE : stopWatching()),
      isDirect: image?.isDirect ?? false,
      directRefusedWhy: image?.directRefusedWhy ?? null,
    };
    const changed = image?.changedWhy?.() ?? null;
    if (changed !== null) this.notes.push(`${changed}.`);
    this.addKernelEvents();
    const counters = countersSince(target.counters, countersBefore);
    const device = deviceCountersSince(target.deviceCounters, deviceBefore);
    if (loopAtStart !== null) this.takeLoopEvidence(loopAtStart, counters.fallbackBytes);
    const toSector = this.finish();
    const cpu = {
      userNs: cpuAfter.userNs - cpuBefore.userNs,
      systemNs: cpuAfter.systemNs - cpuBefore.systemNs,
    };
    return this.outcome(evidence, counters, device, cpu, toSector);
  }

  /** What the host's kernel did with a real device joins the trace, and is held against what the engine asked of it. */
  private addKernelEvents(): void {
    const { target, notes } = this;
    const captured = target.openDevice.takeKernelEvents?.();
    if (captured === undefined || target.trace === null) return;
    const found = parseKernelEvents(captured.text);
    addKernelEvents(target.trace, found, captured.clockMinusMonotonicNs);
    notes.push(...kernelTraceNotes(found, compareWithKernel(target.trace.columns())));
  }

  /** While both files are open: what the loop driver copied, and what is cached twice. */
  private takeLoopEvidence(before: LoopBefore, fallbackBytes: number): void {
    const { target, experiment, records } = this;
    const { loop, file, blockSizeBytes, kernel } = target;
    if (loop === undefined || this.isStalled) return;
    const copied = upperCopiedBytes(experiment, records, fallbackBytes);
    let extents: readonly FileExtent[] = [];
    if (this.failure === null) {
      const found = kernel.runTask('extents', file.extents());
      if (found.ok) extents = found.value;
    }
    const upper = { file, blockBytes: blockSizeBytes };
    this.loop = loopEvidence(loop, before, upper, extents, copied);
  }

  private makeClones(): void {
    const { experiment, target, context } = this;
    const { memory } = target.kernel;
    let slotId = 0;
    experiment.jobs.forEach((job, jobIndex) => {
      const record = new JobRecord();
      this.records.push(record);
      const limitBytes = this.areaLimitBytes(job);
      for (let clone = 0; clone < job.numJobs; clone++) {
        const buffers: number[] = [];
        for (let slot = 0; slot < depthOf(job); slot++) {
          const page = memory.allocatePages(slotPages(job));
          assert(page > 0, 'the arena has room for all buffers', { slotId });
          buffers.push(page * PAGE_BYTES + job.alignment.memoryBytes);
        }
        const stream = new RequestStream(job, limitBytes, jobIndex, clone);
        this.clones.push(new JobClone(context, job, jobIndex, stream, record, buffers, slotId));
        slotId += buffers.length;
      }
    });
    this.fillBuffers();
  }

  /** Data that is neither zero nor the same twice, so that nothing below takes a short cut. */
  private fillBuffers(): void {
    const { words } = this.target.kernel.memory.arena;
    for (const clone of this.clones) {
      if (!writesData(clone.job.rw)) continue;
      for (const { segment } of clone.slots) {
        const first = Math.floor(segment.addressBytes / PAGE_BYTES) * (PAGE_BYTES / 4);
        const count = slotPages(clone.job) * (PAGE_BYTES / 4);
        for (let at = 0; at < count; at++)
          words[first + at] = Math.imul(first + at + 1, 0x9e3779b1);
      }
    }
  }

  /** Where areas end: at the end of the file, except that writes may extend a file by an area with a size of its own. */
  private areaLimitBytes(job: Job): number {
    const { file } = this.target;
    const { sizeBytes } = file.inode;
    if (job.sizeBytes === null) return sizeBytes;
    const endBytes = job.offsetBytes + job.sizeBytes;
    const mayExtend = file.inode.kind === 'file' && (job.rw === 'write' || job.rw === 'randwrite');
    if (mayExtend || endBytes <= sizeBytes) return endBytes;
    const what = file.inode.kind === 'file' ? 'the file' : 'the device';
    throw new HostError({
      code: 'job.area-beyond-end',
      message: `job ${job.name}: its area ends at byte ${String(endBytes)}, ${what} at ${String(sizeBytes)}`,
      where: `job ${job.name}`,
      hint: 'Make size and offset smaller, or give the target a larger file size.',
      exitCode: 65,
    });
  }

  private noteChoices(): void {
    const { experiment, notes, target } = this;
    const choice = target.openDevice.executorChoice;
    const [job] = experiment.jobs;
    if (job?.ioEngine === 'sync' && slotCount(experiment) > 1) {
      notes.push(
        'Several synchronous jobs run in one engine thread, so the host is asked by threads, one for each job.',
      );
    }
    for (const { name, ioEngine, ioDepth } of experiment.jobs) {
      if (ioEngine === 'sync' && ioDepth > 1) {
        notes.push(
          `Job ${name}: a synchronous engine has one request in flight, its depth of ${String(ioDepth)} has no effect.`,
        );
      }
    }
    for (const { id, why } of choice?.refusals ?? []) notes.push(`${id} was refused: ${why}.`);
    // The executor's own words say it better where it has any.
    if (choice !== null && choice.depthGot < choice.depthAsked && !choice.notes?.length) {
      notes.push(
        `The host's executor has ${String(choice.depthGot)} slots, ${String(choice.depthAsked)} were asked for.`,
      );
    }
    for (const note of choice?.notes ?? []) notes.push(note);
  }

  /** From the first request to the last; failures on the way become the outcome's. */
  private load(): void {
    const { context, target, ports } = this;
    const realStartNs = ports.clock.nowNs();
    this.lastDoneNs = realStartNs;
    context.startNs = target.clock.nowNs();
    this.progress.begin(this.clones, context, this.series, target.virtualTime);
    try {
      target.kernel.runUntil(() => this.turn());
      if (!this.isStalled) this.endSyncs();
    } catch (error) {
      this.failed(error);
      if (error instanceof KernelBug) this.endAfterBug();
    }
    this.elapsedNs = target.clock.nowNs() - context.startNs;
    this.series.finish(this.elapsedNs, context.inFlight);
  }

  /** What the kernel model or the host broke is an outcome; anything else is a fault of ours. */
  private failed(error: unknown): void {
    this.state = 'failed';
    if (error instanceof HostError) this.failure = error.toJSON();
    else if (error instanceof KernelBug) {
      const { context, experiment } = this;
      this.failure = kernelBugFailure(error, context.stoppedAt, experiment.revision);
    } else if (error instanceof InvariantError) {
      this.failure = {
        code: 'engine.invariant',
        message: error.message,
        hint: 'This is a fault of the lab; the trace up to it is kept.',
        exitCode: 1,
      };
    } else throw error;
  }

  /** The modelled kernel stopped: nothing more is submitted, what is in flight ends. */
  private endAfterBug(): void {
    const { clock } = this.ports;
    for (const clone of this.clones) clone.stop();
    const startNs = clock.nowNs();
    const { kernel, file } = this.target;
    const isGivenUp = (): boolean => clock.nowNs() - startNs > STALL_NS;
    this.isStalled = !endTheRest(kernel, file.inode, isGivenUp);
    const left = this.context.inFlight;
    if (left > 0) {
      this.notes.push(`The kernel stopped in ${countText(left, 'request')}, which never ended.`);
    }
  }

  /** Submits what there is room for, until everything sleeps or is in flight. True: the load is over. */
  private turn(): boolean {
    const { kernel } = this.target;
    for (;;) {
      const nowNs = kernel.clock.nowNs();
      let submitted = 0;
      let isOver = true;
      for (const clone of this.clones) {
        submitted += clone.fill(nowNs);
        if (!clone.isFinished) isOver = false;
      }
      this.turns++;
      if (this.look(nowNs, submitted === 0)) return true;
      if (isOver) return kernel.inFlightCount === 0 && kernel.scheduler.liveCount === 0;
      // Inline completions leave room at once; otherwise tasks and the device have their turn.
      if (submitted === 0 || kernel.scheduler.hasRunnable || kernel.inFlightCount > 0) return false;
    }
  }

  /** The stop flag, the time series, progress, and a device that does not answer. True: give up. */
  private look(nowNs: number, isIdle: boolean): boolean {
    const { context, control, series } = this;
    const sinceStartNs = nowNs - context.startNs;
    if (sinceStartNs >= series.nextPointNs) series.advance(sinceStartNs, context.inFlight);
    if (this.state === 'finished' && control.isStopRequested()) {
      this.state = 'cancelled';
      this.lastDoneNs = this.ports.clock.nowNs();
      for (const clone of this.clones) clone.stop();
    }
    if (!isIdle && this.turns % TURNS_PER_LOOK !== 0) return false;
    const realNowNs = this.ports.clock.nowNs();
    this.progress.running(realNowNs, nowNs, this.isDraining());
    if (context.doneIos !== this.lastDoneIos) {
      this.lastDoneIos = context.doneIos;
      this.lastDoneNs = realNowNs;
      return false;
    }
    return this.lookForStall(realNowNs);
  }

  private isDraining(): boolean {
    return this.clones.every((clone) => clone.isStopped);
  }

  private lookForStall(realNowNs: number): boolean {
    if (this.context.inFlight === 0) return false;
    const silentNs = realNowNs - this.lastDoneNs;
    if (silentNs < (this.state === 'cancelled' ? DRAIN_STALL_NS : STALL_NS)) return false;
    this.isStalled = true;
    this.state = 'failed';
    this.failure = {
      code: 'device.stalled',
      message: `the device has ended none of ${String(this.context.inFlight)} requests for ${(silentNs / 1e9).toFixed(1)} s`,
      where: this.target.device.name,
      hint: "Its buffers stay in use until the engine process ends; look at the host's kernel log.",
      exitCode: 74,
    };
    return true;
  }

  private endSyncs(): void {
    for (const clone of this.clones) {
      const sync = clone.takeEndSync();
      if (sync === null) continue;
      this.progress.finishing('Making the data durable (fsync)');
      this.target.kernel.runTask('fsync at the end', sync);
    }
  }

  /** Sectors of the file while it is still open; then the stop order to its end. */
  private finish(): (fileOffsetBytes: number) => number {
    const { target } = this;
    let toSector = (offset: number): number => Math.floor(offset / 512);
    if (this.isStalled) return toSector;
    const isBug = this.failure?.code === 'kernel.bug';
    if (this.failure !== null && !(isBug && this.mayUnmountAfterBug())) {
      target.abandon();
      return toSector;
    }
    this.progress.finishing('Unmounting');
    try {
      this.cutToSize(isBug);
      if (this.rows.rowCount > 0) {
        const extents = target.kernel.runTask('extents', target.file.extents());
        if (extents.ok) toSector = sectorFinder(extents.value, target.blockSizeBytes);
      }
      const told = target.notes.length;
      target.close();
      this.notes.push(...target.notes.slice(told));
      if (isBug) this.notes.push('The file system was unmounted in order all the same.');
    } catch (error) {
      // The reason why the run ended stays the kernel's stop.
      if (isBug) this.noteLeftAsItIs(error);
      else this.failed(error);
    }
    return toSector;
  }

  private mayUnmountAfterBug(): boolean {
    if (this.target.kernel.scheduler.liveCount === 0) return true;
    this.noteLeftAsItIs(null);
    return false;
  }

  private noteLeftAsItIs(error: unknown): void {
    const why = error instanceof Error ? ` (${error.message})` : '';
    this.notes.push(
      `The file system could not be unmounted${why}: it keeps its mark of being in use, and e2fsck has to look at it.`,
    );
  }

  /** Blocks beyond the end of the file that the revision left there: no file may own them when the image is closed. */
  private cutToSize(isBug: boolean): void {
    const { kernel, file, directIoEffects } = this.target;
    if (!isBug && directIoEffects.extendingInFlight === 0) return;
    const cut = file.cutToSize?.();
    if (cut !== undefined) this.lostBytes = kernel.runTask('cut to size', cut);
  }

  /** What the revision did, and the references that it left on buffers and on the zero page. */
  private revisionEffects(): RevisionEffects {
    const { kernel, directIoEffects } = this.target;
    const { references } = kernel.memory;
    let leaked = 0;
    for (const { job, slots } of this.clones) {
      for (const { segment } of slots) {
        const first = Math.floor(segment.addressBytes / PAGE_BYTES);
        for (let page = 0; page < slotPages(job); page++) leaked += references[first + page] ?? 0;
      }
    }
    return {
      ...directIoEffects,
      leakedReferences: leaked,
      zeroPageReferences: references[ZERO_PAGE] ?? 0,
      lostBytes: this.lostBytes,
    };
  }

  private outcome(
    host: HostEvidence,
    counters: IoCounters,
    device: DeviceCounters,
    cpu: CpuTimes,
    toSector: (fileOffsetBytes: number) => number,
  ): RunOutcome {
    const { experiment, target } = this;
    const trace = target.trace?.columns() ?? null;
    const result: RunResult = {
      experiment,
      state: this.state,
      startedAtUnixMs: this.startedAtUnixMs,
      elapsedNs: this.elapsedNs,
      jobs: jobResults(experiment, this.records, target.openDevice.executorChoice, cpu),
      counters,
      revisionEffects: this.revisionEffects(),
      device,
      ...(this.loop !== null && { loop: this.loop }),
      series: this.series.points,
      host,
      verdict: [],
      virtualTime: target.virtualTime,
      traceRows: trace?.rowCount ?? 0,
      traceDropped: trace?.droppedCount ?? 0,
      deviceSectors: target.device.capacitySectors,
      notes: this.notes,
      failure: this.failure,
    };
    this.notes.push(
      ...revisionNotes(result),
      ...loopNotes(result),
      ...(target.openDevice.notes?.() ?? []),
    );
    const verdict = verdictOf(result, {
      fsBlockBytes: 2 ** target.file.inode.blockBits,
      logicalBlockBytes: target.device.limits.logicalBlockBytes,
      hasHostFile: target.openDevice.image !== null,
      fault: target.openDevice.firstFault?.() ?? null,
    });
    return { result: { ...result, verdict }, requests: this.rows.columns(toSector), trace };
  }
}

/** How long the load will take at least, where the experiment says; null: until its bytes are done. */
function expectedNs(experiment: Experiment): number | null {
  const seconds = experiment.jobs.map((job) => job.rampSeconds + job.runtimeSeconds);
  return experiment.jobs.every((job) => job.runtimeSeconds > 0) ? Math.max(...seconds) * 1e9 : null;
}

/** Cancelled before the first request. */
function cancelledOutcome(
  experiment: Experiment,
  startedAtUnixMs: number,
  elapsedNs: number,
): RunOutcome {
  const records = experiment.jobs.map(() => new JobRecord());
  const none: DeviceCounters = {
    reads: 0,
    writes: 0,
    flushes: 0,
    readBytes: 0,
    writeBytes: 0,
    merges: 0,
    splits: 0,
  };
  const counters: IoCounters = newIoCounters();
  const result: RunResult = {
    experiment,
    state: 'cancelled',
    startedAtUnixMs,
    elapsedNs,
    jobs: jobResults(experiment, records, null, { userNs: 0, systemNs: 0 }),
    counters,
    device: none,
    series: [],
    host: { ...NO_EVIDENCE, isDirect: false, directRefusedWhy: null },
    verdict: [
      { tone: 'plain', text: 'Cancelled while preparing: no request was made.', evidence: [] },
    ],
    virtualTime: false,
    traceRows: 0,
    traceDropped: 0,
    deviceSectors: 0,
    notes: [],
    failure: null,
  };
  return { result, requests: new RequestRows(0).columns((offset) => offset), trace: null };
}
