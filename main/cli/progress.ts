// SPDX-License-Identifier: GPL-2.0-only
/** The progress line of a run: one line, redrawn in place, on a terminal only. */
import type { RunProgress } from '../contract/types.ts';
import type { Terminal } from './terminal.ts';
import { bandwidthText, bytesText, countText, durationText } from './quantities.ts';

const BAR_CELLS = 24;

/** A bar of `BAR_CELLS` cells; dots while the end cannot be known. */
export function barText(fraction: number | null): string {
  if (fraction === null) return `[${'.'.repeat(BAR_CELLS)}]   -- `;
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
  const percent = Math.floor(Math.min(1, Math.max(0, fraction)) * 100);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}] ${String(percent).padStart(3)} %`;
}

/** The line for one report: what matters most first, and whole parts only, so that no number is cut in two. */
export function progressText(progress: RunProgress, columns: number): string {
  const parts = [progress.phaseText];
  const { latest } = progress;
  if (progress.remainingNs !== null && progress.phase === 'running') {
    parts.push(`${durationText(progress.remainingNs)} left`);
  }
  if (latest !== null) {
    parts.push(`${countText(latest.readIops + latest.writeIops)} IOPS`);
    parts.push(bandwidthText(latest.readBytesPerSecond + latest.writeBytesPerSecond));
    parts.push(`p99 ${durationText(latest.p99Ns)}`);
  }
  const width = Math.max(20, columns - 1);
  let text = barText(progress.fraction).slice(0, width);
  for (const part of parts) {
    if (text.length + 2 + part.length > width) break;
    text += `  ${part}`;
  }
  return text;
}

/** Draws over its own line; silent where stderr is not a terminal. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #isDrawn = false;
  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }
  show(progress: RunProgress): void {
    if (!this.#terminal.isInteractive) return;
    this.#isDrawn = true;
    this.#terminal.error(`\r\x1b[2K${progressText(progress, this.#terminal.columns)}`);
  }
  /** Clears the line, so that what follows starts at its beginning. */
  end(): void {
    if (this.#isDrawn) this.#terminal.error('\r\x1b[2K');
    this.#isDrawn = false;
  }
}

/** The progress line of a copy. */
export class TransferLine {
  readonly #terminal: Terminal;
  #isDrawn = false;
  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }
  show(event: {
    readonly file: string;
    readonly doneBytes: number;
    readonly totalBytes: number | null;
  }): void {
    if (!this.#terminal.isInteractive) return;
    this.#isDrawn = true;
    const { file, doneBytes, totalBytes } = event;
    const fraction = totalBytes === null || totalBytes === 0 ? null : doneBytes / totalBytes;
    const start = `${barText(fraction)}  ${bytesText(doneBytes)}  `;
    const room = Math.max(0, this.#terminal.columns - 1 - start.length);
    const name = file.length > room ? file.slice(file.length - room) : file;
    this.#terminal.error(`\r\x1b[2K${start}${name}`);
  }
  /** Clears the line. */
  end(): void {
    if (this.#isDrawn) this.#terminal.error('\r\x1b[2K');
    this.#isDrawn = false;
  }
}
