// SPDX-License-Identifier: GPL-2.0-only
/**
 * A drive that is not there: completion order and latency come from a model (disk.ts, flash.ts), the data lies in memory. Time is
 * virtual: `wait` moves the run's clock to the next completion, so a minute of a disk passes in a moment, and the same seed gives the
 * same run to the nanosecond.
 *
 *   request --submit--> event --its time has come--> the model names the next one ... --> data moved, request ends
 *
 * Rules: 1. Data moves when the request ends, so requests in flight that overlap have no order. 2. More requests than the drive has
 * places: 'busy'. 3. Nothing moves the clock except `wait`; work of the processor takes no time.
 */
import {
  assert,
  KIB,
  MIB,
  SECTOR_BYTES,
  Sfc32,
  VirtualClock,
  type OptionsOf,
} from '../../base/index.ts';
import {
  DEFAULT_LIMITS,
  SparseStore,
  type BioOp,
  type BlockDevice,
  type DeviceRequest,
  type QueueLimits,
} from '../../block/index.ts';
import type { DeviceModule, DevicePorts } from '../contract.ts';
import { DiskModel } from './disk.ts';
import { EventHeap } from './event-heap.ts';
import { FlashModel } from './flash.ts';
import { PROFILES, type DriveProfile } from './profiles.ts';
import type { Command, DriveModel } from './service.ts';

const options = {
  profile: {
    type: 'choice',
    title: 'Drive',
    help: 'hdd: 7200 rpm, 32 commands. sata-ssd: 32 commands, 32 dies, 550 MB/s. nvme: 1024 commands, 64 dies, 3.5 GB/s.',
    choices: ['hdd', 'sata-ssd', 'nvme'],
    default: 'nvme',
  },
  capacityMib: {
    type: 'quantity',
    title: 'Capacity',
    help: 'Size of the drive. Memory is taken only for what is written. A disk of any size has the full seek times.',
    unit: 'MiB',
    default: 1024,
    min: 16,
    max: 16 * MIB,
  },
  seed: {
    type: 'quantity',
    title: 'Seed',
    help: 'The same seed gives the same run, to the nanosecond.',
    unit: '',
    default: 1,
    min: 0,
    max: 0xffff_ffff,
  },
  jitterPercent: {
    type: 'quantity',
    title: 'Jitter',
    help: 'How far a seek or a page read may be from its mean, drawn from the seed.',
    unit: '%',
    default: 5,
    min: 0,
    max: 90,
  },
  depth: {
    type: 'quantity',
    title: 'Commands',
    help: 'Commands that the drive takes at a time. 0: as the profile has it.',
    unit: 'commands',
    default: 0,
    min: 0,
    max: 65_536,
  },
  rpm: {
    type: 'quantity',
    title: 'Rotation',
    help: 'Turns a minute of a disk. 0: as the profile has it. Solid-state drives ignore it.',
    unit: 'rpm',
    default: 0,
    min: 0,
    max: 30_000,
  },
  channels: {
    type: 'quantity',
    title: 'Dies',
    help: 'Dies that work side by side. 0: as the profile has it. Disks ignore it.',
    unit: 'dies',
    default: 0,
    min: 0,
    max: 4096,
  },
  readUs: {
    type: 'quantity',
    title: 'Page read',
    help: 'Time a die takes to read a flash page. 0: as the profile has it. Disks ignore it.',
    unit: 'us',
    default: 0,
    min: 0,
    max: 1_000_000,
  },
  writeBufferKib: {
    type: 'quantity',
    title: 'Write buffer',
    help: 'Writes end once they lie in it. 0: as the profile has it. Disks ignore it.',
    unit: 'KiB',
    default: 0,
    min: 0,
    max: 16 * MIB,
  },
  flushUs: {
    type: 'quantity',
    title: 'Flush',
    help: 'Time of a flush when the write buffer has drained. 0: as the profile has it. Disks ignore it.',
    unit: 'us',
    default: 0,
    min: 0,
    max: 10_000_000,
  },
} as const;

type ModelOptions = OptionsOf<typeof options>;

/** The profile with the overrides that are not 0. */
export function driveProfile(chosen: ModelOptions): DriveProfile {
  const profile: DriveProfile = PROFILES[chosen.profile];
  const depth = Math.floor(chosen.depth) || profile.depth;
  if (profile.kind === 'disk') return { ...profile, depth, rpm: chosen.rpm || profile.rpm };
  return {
    ...profile,
    depth,
    channelCount: Math.floor(chosen.channels) || profile.channelCount,
    readNs: chosen.readUs * 1000 || profile.readNs,
    bufferBytes: chosen.writeBufferKib * KIB || profile.bufferBytes,
    flushNs: chosen.flushUs * 1000 || profile.flushNs,
  };
}

export class ModelDevice implements BlockDevice {
  readonly name: string;
  readonly ops: ReadonlySet<BioOp> = new Set<BioOp>([
    'read',
    'write',
    'flush',
    'discard',
    'write-zeroes',
  ]);
  readonly capacitySectors: number;
  readonly limits: QueueLimits;
  readonly isReadOnly: boolean;
  private readonly clock: VirtualClock;
  private readonly store: SparseStore;
  private readonly drive: DriveModel;
  private readonly events: EventHeap;
  private readonly requests: (DeviceRequest | null)[];
  private readonly commands: Command[];
  private readonly freeSlots: number[];

  constructor(ports: Pick<DevicePorts, 'clock' | 'memory' | 'io'>, chosen: ModelOptions) {
    assert(ports.clock instanceof VirtualClock, 'the model device needs a virtual clock');
    this.clock = ports.clock;
    this.name = `model ${chosen.profile}`;
    this.isReadOnly = ports.io.readOnly;
    const capacityBytes = Math.floor(chosen.capacityMib) * MIB;
    this.capacitySectors = capacityBytes / SECTOR_BYTES;
    this.store = new SparseStore(ports.memory, capacityBytes);
    const profile = driveProfile(chosen);
    const random = new Sfc32(chosen.seed);
    const jitter = chosen.jitterPercent / 100;
    this.drive =
      profile.kind === 'disk'
        ? new DiskModel(profile, this.capacitySectors, random, jitter)
        : new FlashModel(profile, random, jitter);
    this.limits = { ...DEFAULT_LIMITS, hasVolatileCache: this.drive.hasVolatileCache };
    const { depth } = this.drive;
    this.events = new EventHeap(depth);
    this.requests = new Array<DeviceRequest | null>(depth).fill(null);
    this.commands = Array.from({ length: depth }, () => ({
      op: 'read',
      sectorStart: 0,
      sectorCount: 0,
      stage: 0,
    }));
    this.freeSlots = Array.from({ length: depth }, (_, index) => depth - 1 - index);
  }

  get inFlightCount(): number {
    return this.events.count;
  }

  submit(request: DeviceRequest): 'queued' | 'busy' {
    const slot = this.freeSlots.pop();
    if (slot === undefined) return 'busy';
    const command = this.commands[slot] as Command;
    command.op = request.op;
    command.sectorStart = request.sectorStart;
    command.sectorCount = request.sizeBytes / SECTOR_BYTES;
    command.stage = 0;
    this.requests[slot] = request;
    this.events.push(slot, this.drive.next(command, this.clock.nowNs()));
    return 'queued';
  }

  commit(): void {
    // A command arrives when it is submitted.
  }

  /** Moves the clock to the next completion, `timeoutNs` away at most, and delivers what ends then. */
  wait(timeoutNs: number): number {
    const limitNs = this.clock.nowNs() + timeoutNs;
    let ended = 0;
    while (this.events.count > 0) {
      const atNs = this.events.nextNs();
      // After the first end only those of the same moment; what `onEnd` submits is for the next call.
      if (ended > 0 && atNs > this.clock.nowNs()) break;
      if (atNs > limitNs) {
        this.clock.advanceTo(limitNs);
        break;
      }
      // Another device may have moved the clock beyond this event.
      if (atNs > this.clock.nowNs()) this.clock.advanceTo(atNs);
      const slot = this.events.pop();
      const nextNs = this.drive.next(this.commands[slot] as Command, atNs);
      if (nextNs >= 0) this.events.push(slot, nextNs);
      else {
        this.end(slot);
        ended++;
      }
    }
    return ended;
  }

  /** Ends everything at its time, then lets go of the data. */
  close(): void {
    while (this.events.count > 0) this.wait(Infinity);
    this.store.release();
  }

  private end(slot: number): void {
    const request = this.requests[slot] as DeviceRequest;
    this.requests[slot] = null;
    this.freeSlots.push(slot);
    this.store.transfer(request);
    request.onEnd(request, 0);
  }
}

export const modelDevice: DeviceModule<typeof options> = {
  id: 'model',
  title: 'Model',
  help: 'A disk or solid-state drive in virtual time: repeatable to the nanosecond, with no hardware involved.',
  options,
  needs: [],
  virtualTime: true,
  open: (ports, chosen) => ({
    device: new ModelDevice(ports, chosen),
    executorChoice: null,
    image: null,
  }),
};
