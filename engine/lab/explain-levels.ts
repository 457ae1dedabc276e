// SPDX-License-Identifier: GPL-2.0-only
/**
 * Whose row is it, where the image lies in a file of an image? Both file systems write into one trace.
 *
 * Rules: 1. What the loop driver itself does is its own. 2. A request of direct I/O that begins while the driver serves a bio is the
 * lower one's, and so are all rows with its number; other numbers are the upper one's. 3. A bio belongs to whom its submission belongs
 * to; one that was never told (of a page cache) to the lower one where it first appears while the driver serves another. 4. Anything
 * else goes by whether the driver serves a bio.
 */
import type { TraceRow } from '../base/index.ts';
import type { ExplainLevel } from './explanation.ts';

/** A level a row; null where the trace has no loop driver in it. */
export function levelsOf(rows: readonly TraceRow[]): readonly ExplainLevel[] | null {
  if (!rows.some(({ kind }) => kind === 'loop-begin')) return null;
  const walk = new LevelWalk();
  return rows.map((row) => walk.levelOf(row));
}

class LevelWalk {
  private readonly requests = new Map<number, ExplainLevel>();
  private readonly bios = new Map<number, ExplainLevel>();
  private isServing = false;

  levelOf(row: TraceRow): ExplainLevel {
    if (row.kind.startsWith('loop-')) {
      this.follow(row);
      return 'loop';
    }
    const here: ExplainLevel = this.isServing ? 'lower' : 'upper';
    if (row.dioId > 0) {
      const known = this.requests.get(row.dioId);
      const level = known ?? (row.kind === 'request' ? here : 'upper');
      this.requests.set(row.dioId, level);
      if (row.bioId !== null) this.bios.set(row.bioId, level);
      return level;
    }
    if (row.bioId === null) return here;
    const level = this.bios.get(row.bioId) ?? here;
    this.bios.set(row.bioId, level);
    return level;
  }

  private follow({ kind, bioId }: TraceRow): void {
    if (kind === 'loop-begin') {
      this.isServing = true;
      if (bioId !== null) this.bios.set(bioId, 'upper');
    } else if (kind === 'loop-end') this.isServing = false;
  }
}
