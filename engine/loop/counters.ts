// SPDX-License-Identifier: GPL-2.0-only
/** What a loop device did, counted: the evidence for double caching and for the single copy. Goes on counting. */
export class LoopCounters {
  /** Bios that came from above; flushes are counted apart. */
  bios = 0;
  flushes = 0;
  readBytes = 0;
  writeBytes = 0;
  /** Copies between a page of a bio and a page of the lower page cache: one a page of the lower file that is touched. */
  copies = 0;
  copiedBytes = 0;
  /** Bios whose pages were handed down, and what they moved. No byte of these is copied by the driver. */
  directBios = 0;
  directBytes = 0;
  /** Times that an extending write moved the end of the lower file. */
  grown = 0;
  /** Bios that direct I/O refused because they are misaligned for the lower device; they end with EIO. */
  refusedMisaligned = 0;
  /** Bytes of writes that ended without error and lie nowhere: what the text of 2009 does with a hole in the file. */
  lostWriteBytes = 0;
  /** Bytes of reads that ended without error and whose memory nobody filled: behind the end of the file. */
  unfilledReadBytes = 0;
  /** References on pages of bios that direct I/O of 2009 dropped without having them: it would have freed pages that are in use. */
  lostReferences = 0;
}

export type LoopCounts = Readonly<Omit<LoopCounters, 'constructor'>>;

/** What was counted since `before`. */
export function loopCountsSince(now: LoopCounts, before: LoopCounts): LoopCounts {
  const since = new LoopCounters();
  for (const key of Object.keys(since) as (keyof LoopCounters)[])
    since[key] = now[key] - before[key];
  return since;
}
