// SPDX-License-Identifier: GPL-2.0-only
/** The drives to choose from: numbers of ordinary products of their kind, not of one product. */

export interface DiskProfile {
  readonly kind: 'disk';
  readonly depth: number;
  readonly rpm: number;
  readonly headCount: number;
  /** Zones of equal width, from the outside in; sectors a track fall evenly from the first to the last. */
  readonly zoneCount: number;
  readonly outerTrackSectors: number;
  readonly innerTrackSectors: number;
  /** Shortest and longest movement of the arm, settling included. */
  readonly seekMinNs: number;
  readonly seekFullNs: number;
  /** To the next track of a sequential transfer: another head, or the next cylinder. */
  readonly switchNs: number;
  /** From the arrival of a command to its start; hidden where the arm is still busy. */
  readonly commandNs: number;
  readonly linkBytesPerSecond: number;
  /** The drive reads on after a read, so far. */
  readonly readAheadBytes: number;
}

export interface FlashProfile {
  readonly kind: 'flash';
  readonly depth: number;
  /** Dies that work side by side: channels times ways. */
  readonly channelCount: number;
  /** One flash page: what a die reads or programs at once, and the unit of the stripe over the dies. */
  readonly pageBytes: number;
  readonly readNs: number;
  readonly programNs: number;
  /** Work of the controller for each command, one after the other; and the fixed part that overlaps. */
  readonly commandNs: number;
  readonly fixedNs: number;
  readonly linkBytesPerSecond: number;
  readonly bufferBytes: number;
  /** A write that does not follow the one before takes so many times its size out of the drain (garbage collection). */
  readonly scatterFactor: number;
  /** Longest wait of a read for a die that is programming. */
  readonly suspendNs: number;
  readonly flushNs: number;
  readonly hasVolatileCache: boolean;
}

export type DriveProfile = DiskProfile | FlashProfile;

export const PROFILES = {
  hdd: {
    kind: 'disk',
    depth: 32,
    rpm: 7200,
    headCount: 2,
    zoneCount: 8,
    outerTrackSectors: 3328,
    innerTrackSectors: 1664,
    seekMinNs: 1_000_000,
    seekFullNs: 17_000_000,
    switchNs: 1_000_000,
    commandNs: 50_000,
    linkBytesPerSecond: 600e6,
    readAheadBytes: 2 * 1024 * 1024,
  },
  'sata-ssd': {
    kind: 'flash',
    depth: 32,
    channelCount: 32,
    pageBytes: 16 * 1024,
    readNs: 60_000,
    programNs: 800_000,
    commandNs: 10_000,
    fixedNs: 10_000,
    linkBytesPerSecond: 550e6,
    bufferBytes: 32 * 1024 * 1024,
    scatterFactor: 2,
    suspendNs: 100_000,
    flushNs: 2_000_000,
    hasVolatileCache: true,
  },
  nvme: {
    kind: 'flash',
    depth: 1024,
    channelCount: 64,
    pageBytes: 16 * 1024,
    readNs: 60_000,
    programNs: 500_000,
    commandNs: 1_000,
    fixedNs: 7_000,
    linkBytesPerSecond: 3.5e9,
    bufferBytes: 64 * 1024 * 1024,
    scatterFactor: 1.5,
    suspendNs: 50_000,
    flushNs: 500_000,
    hasVolatileCache: true,
  },
} as const satisfies Readonly<Record<string, DriveProfile>>;

export type ProfileId = keyof typeof PROFILES;
export const PROFILE_IDS = Object.keys(PROFILES) as ProfileId[];
