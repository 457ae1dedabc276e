// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where the window was, for each display by itself (a docked laptop and the same one on the way): kept as JSON in the app's own folder;
 * anything odd in it means the default place.
 */
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

/** Displays that a window is remembered for; the oldest goes first. */
const DISPLAYS_MAX = 16;

/** The places of the window, the display that it was last on at the end. */
export type WindowPlaces = readonly (readonly [display: string, state: WindowState])[];

/** A display by where its work area lies and how large it is: its number changes when it is plugged in again. */
export const displayKey = ({ x, y, width, height }: Area): string =>
  `${String(width)}x${String(height)}@${String(x)},${String(y)}`;

function parseState(data: unknown): WindowState | null {
  if (typeof data !== 'object' || data === null) return null;
  const { x, y, width, height, isMaximized } = data as Partial<Record<keyof WindowState, unknown>>;
  if (!isWhole(width, 400, 32_000) || !isWhole(height, 300, 32_000)) return null;
  const hasPlace = isWhole(x, -64_000, 64_000) && isWhole(y, -64_000, 64_000);
  return {
    x: hasPlace ? x : null,
    y: hasPlace ? y : null,
    width,
    height,
    isMaximized: isMaximized === true,
  };
}

/** The places in a file's text; none where it is damaged. */
export function parsePlaces(text: string): WindowPlaces {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return []; // cut short or edited by hand
  }
  const list = (data as { places?: unknown } | null)?.places;
  if (!Array.isArray(list)) return [];
  const places: (readonly [string, WindowState])[] = [];
  for (const entry of list.slice(-DISPLAYS_MAX) as unknown[]) {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string') continue;
    const state = parseState(entry[1]);
    if (state !== null) places.push([entry[0], state]);
  }
  return places;
}

/** The state of the newest place whose display is there; displays in Electron's order, the primary one first. */
export function chooseState(places: WindowPlaces, areas: readonly Area[]): WindowState {
  const present = new Set(areas.map(displayKey));
  const [, state] = places.findLast(([key]) => present.has(key)) ?? ['', DEFAULT_STATE];
  return fitToDisplays(state, areas);
}

/** The places with this one as the newest of its display. */
export function withPlace(places: WindowPlaces, display: Area, state: WindowState): WindowPlaces {
  const key = displayKey(display);
  const others = places.filter(([each]) => each !== key);
  return [...others, [key, state] as const].slice(-DISPLAYS_MAX);
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

export function loadPlaces(path: string): WindowPlaces {
  try {
    return parsePlaces(readFileSync(path, 'utf8'));
  } catch {
    return []; // the first start, or a folder that cannot be read
  }
}

/** Writes by a temporary file and a rename, so that a crash leaves the old content. */
export function writeWhole(path: string, text: string): void {
  const next = `${path}.next`;
  writeFileSync(next, text, { mode: 0o600 });
  renameSync(next, path);
}

export function savePlaces(path: string, places: WindowPlaces): void {
  writeWhole(path, `${JSON.stringify({ places })}\n`);
}
