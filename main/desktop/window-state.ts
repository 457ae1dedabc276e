// SPDX-License-Identifier: GPL-2.0-only
/** Where the window was: kept as JSON in the app's own folder; anything odd in it means the default place. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

export interface WindowState {
  /** Null: wherever the window manager puts it. */
  readonly x: number | null;
  readonly y: number | null;
  readonly width: number;
  readonly height: number;
  readonly isMaximized: boolean;
}
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const DEFAULT_STATE: WindowState = {
  x: null,
  y: null,
  width: 1440,
  height: 900,
  isMaximized: false,
};
/** Pixels of the window's top edge that must lie on a display, so that it can be taken hold of. */
const VISIBLE_MIN = 80;

const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** The state in a file's text; the default where it is damaged. */
export function parseWindowState(text: string): WindowState {
  let data: Partial<Record<keyof WindowState, unknown>>;
  try {
    data = (JSON.parse(text) as typeof data | null) ?? {};
  } catch {
    return DEFAULT_STATE; // cut short or edited by hand
  }
  const { x, y, width, height, isMaximized } = data;
  if (!isWhole(width, 400, 32_000) || !isWhole(height, 300, 32_000)) return DEFAULT_STATE;
  const hasPlace = isWhole(x, -64_000, 64_000) && isWhole(y, -64_000, 64_000);
  return {
    x: hasPlace ? x : null,
    y: hasPlace ? y : null,
    width,
    height,
    isMaximized: isMaximized === true,
  };
}

/** The state on the displays that are there now: cut to the largest, and anywhere where its top edge could not be reached. */
export function fitToDisplays(state: WindowState, workAreas: readonly Area[]): WindowState {
  if (workAreas.length === 0) return state;
  const width = Math.min(state.width, Math.max(...workAreas.map((area) => area.width)));
  const height = Math.min(state.height, Math.max(...workAreas.map((area) => area.height)));
  const { x, y } = state;
  const isReachable =
    x !== null &&
    y !== null &&
    workAreas.some(
      (area) =>
        x + width >= area.x + VISIBLE_MIN &&
        x <= area.x + area.width - VISIBLE_MIN &&
        y >= area.y &&
        y <= area.y + area.height - VISIBLE_MIN,
    );
  return { ...state, width, height, ...(isReachable ? {} : { x: null, y: null }) };
}

export function loadWindowState(path: string): WindowState {
  try {
    return parseWindowState(readFileSync(path, 'utf8'));
  } catch {
    return DEFAULT_STATE; // the first start, or a folder that cannot be read
  }
}

/** Writes by a temporary file and a rename, so that a crash leaves the old state. */
export function saveWindowState(path: string, state: WindowState): void {
  const next = `${path}.next`;
  writeFileSync(next, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  renameSync(next, path);
}
