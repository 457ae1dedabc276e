// SPDX-License-Identifier: GPL-2.0-only
/** The person's settings of this page: the theme. Kept in the browser's storage; a page without storage keeps them until it closes. */
import { defineStore } from 'pinia';
import { computed, ref, watch } from 'vue';
import { readStored, writeStored } from './stored.ts';

export type ThemeChoice = 'system' | 'dark' | 'light';
export type Theme = 'dark' | 'light';
const isThemeChoice = (value: unknown): value is ThemeChoice =>
  value === 'system' || value === 'dark' || value === 'light';

export const useSettingsStore = defineStore('settings', () => {
  const stored = readStored('theme');
  const themeChoice = ref<ThemeChoice>(isThemeChoice(stored) ? stored : 'system');
  const systemDark = window.matchMedia('(prefers-color-scheme: dark)');
  const systemTheme = ref<Theme>(systemDark.matches ? 'dark' : 'light');
  systemDark.addEventListener('change', (event) => {
    systemTheme.value = event.matches ? 'dark' : 'light';
  });
  const theme = computed<Theme>(() =>
    themeChoice.value === 'system' ? systemTheme.value : themeChoice.value,
  );
  watch(
    theme,
    (next) => {
      document.documentElement.dataset['theme'] = next;
    },
    { immediate: true, flush: 'sync' },
  );
  watch(themeChoice, (next) => {
    writeStored('theme', next);
  });
  /** system, dark, light, and round again. */
  function cycleTheme(): void {
    const order: ThemeChoice[] = ['system', 'dark', 'light'];
    themeChoice.value = order[(order.indexOf(themeChoice.value) + 1) % 3] as ThemeChoice;
  }
  return { themeChoice, theme, cycleTheme };
});
