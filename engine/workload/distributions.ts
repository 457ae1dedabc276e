// SPDX-License-Identifier: GPL-2.0-only
/**
 * Non-uniform choice of a block: zipf, pareto and normal, as fio names them. `drawRank` gives a rank in [0, count): 0 is the most
 * popular one for zipf and pareto, a place in the area for normal. Which block has which rank is the caller's affair.
 *
 * - zipf(theta): P(rank k) ~ 1 / (k + 1)^theta. Drawn by rejection-inversion (Hormann and Derflinger 1996): exact, for every
 *   theta > 0 and any count, without the table of zeta sums that fio makes.
 * - pareto(h): rank = (count - 1) * u^(log h / log (1 - h)), as fio has it: with h = 0.2 the first 20 % of ranks get 80 % of the hits.
 * - normal(deviation): around the middle of the area; the deviation is in percent of the area. A draw outside is drawn again.
 */
import { HostError, uniform, type Random } from '../base/index.ts';

export type DistributionKind = 'random' | 'zipf' | 'pareto' | 'normal';

export interface RankSource {
  drawRank(random: Random): number;
}

const refuse = (message: string, hint: string): HostError =>
  new HostError({
    code: 'job.bad-distribution',
    message,
    hint,
    where: 'distribution',
    exitCode: 65,
  });

/** Null for 'random'. A parameter outside the distribution's range is a `HostError`. */
export function rankSource(
  kind: DistributionKind,
  parameter: number,
  count: number,
): RankSource | null {
  switch (kind) {
    case 'random':
      return null;
    case 'zipf':
      if (!(parameter > 0)) {
        throw refuse(`zipf has theta ${String(parameter)}`, 'theta is above 0, usually 0.5 to 2.');
      }
      return new ZipfRanks(count, parameter);
    case 'pareto':
      if (!(parameter > 0 && parameter < 1)) {
        throw refuse(`pareto has h ${String(parameter)}`, 'h lies between 0 and 1, usually 0.2.');
      }
      return new ParetoRanks(count, parameter);
    case 'normal':
      if (!(parameter > 0 && parameter <= 100)) {
        throw refuse(
          `normal has a deviation of ${String(parameter)} %`,
          'The deviation is above 0 and at most 100 percent of the area.',
        );
      }
      return new NormalRanks(count, parameter);
  }
}

/** (e^x - 1) / x, and 1 at 0. */
const expm1Over = (x: number): number =>
  Math.abs(x) > 1e-8 ? Math.expm1(x) / x : 1 + (x / 2) * (1 + x / 3);
/** log(1 + x) / x, and 1 at 0. */
const log1pOver = (x: number): number =>
  Math.abs(x) > 1e-8 ? Math.log1p(x) / x : 1 - x * (0.5 - x / 3);

class ZipfRanks implements RankSource {
  private readonly integralAtFirst: number;
  private readonly integralAtLast: number;
  private readonly squeeze: number;

  constructor(
    private readonly count: number,
    private readonly theta: number,
  ) {
    this.integralAtFirst = this.integral(1.5) - 1;
    this.integralAtLast = this.integral(count + 0.5);
    this.squeeze = 2 - this.inverse(this.integral(2.5) - this.density(2));
  }

  drawRank(random: Random): number {
    for (;;) {
      const u =
        this.integralAtLast + uniform(random) * (this.integralAtFirst - this.integralAtLast);
      const x = this.inverse(u);
      const k = Math.min(this.count, Math.max(1, Math.floor(x + 0.5)));
      if (k - x <= this.squeeze || u >= this.integral(k + 0.5) - this.density(k)) return k - 1;
    }
  }

  private density(x: number): number {
    return Math.exp(-this.theta * Math.log(x));
  }
  /** Integral of the density, with a constant that lets theta pass through 1. */
  private integral(x: number): number {
    const log = Math.log(x);
    return expm1Over((1 - this.theta) * log) * log;
  }
  private inverse(y: number): number {
    const t = Math.max(-1, y * (1 - this.theta));
    return Math.exp(log1pOver(t) * y);
  }
}

class ParetoRanks implements RankSource {
  private readonly power: number;
  constructor(
    private readonly count: number,
    h: number,
  ) {
    this.power = Math.log(h) / Math.log(1 - h);
  }
  drawRank(random: Random): number {
    return Math.floor((this.count - 1) * uniform(random) ** this.power);
  }
}

class NormalRanks implements RankSource {
  private readonly deviation: number;
  /** Marsaglia's polar method gives two at a time. */
  private spare = NaN;
  constructor(
    private readonly count: number,
    deviationPercent: number,
  ) {
    this.deviation = (count * deviationPercent) / 100;
  }
  drawRank(random: Random): number {
    for (;;) {
      const rank = Math.floor(this.count / 2 + this.standard(random) * this.deviation);
      if (rank >= 0 && rank < this.count) return rank;
    }
  }
  private standard(random: Random): number {
    if (!Number.isNaN(this.spare)) {
      const value = this.spare;
      this.spare = NaN;
      return value;
    }
    for (;;) {
      const a = 2 * uniform(random) - 1;
      const b = 2 * uniform(random) - 1;
      const square = a * a + b * b;
      if (square > 0 && square < 1) {
        const scale = Math.sqrt((-2 * Math.log(square)) / square);
        this.spare = b * scale;
        return a * scale;
      }
    }
  }
}
