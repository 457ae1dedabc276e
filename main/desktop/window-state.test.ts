// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { DEFAULT_STATE, fitToDisplays, parseWindowState } from './window-state.ts';

describe('the kept state of the window', () => {
  it('reads what was written', () => {
    const state = { x: 5, y: -7, width: 1000, height: 700, isMaximized: true };
    expect(parseWindowState(JSON.stringify(state))).toEqual(state);
  });
  it('is the default where the file is damaged or odd', () => {
    const odd = [
      '',
      '{',
      'null',
      '[]',
      '{"width":"wide","height":1}',
      '{"width":1e9,"height":700}',
    ];
    for (const text of odd) expect(parseWindowState(text), text).toEqual(DEFAULT_STATE);
  });
  it('drops a place that is not whole numbers, and keeps the size', () => {
    const text = '{"x":1.5,"y":2,"width":1000,"height":700}';
    expect(parseWindowState(text)).toEqual({
      x: null,
      y: null,
      width: 1000,
      height: 700,
      isMaximized: false,
    });
  });
  it('fits the displays that are there', () => {
    const area = { x: 0, y: 0, width: 1280, height: 720 };
    const kept = { x: 100, y: 50, width: 1000, height: 700, isMaximized: false };
    expect(fitToDisplays(kept, [area])).toEqual(kept);
    expect(fitToDisplays({ ...kept, x: 5000 }, [area])).toMatchObject({ x: null, y: null });
    expect(fitToDisplays({ ...kept, y: -30 }, [area])).toMatchObject({ x: null, y: null });
    expect(fitToDisplays({ ...kept, width: 3000 }, [area])).toMatchObject({ width: 1280 });
    expect(fitToDisplays({ ...kept, x: 1400 }, [area, { ...area, x: 1280 }])).toMatchObject({
      x: 1400,
    });
  });
});
