// SPDX-License-Identifier: GPL-2.0-only
/**
 * A disk with one arm and a spindle. Commands are served in the order of their arrival (no elevator), without a write cache.
 *
 *   start    = max(arrival + command, arm free)
 *   seek(d)  = 0 on the same track; switch on the same cylinder; else min + (full - min) * (sqrt(x) + x) / 2, x = d / (cylinders - 1)
 *   wait     = the part of a turn until the first sector is under the head
 *   transfer = sectors / sectors a track * turn, and one switch at each end of a track
 *
 * Worked numbers of the profile 'hdd': a turn is 60 s / 7200 = 8.333 ms, so the mean wait is 4.17 ms. The mean seek between two random
 * places is 1 + 16 * (0.533 + 0.333) / 2 = 7.93 ms (the means of sqrt(x) and x for two uniform points are 8/15 and 1/3). 4 KiB take
 * 8 / 3328 * 8.333 = 0.02 ms outside. Together 12.1 ms: 82 random reads a second. Outside, a track of 3328 sectors passes in 8.333 ms and
 * costs a switch of 1 ms: 1.70 MB in 9.33 ms, 183 MB/s; inside half of that.
 *
 * Tracks are skewed by exactly one switch, so that a sequential transfer misses no turn: sector i of track t lies at
 * i / sectors + t * switch / turn (of a turn).
 *
 * After a read the head reads on, `readAheadBytes` at most: a read that starts in what follows is served from the buffer as soon as it
 * has passed under the head. Any other command ends that. Whatever the capacity, it spans the whole stroke: a small disk is a scale
 * model with all the seek times of a large one. To see a short stroke, use a part of the disk.
 */
import { SECTOR_BYTES, uniform, type Random } from '../../base/index.ts';
import type { DiskProfile } from './profiles.ts';
import type { Command, DriveModel } from './service.ts';

/** Where a sector lies. */
interface Place {
  track: number;
  indexInTrack: number;
  trackSectors: number;
}

interface Zone {
  readonly firstSector: number;
  readonly firstTrack: number;
  readonly trackSectors: number;
}

/** A wait within so much of a full turn is no wait: what the last digits of a division say. */
const TURN_EPSILON = 1e-6;

export class DiskModel implements DriveModel {
  readonly depth: number;
  readonly hasVolatileCache = false;
  readonly turnNs: number;
  readonly cylinderCount: number;
  private readonly zones: Zone[] = [];
  private readonly place: Place = { track: 0, indexInTrack: 0, trackSectors: 1 };
  private readonly phase: number;
  private armFreeNs = 0;
  private track = 0;
  /** The read-ahead: sector `aheadSector` passes at `aheadNs`, and it goes on to `aheadLimit`; -1: none. */
  private aheadSector = -1;
  private aheadNs = 0;
  private aheadLimit = 0;

  constructor(
    private readonly profile: DiskProfile,
    capacitySectors: number,
    private readonly random: Random,
    /** Part by which a seek may be shorter or longer. */
    private readonly jitter: number,
  ) {
    this.depth = profile.depth;
    this.turnNs = 60e9 / profile.rpm;
    this.phase = uniform(random);
    const { zoneCount, outerTrackSectors, innerTrackSectors, headCount } = profile;
    const sizes = Array.from({ length: zoneCount }, (_, zone) =>
      Math.round(
        outerTrackSectors - ((outerTrackSectors - innerTrackSectors) * zone) / (zoneCount - 1),
      ),
    );
    const sectorsPerStep = headCount * sizes.reduce((sum, size) => sum + size, 0);
    const zoneCylinders = Math.max(1, Math.ceil(capacitySectors / sectorsPerStep));
    this.cylinderCount = zoneCylinders * zoneCount;
    let firstSector = 0;
    sizes.forEach((trackSectors, zone) => {
      this.zones.push({ firstSector, firstTrack: zone * zoneCylinders * headCount, trackSectors });
      firstSector += zoneCylinders * headCount * trackSectors;
    });
  }

  next(command: Command, nowNs: number): number {
    if (command.stage === 1) return -1;
    command.stage = 1;
    return this.serve(command, nowNs);
  }

  /** Arm movement over so many cylinders, settling included. */
  seekNs(cylinders: number): number {
    if (cylinders === 0) return 0;
    const { seekMinNs, seekFullNs } = this.profile;
    const part = cylinders / Math.max(1, this.cylinderCount - 1);
    return seekMinNs + ((seekFullNs - seekMinNs) * (Math.sqrt(part) + part)) / 2;
  }

  /** When the command ends. */
  private serve(command: Command, nowNs: number): number {
    const { sectorStart, sectorCount } = command;
    const isRead = command.op === 'read';
    const readyNs = nowNs + this.profile.commandNs;
    if (isRead && this.isAhead(sectorStart, sectorCount, nowNs)) {
      return this.serveAhead(sectorStart, sectorCount, readyNs);
    }
    const onTrackNs = this.moveTo(sectorStart, Math.max(readyNs, this.armFreeNs));
    const mediaStartNs = onTrackNs + this.rotationNs(onTrackNs);
    const mediaEndNs = mediaStartNs + this.mediaNs(sectorStart, sectorCount);
    this.armFreeNs = mediaEndNs;
    this.track = this.locate(sectorStart + sectorCount - 1).track;
    if (isRead) {
      this.aheadSector = sectorStart;
      this.aheadNs = mediaStartNs;
      this.aheadLimit = sectorStart + sectorCount + this.aheadSectors;
    } else this.aheadSector = -1;
    return mediaEndNs;
  }

  private get aheadSectors(): number {
    return this.profile.readAheadBytes / SECTOR_BYTES;
  }

  /** The range is in the buffer, or the head is on its way there. */
  private isAhead(sectorStart: number, sectorCount: number, nowNs: number): boolean {
    if (this.aheadSector < 0 || sectorStart < this.aheadSector) return false;
    if (sectorStart + sectorCount <= this.aheadLimit) return true;
    // A head that has not come to the limit yet can go on beyond it; one that has stopped there must wait for a turn.
    return sectorStart <= this.aheadLimit && this.limitNs() > nowNs;
  }

  private serveAhead(sectorStart: number, sectorCount: number, readyNs: number): number {
    const isMoving = this.limitNs() > readyNs - this.profile.commandNs;
    const startNs = this.aheadNs + this.untilNs(this.aheadSector, sectorStart);
    const mediaEndNs = startNs + this.mediaNs(sectorStart, sectorCount);
    this.aheadSector = sectorStart;
    this.aheadNs = startNs;
    if (isMoving) this.aheadLimit = sectorStart + sectorCount + this.aheadSectors;
    this.armFreeNs = Math.max(this.armFreeNs, mediaEndNs);
    this.track = this.locate(sectorStart + sectorCount - 1).track;
    const linkNs = (sectorCount * SECTOR_BYTES * 1e9) / this.profile.linkBytesPerSecond;
    return Math.max(readyNs, mediaEndNs) + linkNs;
  }

  private limitNs(): number {
    return this.aheadNs + this.mediaNs(this.aheadSector, this.aheadLimit - this.aheadSector);
  }

  /** Moves the arm to the sector's track from `fromNs` on; when it is there. */
  private moveTo(sector: number, fromNs: number): number {
    const { headCount, switchNs } = this.profile;
    const { track } = this.locate(sector);
    const distance = Math.abs(Math.floor(track / headCount) - Math.floor(this.track / headCount));
    let moveNs = distance === 0 ? 0 : this.seekNs(distance);
    if (distance === 0 && track !== this.track) moveNs = switchNs;
    if (moveNs > 0) moveNs *= 1 + this.jitter * (2 * uniform(this.random) - 1);
    this.track = track;
    return fromNs + moveNs;
  }

  /** From `atNs` until the sector that was located last is under the head. */
  private rotationNs(atNs: number): number {
    const { track, indexInTrack, trackSectors } = this.place;
    const target = indexInTrack / trackSectors + (track * this.profile.switchNs) / this.turnNs;
    const angle = atNs / this.turnNs + this.phase;
    let part = (target - angle) % 1;
    if (part < 0) part += 1;
    return part > 1 - TURN_EPSILON ? 0 : part * this.turnNs;
  }

  /** Time that the sectors take under the head, with the switches between tracks. */
  private mediaNs(sectorStart: number, sectorCount: number): number {
    const place = this.locate(sectorStart);
    let leftSectors = sectorCount;
    let sector = sectorStart;
    let timeNs = 0;
    while (leftSectors > 0) {
      const here = Math.min(leftSectors, place.trackSectors - place.indexInTrack);
      timeNs += (here / place.trackSectors) * this.turnNs;
      leftSectors -= here;
      sector += here;
      if (leftSectors === 0) break;
      timeNs += this.profile.switchNs;
      this.locate(sector);
    }
    return timeNs;
  }

  /** From one sector's start under the head to a later one's: what lies between, and the switch where a track begins. */
  private untilNs(from: number, to: number): number {
    const betweenNs = this.mediaNs(from, to - from);
    return to > from && this.locate(to).indexInTrack === 0
      ? betweenNs + this.profile.switchNs
      : betweenNs;
  }

  private locate(sector: number): Place {
    let zone = this.zones[0] as Zone;
    for (const next of this.zones) {
      if (next.firstSector > sector) break;
      zone = next;
    }
    const { place } = this;
    const inZone = sector - zone.firstSector;
    place.track = zone.firstTrack + Math.floor(inZone / zone.trackSectors);
    place.indexInTrack = inZone % zone.trackSectors;
    place.trackSectors = zone.trackSectors;
    return place;
  }
}
