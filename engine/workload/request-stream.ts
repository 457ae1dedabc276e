// SPDX-License-Identifier: GPL-2.0-only
/**
 * A job's description turned into its requests, one `next` at a time, without allocating. Deterministic: the same description, seed
 * and clone give the same requests.
 *
 * What the words mean (fio's meaning where fio has one):
 * - The area is [offset, offset + size) of the file, cut into a grid of the smallest block size. Requests start on the grid; the
 *   alignment dials are added afterwards, and the grid is shortened so that no request leaves the area. What is left over at the end of
 *   the area, less than a block, is not touched.
 * - Sequential: reads and writes each go on where they left off, and start over at the end.
 * - Random with a map (the default): every block of the grid once before any comes again. With one block size the order is a keyed
 *   permutation (permutation.ts), with several a bitmap of free blocks (free-map.ts), where a request that does not fit between taken
 *   blocks is cut short. `noRandomMap`, and every distribution but 'random', draws each request by itself, as in fio.
 * - zipf and pareto: ranks are scattered over the area by a permutation; normal is not: the middle of the area is hot.
 * - It ends when `ioSizeBytes` (the area once, where null) is issued, counted without the length dial; never where `timeBased`.
 * - Seed and clone: clone n of job m draws from a stream of its own, (randSeed, m * 4096 + n).
 */
import { below, HostError, Sfc32, uniform } from '../base/index.ts';
import { rankSource, type DistributionKind, type RankSource } from './distributions.ts';
import { FreeMap } from './free-map.ts';
import { Permutation } from './permutation.ts';

/** What the stream needs to know of a job: the lab's `Job` has all of it. */
export interface WorkloadJob {
  readonly name: string;
  readonly rw: 'read' | 'write' | 'randread' | 'randwrite' | 'rw' | 'randrw';
  readonly rwMixReadPercent: number;
  readonly blockSizes: readonly { readonly sizeBytes: number; readonly percent: number }[];
  readonly offsetBytes: number;
  readonly sizeBytes: number | null;
  readonly ioSizeBytes: number | null;
  readonly alignment: { readonly offsetBytes: number; readonly lengthBytes: number };
  readonly timeBased: boolean;
  readonly randSeed: number;
  readonly noRandomMap: boolean;
  readonly distribution: { readonly kind: DistributionKind; readonly parameter: number };
}

/** Filled in by `next`. */
export interface WorkloadRequest {
  isWrite: boolean;
  fileOffsetBytes: number;
  lengthBytes: number;
}

export const isRandomPattern = (rw: WorkloadJob['rw']): boolean => rw.startsWith('rand');
export const readsData = (rw: WorkloadJob['rw']): boolean => !rw.endsWith('write');
export const writesData = (rw: WorkloadJob['rw']): boolean => !rw.endsWith('read');

/** Smallest block size: the step of the grid. */
export const gridBytesOf = (job: Pick<WorkloadJob, 'blockSizes'>): number =>
  Math.min(...job.blockSizes.map((share) => share.sizeBytes));
/** The longest request, length dial included. */
export const longestRequestBytes = (
  job: Pick<WorkloadJob, 'blockSizes'> & { readonly alignment: { readonly lengthBytes: number } },
): number =>
  Math.max(...job.blockSizes.map((share) => share.sizeBytes)) + job.alignment.lengthBytes;

const STREAMS_PER_JOB = 4096;
const MAPPED_BLOCKS_MAX = 2 ** 31;

export class RequestStream {
  /** Blocks in the grid; > 0. */
  readonly blockCount: number;
  private readonly gridBytes: number;
  private readonly areaStartBytes: number;
  private readonly limitBytes: number;
  private readonly random: Sfc32;
  private readonly mixRandom: Sfc32;
  private readonly sizes: Float64Array;
  /** Upper edges of the shares in [0, 1]. */
  private readonly shareEdges: Float64Array;
  private readonly isRandom: boolean;
  private readonly readPercent: number;
  private readonly ranks: RankSource | null;
  private readonly scatter: Permutation | null;
  private readonly order: Permutation | null;
  private readonly freeMap: FreeMap | null;
  private readonly blockSpan: number;
  private placeInOrder = 0;
  private readPosition = 0;
  private writePosition = 0;
  /** Bytes of the requests so far, without the length dial. */
  issuedBytes = 0;

  /**
   * `fileSizeBytes`: where the area ends at the latest. An area without room for one request is a `HostError` ('job.area-too-small').
   */
  constructor(
    readonly job: WorkloadJob,
    fileSizeBytes: number,
    jobIndex = 0,
    cloneIndex = 0,
  ) {
    const stream = jobIndex * STREAMS_PER_JOB + cloneIndex;
    this.random = new Sfc32(job.randSeed, stream);
    this.mixRandom = new Sfc32(job.randSeed ^ 0x5bd1e995, stream);
    this.gridBytes = gridBytesOf(job);
    this.areaStartBytes = job.offsetBytes + job.alignment.offsetBytes;
    this.blockCount = gridBlockCount(job, fileSizeBytes);
    this.blockSpan = this.blockCount * this.gridBytes;
    this.limitBytes = job.timeBased ? Infinity : (job.ioSizeBytes ?? this.blockSpan);
    this.sizes = Float64Array.from(job.blockSizes, (share) => share.sizeBytes);
    this.shareEdges = shareEdges(job);
    this.isRandom = isRandomPattern(job.rw);
    this.readPercent = !writesData(job.rw) ? 100 : !readsData(job.rw) ? 0 : job.rwMixReadPercent;
    const { kind, parameter } = job.distribution;
    this.ranks = this.isRandom ? rankSource(kind, parameter, this.blockCount) : null;
    const hasMap = this.isRandom && !job.noRandomMap && this.ranks === null;
    const isMixed = job.blockSizes.length > 1;
    if (hasMap && isMixed) this.refuseHugeMap();
    this.freeMap = hasMap && isMixed ? new FreeMap(this.blockCount) : null;
    this.order = hasMap && !isMixed ? this.newPermutation() : null;
    this.scatter = this.ranks !== null && kind !== 'normal' ? this.newPermutation() : null;
  }

  /** Fills in the next request; false: the job's bytes are issued. */
  next(into: WorkloadRequest): boolean {
    if (this.issuedBytes >= this.limitBytes) return false;
    const isWrite = this.drawIsWrite();
    const wanted = this.drawSize();
    into.isWrite = isWrite;
    if (this.isRandom) this.placeRandom(wanted, into);
    else this.placeSequential(wanted, into);
    this.issuedBytes += into.lengthBytes;
    into.fileOffsetBytes += this.areaStartBytes;
    into.lengthBytes += this.job.alignment.lengthBytes;
    return true;
  }

  /** How much of the job's bytes is issued, 0..1; 0 where it has no end. */
  get doneFraction(): number {
    return Math.min(1, this.issuedBytes / this.limitBytes);
  }

  private newPermutation(): Permutation {
    const permutation = new Permutation(this.blockCount);
    permutation.reseed(this.random);
    return permutation;
  }

  private refuseHugeMap(): void {
    if (this.blockCount <= MAPPED_BLOCKS_MAX) return;
    throw new HostError({
      code: 'job.random-map-too-large',
      message: `job ${this.job.name} would need a random map of ${String(this.blockCount)} blocks`,
      where: this.job.name,
      hint: `At most ${String(MAPPED_BLOCKS_MAX)} blocks are mapped with mixed block sizes; use norandommap or a smaller size.`,
      exitCode: 65,
    });
  }

  private drawIsWrite(): boolean {
    if (this.readPercent === 100) return false;
    if (this.readPercent === 0) return true;
    return below(this.mixRandom, 100) >= this.readPercent;
  }

  private drawSize(): number {
    if (this.sizes.length === 1) return this.sizes[0] as number;
    const drawn = uniform(this.mixRandom);
    let share = 0;
    while (share < this.sizes.length - 1 && drawn >= (this.shareEdges[share] as number)) share++;
    return this.sizes[share] as number;
  }

  private placeSequential(wanted: number, into: WorkloadRequest): void {
    let position = into.isWrite ? this.writePosition : this.readPosition;
    if (position + this.gridBytes > this.blockSpan) position = 0;
    const lengthBytes = Math.min(wanted, this.blockSpan - position);
    into.fileOffsetBytes = position;
    into.lengthBytes = lengthBytes;
    if (into.isWrite) this.writePosition = position + lengthBytes;
    else this.readPosition = position + lengthBytes;
  }

  private placeRandom(wanted: number, into: WorkloadRequest): void {
    if (this.freeMap !== null) {
      this.placeInFreeMap(this.freeMap, wanted, into);
      return;
    }
    const block = this.drawBlock();
    into.fileOffsetBytes = block * this.gridBytes;
    into.lengthBytes = Math.min(wanted, this.blockSpan - into.fileOffsetBytes);
  }

  private placeInFreeMap(map: FreeMap, wanted: number, into: WorkloadRequest): void {
    if (map.freeCount === 0) map.clear();
    const block = map.nextFree(below(this.random, this.blockCount));
    const taken = map.take(block, Math.ceil(wanted / this.gridBytes));
    into.fileOffsetBytes = block * this.gridBytes;
    into.lengthBytes = Math.min(wanted, taken * this.gridBytes);
  }

  private drawBlock(): number {
    if (this.ranks !== null) {
      const rank = this.ranks.drawRank(this.random);
      return this.scatter === null ? rank : this.scatter.at(rank);
    }
    if (this.order === null) return below(this.random, this.blockCount);
    if (this.placeInOrder === this.blockCount) {
      this.placeInOrder = 0;
      this.order.reseed(this.random);
    }
    return this.order.at(this.placeInOrder++);
  }
}

/** Blocks of the grid that lie in the area with both dials applied. */
export function gridBlockCount(job: WorkloadJob, fileSizeBytes: number): number {
  const gridBytes = gridBytesOf(job);
  const end = Math.min(fileSizeBytes, job.offsetBytes + (job.sizeBytes ?? Infinity));
  const room =
    end - job.offsetBytes - job.alignment.offsetBytes - Math.max(0, job.alignment.lengthBytes);
  const count = Math.floor(room / gridBytes);
  if (gridBytes + job.alignment.lengthBytes < 1) {
    throw new HostError({
      code: 'job.bad-alignment',
      message: `job ${job.name}: a length dial of ${String(job.alignment.lengthBytes)} leaves nothing of ${String(gridBytes)} bytes`,
      where: job.name,
      hint: `The length dial is above -${String(gridBytes)} here.`,
      exitCode: 65,
    });
  }
  if (count >= 1) return count;
  throw new HostError({
    code: 'job.area-too-small',
    message: `job ${job.name}: its area of ${String(Math.max(0, end - job.offsetBytes))} bytes has no room for one request`,
    where: job.name,
    hint: `A request takes ${String(gridBytes + job.alignment.lengthBytes)} bytes at ${String(job.offsetBytes + job.alignment.offsetBytes)}; the file has ${String(fileSizeBytes)}.`,
    exitCode: 65,
  });
}

function shareEdges(job: WorkloadJob): Float64Array {
  const total = job.blockSizes.reduce((sum, share) => sum + share.percent, 0);
  let edge = 0;
  return Float64Array.from(job.blockSizes, (share) => (edge += share.percent / (total || 1)));
}
