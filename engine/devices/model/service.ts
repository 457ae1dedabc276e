// SPDX-License-Identifier: GPL-2.0-only
/** What a model of a drive's insides is to the device: it says when things happen, and moves no data. */
import type { BioOp } from '../../block/index.ts';

/** One request as the drive sees it, from its arrival to its end. */
export interface Command {
  op: BioOp;
  sectorStart: number;
  sectorCount: number;
  /** The drive's own: how far it is. 0 at arrival. */
  stage: number;
}

export interface DriveModel {
  /** Commands it takes at a time. */
  readonly depth: number;
  readonly hasVolatileCache: boolean;
  /**
   * The command arrives, or reaches the event that this said before. Returns the time of its next event, or -1: it is done now.
   * Called in order of time.
   */
  next(command: Command, nowNs: number): number;
}
