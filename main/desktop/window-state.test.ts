// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import {
  chooseState,
  DEFAULT_STATE,
  displayKey,
  fitToDisplays,
  parsePlaces,
  withPlace,
  type WindowPlaces,
} from './window-state.ts';

const laptop = { x: 0, y: 0, width: 1280, height: 720 };
const desk = { x: 1280, y: 0, width: 2560, height: 1440 };
const state = { x: 5, y: 7, width: 1000, height: 700, isMaximized: false };
const asText = (places: unknown): string => JSON.stringify({ places });

describe('the kept places of the window', () => {
  it('reads what was written', () => {
    const places: WindowPlaces = [[displayKey(laptop), { ...state, isMaximized: true }]];
    expect(parsePlaces(asText(places))).toEqual(places);
  });
  it('has none where the file is damaged or odd', () => {
    const odd = [
      '',
      '{',
      'null',
      '[]',
      '{"places":7}',
      asText([7, null, ['a'], [1, state]]),
      asText([['a', { width: 'wide', height: 1 }]]),
      asText([['a', { width: 1e9, height: 700 }]]),
    ];
    for (const text of odd) expect(parsePlaces(text), text).toEqual([]);
    expect(chooseState([], [laptop])).toMatchObject({ x: null, isMaximized: false });
  });
  it('drops a place that is not whole numbers, and keeps the size', () => {
    const [place] = parsePlaces(asText([['a', { ...state, x: 1.5 }]]));
    expect(place).toEqual(['a', { ...state, x: null, y: null }]);
  });
  it('keeps one for each display, and takes the newest that is there', () => {
    const wide = { ...state, x: 1400, width: 2000 };
    let places = withPlace([], desk, wide);
    places = withPlace(places, laptop, state);
    expect(chooseState(places, [laptop, desk])).toEqual(state);
    places = withPlace(places, desk, { ...wide, y: 9 });
    expect(places).toHaveLength(2);
    expect(chooseState(places, [laptop, desk])).toEqual({ ...wide, y: 9 });
    expect(chooseState(places, [laptop])).toEqual(state);
    const other = { ...laptop, width: 1300 };
    expect(chooseState(places, [other])).toEqual(fitToDisplays(DEFAULT_STATE, [other]));
  });
  it('remembers 16 displays at most', () => {
    let places: WindowPlaces = [];
    for (let x = 0; x < 40; x += 1) places = withPlace(places, { ...laptop, x }, state);
    expect(places).toHaveLength(16);
    expect(places.at(-1)?.[0]).toBe(displayKey({ ...laptop, x: 39 }));
  });
  it('fits the displays that are there', () => {
    const kept = { ...state, x: 100, y: 50 };
    expect(fitToDisplays(kept, [laptop])).toEqual(kept);
    expect(fitToDisplays({ ...kept, x: 5000 }, [laptop])).toMatchObject({ x: null, y: null });
    expect(fitToDisplays({ ...kept, y: -30 }, [laptop])).toMatchObject({ x: null, y: null });
    expect(fitToDisplays({ ...kept, width: 3000 }, [laptop])).toMatchObject({ width: 1280 });
    expect(fitToDisplays({ ...kept, x: 1400 }, [laptop, desk])).toMatchObject({ x: 1400 });
  });
});
