// SPDX-License-Identifier: GPL-2.0-only
/**
 * A window of a device as a device of its own: what a partition is to the block layer (bdev->bd_start_sect, bd_nr_sectors).
 *
 *   request at sector s --submit--> lower device at startSector + s --end--> the request's own end
 *
 * Rules: 1. Nothing leaves the window: a request that would is a bug above, and stops the run before the lower device sees it. 2. The
 * queue above splits by this device's limits, which are such that the lower device's hold at the shifted place, too. 3. Closing it
 * closes the lower device.
 */
import { assert, SECTOR_BYTES, type Nanoseconds } from '../base/index.ts';
import type { Bio, BioOp } from './bio.ts';
import type { BlockDevice, DeviceRequest, QueueLimits } from './device.ts';

/** A request as the lower device sees it; used again and again. */
class SliceRequest implements DeviceRequest {
  id = 0;
  op: BioOp = 'read';
  flags = 0;
  sectorStart = 0;
  sizeBytes = 0;
  bios: readonly Bio[] = [];
  bioCount = 0;
  queuedAtNs = 0;
  upper: DeviceRequest | null = null;

  constructor(readonly onEnd: (request: DeviceRequest, status: number) => void) {}

  take(upper: DeviceRequest, startSector: number): void {
    this.upper = upper;
    this.id = upper.id;
    this.op = upper.op;
    this.flags = upper.flags;
    this.sectorStart = upper.op === 'flush' ? upper.sectorStart : startSector + upper.sectorStart;
    this.sizeBytes = upper.sizeBytes;
    this.bios = upper.bios;
    this.bioCount = upper.bioCount;
    this.queuedAtNs = upper.queuedAtNs;
  }
}

export class SliceDevice implements BlockDevice {
  readonly name: string;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp>;
  readonly isReadOnly: boolean;
  private readonly spare: SliceRequest[] = [];
  private readonly ended: (request: DeviceRequest, status: number) => void;

  /** `startSector` and `capacitySectors` must be whole logical blocks of the device and lie inside it: the caller has checked. */
  constructor(
    private readonly lower: BlockDevice,
    readonly startSector: number,
    readonly capacitySectors: number,
    name: string,
  ) {
    const blockSectors = lower.limits.logicalBlockBytes / SECTOR_BYTES;
    assert(
      startSector % blockSectors === 0 && capacitySectors % blockSectors === 0,
      'slice is not made of whole logical blocks',
      { startSector, capacitySectors, blockSectors },
    );
    assert(
      startSector >= 0 && capacitySectors > 0 && startSector + capacitySectors <= lower.capacitySectors,
      'slice leaves its device',
      { startSector, capacitySectors, deviceSectors: lower.capacitySectors },
    ); // prettier-ignore
    this.name = name;
    this.limits = sliceLimits(lower.limits, startSector);
    this.ops = lower.ops;
    this.isReadOnly = lower.isReadOnly;
    this.ended = (request, status) => {
      const own = request as SliceRequest;
      const upper = own.upper as DeviceRequest;
      own.upper = null;
      this.spare.push(own);
      upper.onEnd(upper, status);
    };
  }

  get inFlightCount(): number {
    return this.lower.inFlightCount;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    const { sectorStart, sizeBytes } = request;
    assert(
      sectorStart >= 0 && sectorStart + Math.ceil(sizeBytes / SECTOR_BYTES) <= this.capacitySectors,
      'request leaves the slice',
      { sectorStart, sizeBytes, capacitySectors: this.capacitySectors },
    );
    const own = this.spare.pop() ?? new SliceRequest(this.ended);
    own.take(request, this.startSector);
    const answer = this.lower.submit(own);
    if (answer === 'busy') {
      own.upper = null;
      this.spare.push(own);
    }
    return answer;
  }

  commit(): void {
    this.lower.commit();
  }

  wait(timeoutNs: Nanoseconds): number {
    return this.lower.wait(timeoutNs);
  }

  close(): void {
    this.lower.close();
  }
}

/**
 * The limits at the shifted place. Multiples of a chunk on the device lie at multiples of gcd(start, chunk) in the slice, so requests
 * that cross none of these cross none of those: 63 and 128 sectors give 1. A start inside a physical block leaves only the part that
 * it is a multiple of (kernel: alignment_offset): 63 sectors and 4096 bytes give 512.
 */
function sliceLimits(limits: QueueLimits, startSector: number): QueueLimits {
  let { physicalBlockBytes } = limits;
  while (
    physicalBlockBytes > limits.logicalBlockBytes &&
    (startSector * SECTOR_BYTES) % physicalBlockBytes !== 0
  ) {
    physicalBlockBytes /= 2;
  }
  const { chunkSectors } = limits;
  const sliceChunk = chunkSectors === 0 ? 0 : greatestCommonDivisor(startSector, chunkSectors);
  return { ...limits, physicalBlockBytes, chunkSectors: sliceChunk };
}

function greatestCommonDivisor(first: number, second: number): number {
  let [a, b] = [first, second];
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
