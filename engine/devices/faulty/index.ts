// SPDX-License-Identifier: GPL-2.0-only
/**
 * A disk that fails as told, over a disk that does not (kernel: drivers/md/dm-flakey.c, dm-dust.c, CONFIG_FAIL_MAKE_REQUEST). A rule
 * says which requests fail and how; all others go to the device below.
 *
 *   request --does the rule hit?--no--> device below --end--> as it is
 *               | EIO, ENOSPC, EFAULT, ETIMEDOUT: ends with it, nothing moved
 *               '-short: the first half of its sectors moves, then it ends with EIO
 *
 * A request is hit where direction and sectors fit, `after` such requests have passed, it is the `every`-th of the rest, the dice of
 * the seed come out, and `countMax` is not used up. Rules: 1. The same requests and the same seed give the same faults. 2. Flushes are
 * never hit. 3. What a modelled kernel makes of the error is its own: direct I/O knows EIO alone (dio_bio_complete), so the device
 * keeps the first fault with its errno and place.
 */
import {
  alignDown,
  assert,
  below,
  ERRNO,
  KIB,
  SECTOR_BYTES,
  Sfc32,
  type Nanoseconds,
  type OptionsOf,
} from '../../base/index.ts';
import {
  RequestPool,
  sectorEnd,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { DeviceFault, DeviceModule, DevicePorts, OpenDevice } from '../contract.ts';

const options = {
  below: {
    type: 'choice',
    title: 'Over',
    help: 'The disk that the faults are put over.',
    choices: ['memory', 'image-file'],
    default: 'memory',
  },
  path: {
    type: 'path',
    title: 'Image',
    help: 'A regular file on this host, where the disk below is an image file.',
    default: '',
  },
  sizeKib: {
    type: 'quantity',
    title: 'Size',
    help: 'Size of the disk below, where it is memory.',
    unit: 'KiB',
    default: 1024 * KIB,
    min: 64,
    max: 16 * 1024 * 1024 * KIB,
  },
  fault: {
    type: 'choice',
    title: 'Fault',
    help: 'How a request fails that the rule hits. short: half of its sectors are moved, then EIO.',
    choices: ['eio', 'short', 'enospc', 'efault', 'timeout'],
    default: 'eio',
  },
  direction: {
    type: 'choice',
    title: 'Requests',
    help: 'Which requests the rule is about.',
    choices: ['read', 'write', 'both'],
    default: 'both',
  },
  every: {
    type: 'quantity',
    title: 'Every',
    help: 'Every so-many-th request of the rule fails. 0: none.',
    unit: 'requests',
    default: 0,
    min: 0,
    max: 1e9,
  },
  after: {
    type: 'quantity',
    title: 'After',
    help: 'So many requests of the rule pass first: mounting and laying out count.',
    unit: 'requests',
    default: 0,
    min: 0,
    max: 1e9,
  },
  countMax: {
    type: 'quantity',
    title: 'At most',
    help: 'No more faults than this. 0: without end.',
    unit: 'faults',
    default: 0,
    min: 0,
    max: 1e9,
  },
  firstSector: {
    type: 'quantity',
    title: 'First sector',
    help: 'The rule is about requests that touch sectors from this one on, of 512 bytes.',
    unit: 'sectors',
    default: 0,
    min: 0,
    max: 2 ** 40,
  },
  sectorCount: {
    type: 'quantity',
    title: 'Sectors',
    help: 'How many sectors the rule is about. 0: to the end of the disk.',
    unit: 'sectors',
    default: 0,
    min: 0,
    max: 2 ** 40,
  },
  chancePercent: {
    type: 'quantity',
    title: 'Chance',
    help: 'How often a request that the rule counts out does fail, drawn from the seed.',
    unit: '%',
    default: 100,
    min: 0,
    max: 100,
  },
  seed: {
    type: 'quantity',
    title: 'Seed',
    help: 'The same seed and the same requests give the same faults.',
    unit: '',
    default: 1,
    min: 0,
    max: 0xffff_ffff,
  },
} as const;

export type FaultRule = Omit<OptionsOf<typeof options>, 'below' | 'path' | 'sizeKib'>;

const STATUS: Readonly<Record<string, number>> = {
  eio: -ERRNO.EIO,
  short: -ERRNO.EIO,
  enospc: -ERRNO.ENOSPC,
  efault: -ERRNO.EFAULT,
  timeout: -ERRNO.ETIMEDOUT,
};
const CHANCE_STEPS = 1e6;

export class FaultyDevice implements BlockDevice {
  readonly name: string;
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly ops: ReadonlySet<BioOp>;
  readonly isReadOnly: boolean;
  firstFault: DeviceFault | null = null;
  faultCount = 0;
  /** Requests that the rule is about. */
  seenCount = 0;
  private readonly random: Sfc32;
  /** The request that was offered last and not taken, and its fate. */
  private refusedId = -1;
  private refusedIsHit = false;
  private readonly handedOn: RequestPool;

  constructor(
    private readonly lower: BlockDevice,
    private readonly rule: FaultRule,
  ) {
    this.name = `faulty ${lower.name}`;
    this.capacitySectors = lower.capacitySectors;
    this.limits = lower.limits;
    this.ops = lower.ops;
    this.isReadOnly = lower.isReadOnly;
    this.random = new Sfc32(rule.seed);
    this.handedOn = new RequestPool((above, status, forced) => {
      above.onEnd(above, forced !== 0 ? forced : status);
    });
  }

  get inFlightCount(): number {
    return this.handedOn.inFlightCount;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    // One that the device below had no room for meets the same fate again.
    const isKnown = this.refusedId === request.id;
    const isHit = isKnown ? this.refusedIsHit : this.isHit(request);
    this.refusedId = -1;
    const status = isHit ? (STATUS[this.rule.fault] as number) : 0;
    const movedBytes = isHit ? this.movedBytes(request) : request.sizeBytes;
    const isMoved = !isHit || movedBytes > 0;
    if (isHit && !isKnown) this.note(request, status, movedBytes);
    if (!isMoved) {
      request.onEnd(request, status);
      return 'queued';
    }
    const passed = this.handedOn.take(request, status, movedBytes);
    if (this.lower.submit(passed) === 'queued') return 'queued';
    this.handedOn.giveBack(passed);
    this.refusedId = request.id;
    this.refusedIsHit = isHit;
    return 'busy';
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

  /** Counts the request, and says whether it fails. */
  private isHit(request: DeviceRequest): boolean {
    const { rule } = this;
    const { op } = request;
    if (op === 'flush') return false;
    const isWrite = op !== 'read';
    if (rule.direction === 'read' && isWrite) return false;
    if (rule.direction === 'write' && !isWrite) return false;
    const end = rule.sectorCount === 0 ? Infinity : rule.firstSector + rule.sectorCount;
    if (sectorEnd(request) <= rule.firstSector || request.sectorStart >= end) return false;
    this.seenCount++;
    const counted = this.seenCount - rule.after;
    if (rule.every < 1 || counted <= 0 || counted % Math.floor(rule.every) !== 0) return false;
    if (rule.countMax > 0 && this.faultCount >= rule.countMax) return false;
    if (rule.chancePercent >= 100) return true;
    return below(this.random, CHANCE_STEPS) < (rule.chancePercent / 100) * CHANCE_STEPS;
  }

  /** What a request that is hit still moves. */
  private movedBytes(request: DeviceRequest): number {
    const hasData = request.op === 'read' || request.op === 'write';
    if (this.rule.fault !== 'short' || !hasData) return 0;
    return alignDown(request.sizeBytes / 2, this.limits.logicalBlockBytes);
  }

  private note(request: DeviceRequest, status: number, movedBytes: number): void {
    this.faultCount++;
    this.firstFault ??= {
      op: request.op,
      status,
      offsetBytes: request.sectorStart * SECTOR_BYTES + movedBytes,
      lengthBytes: request.sizeBytes - movedBytes,
      isEndOfFile: false,
      isInjected: true,
    };
  }
}

function openFaulty(ports: DevicePorts, chosen: OptionsOf<typeof options>): OpenDevice {
  const { below: lower } = ports;
  assert(lower !== undefined, 'a faulty disk is given the one below');
  const device = new FaultyDevice(lower.device, chosen);
  return {
    ...lower,
    device,
    firstFault: () => device.firstFault ?? lower.firstFault?.() ?? null,
    notes: () => {
      const { faultCount, seenCount } = device;
      return [
        `The faulty disk failed ${String(faultCount)} of ${String(seenCount)} requests of its rule.`,
      ];
    },
  };
}

export const faultyDevice: DeviceModule<typeof options> = {
  id: 'faulty',
  title: 'Faulty disk',
  help: 'A disk in memory or an image file whose requests fail by a rule: which, how, and how often.',
  options,
  needs: [],
  virtualTime: false,
  below: ({ below: id, path, sizeKib }) => ({
    id,
    options: id === 'memory' ? { sizeKib } : { path },
  }),
  open: openFaulty,
};
