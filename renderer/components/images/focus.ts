// SPDX-License-Identifier: GPL-2.0-only
/** Focus on a row of a virtual list that was just scrolled to: the row comes into the page a frame or two later. */
const FRAMES_MAX = 12;

/** Focuses the first element that matches, as soon as it is there; gives up after a dozen frames. */
export async function focusWhenThere(
  container: () => HTMLElement | null,
  selector: string,
): Promise<boolean> {
  for (let frame = 0; frame < FRAMES_MAX; frame += 1) {
    const found = container()?.querySelector<HTMLElement>(selector);
    if (found) {
      found.focus();
      return true;
    }
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return false;
}
