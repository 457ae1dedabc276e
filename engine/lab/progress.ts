// SPDX-License-Identifier: GPL-2.0-only
/** What a run says of itself while it runs: at most 20 times a second, by the real clock, whatever clock the run has. */
import type { TimeSeries } from '../metrics/index.ts';
import type { LabPorts, RunControl } from './door.ts';
import type { JobClone, LoadContext } from './load.ts';
import type { RunProgress } from './result.ts';

const INTERVAL_NS = 50e6;

export class ProgressReporter {
  private nextNs = -Infinity;
  private cpuAtNs = 0;
  private cpuUserNs = 0;
  private cpuSystemNs = 0;
  private clones: readonly JobClone[] = [];
  private context: LoadContext | null = null;
  private series: TimeSeries | null = null;
  private virtualTime = false;
  private realStartNs: number;

  constructor(
    private readonly ports: LabPorts,
    private readonly control: RunControl,
  ) {
    this.realStartNs = ports.clock.nowNs();
  }

  /** Before the load. */
  preparing(phaseText: string, fraction: number | null): void {
    const realNowNs = this.ports.clock.nowNs();
    if (realNowNs < this.nextNs) return;
    this.send(realNowNs, 'preparing', phaseText, realNowNs - this.realStartNs, fraction);
  }

  /** The load starts now. */
  begin(
    clones: readonly JobClone[],
    context: LoadContext,
    series: TimeSeries,
    virtualTime: boolean,
  ): void {
    this.clones = clones;
    this.context = context;
    this.series = series;
    this.virtualTime = virtualTime;
    this.nextNs = -Infinity;
    this.realStartNs = this.ports.clock.nowNs();
  }

  /** Cheap where it is not yet time. `runNowNs`: the run's own clock. */
  running(realNowNs: number, runNowNs: number, isDraining: boolean): void {
    if (realNowNs < this.nextNs || this.context === null) return;
    const elapsedNs = runNowNs - this.context.startNs;
    const isRamp = this.clones.every((clone) => elapsedNs < clone.measureFromNs);
    const phase = isDraining ? 'draining' : isRamp ? 'ramp' : 'running';
    const { inFlight } = this.context;
    const text = {
      draining: `Waiting for ${String(inFlight)} requests in flight`,
      ramp: 'Warming up: not measured yet',
      running: this.virtualTime ? "Running in the model's time" : 'Running',
    }[phase];
    this.send(realNowNs, phase, text, elapsedNs, this.fraction(elapsedNs));
  }

  /** After the load; always sent. */
  finishing(phaseText: string): void {
    const realNowNs = this.ports.clock.nowNs();
    const elapsedNs =
      this.context === null ? 0 : this.context.kernel.clock.nowNs() - this.context.startNs;
    this.send(realNowNs, 'finishing', phaseText, elapsedNs, 1);
  }

  /** The slowest job's, by time or by bytes, whichever ends it first. */
  private fraction(elapsedNs: number): number {
    let least = 1;
    for (const { stopAtNs, stream, isStopped } of this.clones) {
      if (isStopped) continue;
      const byTime = stopAtNs === Infinity ? 0 : elapsedNs / stopAtNs;
      least = Math.min(least, Math.max(byTime, stream.doneFraction));
    }
    return least;
  }

  private send(
    realNowNs: number,
    phase: RunProgress['phase'],
    phaseText: string,
    elapsedNs: number,
    fraction: number | null,
  ): void {
    const { context, series, virtualTime } = this;
    this.nextNs = realNowNs + INTERVAL_NS;
    const realElapsedNs = realNowNs - this.realStartNs;
    const knowsRest = fraction !== null && fraction > 0.01;
    this.control.onProgress(
      {
        phase,
        phaseText,
        elapsedNs,
        fraction,
        // In model time the rest is what the person waits, too: real time.
        remainingNs: knowsRest
          ? ((virtualTime ? realElapsedNs : elapsedNs) * (1 - fraction)) / fraction
          : null,
        doneIos: context?.doneIos ?? 0,
        doneBytes: context?.doneBytes ?? 0,
        inFlight: context?.inFlight ?? 0,
        depth: this.clones.reduce((sum, clone) => sum + clone.slots.length, 0),
        latest: series?.latest ?? null,
        ...this.cpuPercents(realNowNs),
      },
      series?.takeFresh() ?? [],
    );
  }

  /** Of one core, since the last report. */
  private cpuPercents(
    realNowNs: number,
  ): Pick<RunProgress, 'engineUserPercent' | 'engineSystemPercent'> {
    const { userNs, systemNs } = this.ports.cpuTimes();
    const spanNs = realNowNs - this.cpuAtNs;
    const isFirst = this.cpuAtNs === 0 || spanNs <= 0;
    const percents = {
      engineUserPercent: isFirst ? 0 : ((userNs - this.cpuUserNs) / spanNs) * 100,
      engineSystemPercent: isFirst ? 0 : ((systemNs - this.cpuSystemNs) / spanNs) * 100,
    };
    this.cpuAtNs = realNowNs;
    this.cpuUserNs = userNs;
    this.cpuSystemNs = systemNs;
    return percents;
  }
}
