// SPDX-License-Identifier: GPL-2.0-only
/** The page's tokens as a plot needs them; new when the theme changes. */
import { computed, type ComputedRef } from 'vue';
import type { PlotTheme } from '../../plots/contract.ts';
import { useSettingsStore } from '../../stores/settings.ts';

export function readPlotTheme(): PlotTheme {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: token('text'),
    dim: token('dim'),
    faint: token('faint'),
    line: token('line'),
    grid: token('grid'),
    panel: token('panel'),
    accent: token('accent'),
    read: token('read'),
    write: token('write'),
    warn: token('slow'),
    bad: token('bad'),
    mono: token('mono'),
    font: token('font'),
  };
}
export function usePlotTheme(): ComputedRef<PlotTheme> {
  const settings = useSettingsStore();
  return computed(() => {
    void settings.theme; // read, so that a change of theme makes this new
    return readPlotTheme();
  });
}
/** '#rrggbb' as a number. */
export const colorNumber = (color: string): number => Number.parseInt(color.slice(1, 7), 16) || 0;
