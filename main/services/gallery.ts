// SPDX-License-Identifier: GPL-2.0-only
/** The bug gallery: its list, and an exhibit run on its old and its fixed revision in the engine process for tools. */
import type { ExhibitInfo, ExhibitRun } from '../../engine/lab/comparison.ts';
import { findExhibit, EXHIBITS } from '../../engine/lab/lists.ts';
import type { EngineHost } from '../host/engine-host.ts';

export class Gallery {
  constructor(private readonly engine: EngineHost) {}

  list(): ExhibitInfo[] {
    return EXHIBITS.map(({ info }) => info);
  }

  /** Throws 'gallery.unknown' where there is no such exhibit. */
  async run(id: string): Promise<ExhibitRun> {
    findExhibit(id);
    return this.engine.call('exhibit', { id });
  }
}
