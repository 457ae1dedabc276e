// SPDX-License-Identifier: GPL-2.0-only
/** What is open over the page. */
import { defineStore } from 'pinia';

export const useUiStore = defineStore('ui', {
  state: () => ({ isPaletteOpen: false, isKeysOpen: false, isTextOpen: false }),
});
