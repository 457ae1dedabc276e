// SPDX-License-Identifier: GPL-2.0-only
/** The colours of the uses as the page's tokens have them now; new when the theme changes. */
import { computed, type ComputedRef } from 'vue';
import { useSettingsStore } from '../../stores/settings.ts';
import type { MapInk } from './block-raster.ts';
import { HATCHES, mixPixels, pixelOf, SHOWN_USES, USE_WORDS, useToken } from './block-uses.ts';

/** How far what does not stand out goes towards the panel. */
const DIM_SHARE = 0.8;

export function readMapInk(): MapInk {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string): number => pixelOf(style.getPropertyValue(`--${name}`).trim());
  const ground = token('panel');
  const ink = SHOWN_USES.map((use) => token(useToken(use)));
  return {
    ink,
    hatch: SHOWN_USES.map((use) => HATCHES.indexOf(USE_WORDS[use].hatch)),
    ground,
    dimInk: ink.map((color) => mixPixels(color, ground, DIM_SHARE)),
    dimGround: ground,
  };
}
export function useMapInk(): ComputedRef<MapInk> {
  const settings = useSettingsStore();
  return computed(() => {
    void settings.theme; // read, so that a change of theme makes this new
    return readMapInk();
  });
}
/** Puts pixels on a canvas of their size. */
export function putPixels(
  canvas: HTMLCanvasElement,
  pixels: Uint32Array<ArrayBuffer>,
  width: number,
): void {
  const height = pixels.length / Math.max(1, width);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}
