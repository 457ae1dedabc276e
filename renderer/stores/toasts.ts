// SPDX-License-Identifier: GPL-2.0-only
/** Short messages at the edge of the window, with at most one action (undo). They leave by themselves, errors stay until dismissed. */
import { defineStore } from 'pinia';
import { ref } from 'vue';
import { asHostError } from '../connection/connection.ts';

export interface Toast {
  readonly id: number;
  readonly tone: 'plain' | 'good' | 'bad';
  readonly text: string;
  readonly detail: string | null;
  readonly action: { readonly label: string; readonly run: () => void } | null;
}

export const useToastsStore = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([]);
  let lastId = 0;

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((toast) => toast.id !== id);
  }
  function show(
    text: string,
    options: Partial<Pick<Toast, 'tone' | 'detail' | 'action'>> & { seconds?: number } = {},
  ): number {
    lastId += 1;
    const id = lastId;
    const { tone = 'plain', detail = null, action = null, seconds = 8 } = options;
    toasts.value = [...toasts.value.slice(-3), { id, tone, text, detail, action }];
    if (Number.isFinite(seconds)) setTimeout(dismiss, seconds * 1000, id);
    return id;
  }
  /** A failure, in the host's own words. */
  function showError(thrown: unknown): void {
    const { message, where, hint } = asHostError(thrown);
    const detail = [where, hint].filter((part) => part !== undefined).join(' · ');
    show(message, { tone: 'bad', detail: detail === '' ? null : detail, seconds: Infinity });
  }
  return { toasts, show, showError, dismiss };
});
