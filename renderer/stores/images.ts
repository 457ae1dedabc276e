// SPDX-License-Identifier: GPL-2.0-only
/** Images of the data folder and those used lately, and what probing found in the one that is being set up. */
import { defineStore } from 'pinia';
import { markRaw } from 'vue';
import type { HostErrorData, ImageInfo } from '../../main/contract/index.ts';
import { asHostError } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';

interface ImagesState {
  /** Null: not known yet. */
  images: readonly ImageInfo[] | null;
  error: HostErrorData | null;
  probed: { path: string; info: ImageInfo | null; error: HostErrorData | null } | null;
  serial: number;
}
export type MakeImage = Parameters<
  ReturnType<ReturnType<typeof useConnectionStore>['client']>['images']['make']
>[0];

export const useImagesStore = defineStore('images', {
  state: (): ImagesState => ({ images: null, error: null, probed: null, serial: 0 }),
  actions: {
    async load(): Promise<void> {
      try {
        this.images = markRaw(await useConnectionStore().client().images.list());
        this.error = null;
      } catch (thrown) {
        this.error = asHostError(thrown);
      }
    },
    /** What the image holds; a late answer for another path is dropped. */
    async probe(path: string): Promise<void> {
      const serial = ++this.serial;
      if (this.probed?.path !== path) this.probed = { path, info: null, error: null };
      if (path === '') return;
      try {
        const info = markRaw(await useConnectionStore().client().images.probe({ path }));
        if (serial === this.serial) this.probed = { path, info, error: info.refusal };
      } catch (thrown) {
        if (serial === this.serial) this.probed = { path, info: null, error: asHostError(thrown) };
      }
    },
    /** Makes a new image file; a refusal is thrown. */
    async make(wanted: MakeImage): Promise<ImageInfo> {
      const made = await useConnectionStore().client().images.make(wanted);
      await this.load();
      return made;
    },
  },
});
