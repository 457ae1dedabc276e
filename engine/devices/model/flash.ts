// SPDX-License-Identifier: GPL-2.0-only
/**
 * A solid-state drive: a controller, dies that work side by side, a link to the host, and a write buffer.
 *
 *   read    controller (one after the other) + fixed --> each die that holds a part: one page read a flash page --> link to the host
 *   write   controller + fixed --> link from the host --> in the buffer: done, as soon as there is room
 *   flush   controller + fixed --> the buffer has drained --> flush time
 *
 *   die of a flash page = page number mod dies; a die reads one page in `readNs`, the next one after that. The page that it read last
 *   is in its register and costs nothing.
 *   drain = dies * page / program time, all the time while there is something in the buffer; a write that does not follow the one
 *   before fills it with `scatterFactor` times its size.
 *   While the buffer drains, a read waits for its die between 0 and `suspendNs`, drawn from the seed.
 *
 * Worked numbers of 'nvme', 4 KiB reads: alone 1 + 7 + 60 + 4096 B / 3.5 GB/s = 1.2 us: 69 us, 14,400 a second. With 32 under way the
 * 64 dies take turns: near 32 / 69 us = 463,000 a second less what collides on a die. The ceilings are the controller (1 us: 1,000,000)
 * and the link (3.5 GB/s: 854,000). 'sata-ssd', alone: 10 + 10 + 60 + 7.4 = 87 us; at depth 32 the controller's 10 us are the
 * ceiling: 100,000. Its buffer drains 32 * 16 KiB / 0.8 ms = 655 MB/s, more than the link brings; scattered writes fill it at twice their
 * size, so that they settle at 328 MB/s once its 32 MiB are full. A flush of a full buffer takes 32 MiB / 655 MB/s = 51 ms, and 2 ms.
 */
import { SECTOR_BYTES, uniform, type Random } from '../../base/index.ts';
import type { FlashProfile } from './profiles.ts';
import type { Command, DriveModel } from './service.ts';

/** Stages of a command: what the next event is. */
const STAGE = { arrived: 0, ready: 1, inFlash: 2, ended: 3 } as const;

export class FlashModel implements DriveModel {
  readonly depth: number;
  readonly hasVolatileCache: boolean;
  private readonly dieFreeNs: Float64Array;
  /** Flash page in each die's register; -1: none. */
  private readonly dieRegister: Float64Array;
  private controllerFreeNs = 0;
  private linkOutFreeNs = 0;
  private linkInFreeNs = 0;
  private bufferBytes = 0;
  private bufferAtNs = 0;
  private nextWriteSector = -1;
  /** Bytes a nanosecond. */
  private readonly drainRate: number;

  constructor(
    private readonly profile: FlashProfile,
    private readonly random: Random,
    /** Part by which a page read may be shorter or longer. */
    private readonly jitter: number,
  ) {
    this.depth = profile.depth;
    this.hasVolatileCache = profile.hasVolatileCache;
    this.dieFreeNs = new Float64Array(profile.channelCount);
    this.dieRegister = new Float64Array(profile.channelCount).fill(-1);
    this.drainRate = (profile.channelCount * profile.pageBytes) / profile.programNs;
  }

  next(command: Command, nowNs: number): number {
    switch (command.stage) {
      case STAGE.arrived:
        command.stage = STAGE.ready;
        this.controllerFreeNs = Math.max(nowNs, this.controllerFreeNs) + this.profile.commandNs;
        return this.controllerFreeNs + this.profile.fixedNs;
      case STAGE.ready:
        return this.begin(command, nowNs);
      case STAGE.inFlash:
        command.stage = STAGE.ended;
        if (command.op === 'read') return this.sendOut(command, nowNs);
        return this.fillBuffer(command, nowNs);
      default:
        return -1;
    }
  }

  private begin(command: Command, nowNs: number): number {
    command.stage = STAGE.inFlash;
    if (command.op === 'read') return this.readPages(command, nowNs);
    if (command.op === 'write') {
      this.linkInFreeNs = Math.max(nowNs, this.linkInFreeNs) + this.linkNs(command.sectorCount);
      return this.linkInFreeNs;
    }
    command.stage = STAGE.ended;
    if (command.op !== 'flush') return nowNs;
    this.drainUntil(nowNs);
    return nowNs + this.bufferBytes / this.drainRate + this.profile.flushNs;
  }

  /** Reads every flash page of the range on its die; when the last one is there. */
  private readPages(command: Command, nowNs: number): number {
    const { pageBytes, readNs, channelCount, suspendNs } = this.profile;
    const firstByte = command.sectorStart * SECTOR_BYTES;
    const lastByte = firstByte + command.sectorCount * SECTOR_BYTES - 1;
    this.drainUntil(nowNs);
    const isDraining = this.bufferBytes > 0;
    let endNs = nowNs;
    const lastPage = Math.floor(lastByte / pageBytes);
    for (let page = Math.floor(firstByte / pageBytes); page <= lastPage; page++) {
      const die = page % channelCount;
      let pageEndNs = Math.max(nowNs, this.dieFreeNs[die] as number);
      if (this.dieRegister[die] !== page) {
        pageEndNs += readNs * (1 + this.jitter * (2 * uniform(this.random) - 1));
        if (isDraining) pageEndNs += suspendNs * uniform(this.random);
        this.dieRegister[die] = page;
        this.dieFreeNs[die] = pageEndNs;
      }
      if (pageEndNs > endNs) endNs = pageEndNs;
    }
    return endNs;
  }

  private sendOut(command: Command, nowNs: number): number {
    this.linkOutFreeNs = Math.max(nowNs, this.linkOutFreeNs) + this.linkNs(command.sectorCount);
    return this.linkOutFreeNs;
  }

  /** The data has arrived; when there is room for it in the buffer. */
  private fillBuffer(command: Command, nowNs: number): number {
    const { bufferBytes, scatterFactor, pageBytes, channelCount } = this.profile;
    const { sectorStart, sectorCount } = command;
    const isNext = sectorStart === this.nextWriteSector;
    this.nextWriteSector = sectorStart + sectorCount;
    const bytes = sectorCount * SECTOR_BYTES * (isNext ? 1 : scatterFactor);
    this.forgetRegisters(sectorStart, sectorCount, pageBytes, channelCount);
    this.drainUntil(nowNs);
    const missingBytes = this.bufferBytes + bytes - bufferBytes;
    this.bufferBytes += bytes;
    return missingBytes <= 0 ? nowNs : nowNs + missingBytes / this.drainRate;
  }

  /** What was written is no longer what a die's register holds. */
  private forgetRegisters(start: number, count: number, pageBytes: number, dies: number): void {
    const lastPage = Math.floor(((start + count) * SECTOR_BYTES - 1) / pageBytes);
    for (let page = Math.floor((start * SECTOR_BYTES) / pageBytes); page <= lastPage; page++) {
      if (this.dieRegister[page % dies] === page) this.dieRegister[page % dies] = -1;
    }
  }

  private drainUntil(nowNs: number): void {
    const drained = Math.max(0, nowNs - this.bufferAtNs) * this.drainRate;
    this.bufferBytes = Math.max(0, this.bufferBytes - drained);
    this.bufferAtNs = Math.max(this.bufferAtNs, nowNs);
  }

  private linkNs(sectorCount: number): number {
    return (sectorCount * SECTOR_BYTES * 1e9) / this.profile.linkBytesPerSecond;
  }
}
