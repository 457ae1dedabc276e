// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the screens of images share: consent to change an image that the lab did not make, questions before something is destroyed,
 * a count of changes by image (whoever shows it asks again), and images that leave the list.
 * Rule: consent is given once for an image and is forgotten with the page.
 */
import { defineStore } from 'pinia';
import type { ImageInfo } from '../../main/contract/index.ts';
import { useConnectionStore } from './connection.ts';
import { useImagesStore } from './images.ts';
import { useToastsStore } from './toasts.ts';

export interface Question {
  readonly title: string;
  readonly text: string;
  /** On the button that does it. */
  readonly action: string;
  readonly isDanger: boolean;
}
type Image = Pick<ImageInfo, 'path' | 'madeByLab'>;
const UNDO_SECONDS = 12;
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

interface WorkbenchState {
  consents: readonly string[];
  /** Changes that this page made or learned of, by path. */
  versions: Readonly<Record<string, number>>;
  question: Question | null;
  /** Paths that are leaving the list. */
  deleting: readonly string[];
}
let answerQuestion: (yes: boolean) => void = () => undefined;

export const useWorkbenchStore = defineStore('workbench', {
  state: (): WorkbenchState => ({ consents: [], versions: {}, question: null, deleting: [] }),
  getters: {
    /** The images of the list, without those that are leaving it; null: not known yet. */
    shown: (state): readonly ImageInfo[] | null =>
      useImagesStore().images?.filter((each) => !state.deleting.includes(each.path)) ?? null,
  },
  actions: {
    mayChange(image: Image): boolean {
      return image.madeByLab || this.consents.includes(image.path);
    },
    versionOf(path: string): number {
      return this.versions[path] ?? 0;
    },
    /** Something in the image is new. */
    changed(path: string): void {
      this.versions = { ...this.versions, [path]: this.versionOf(path) + 1 };
    },
    setConsent(path: string, isGiven: boolean): void {
      const others = this.consents.filter((each) => each !== path);
      this.consents = isGiven ? [...others, path] : others;
    },
    /** Asks before something is done; a question that is open already is answered with no. */
    ask(asked: Question): Promise<boolean> {
      answerQuestion(false);
      this.question = asked;
      return new Promise((resolve) => (answerQuestion = resolve));
    },
    answer(yes: boolean): void {
      this.question = null;
      answerQuestion(yes);
      answerQuestion = () => undefined;
    },
    /** True where the image may be changed: the lab made it, consent was given, or is given now. `what`: what will be done. */
    async mayChangeNow(image: Image, what: string): Promise<boolean> {
      if (this.mayChange(image)) return true;
      const yes = await this.ask({
        title: `Change ${nameOf(image.path)}?`,
        text: `The lab did not make this image. ${what} Your consent holds until this page is closed.`,
        action: 'I consent to changes',
        isDanger: false,
      });
      if (yes) this.setConsent(image.path, true);
      return yes;
    },
    /** Takes an image out of the list; with `alsoDelete` its file, too. The message can undo both. */
    async forget(image: Image, alsoDelete: boolean): Promise<void> {
      if (this.deleting.includes(image.path)) return;
      this.deleting = [...this.deleting, image.path];
      const toasts = useToastsStore();
      try {
        const { images } = useConnectionStore().client();
        const { deleted, snapshotId } = await images.forget({ path: image.path, alsoDelete });
        await useImagesStore().load();
        const isForGood = deleted && snapshotId === null;
        toasts.show(`${nameOf(image.path)} ${deleted ? 'is deleted' : 'has left the list'}`, {
          seconds: UNDO_SECONDS,
          ...(!isForGood && {
            action: { label: 'Undo', run: () => void this.bringBack(image.path, snapshotId) },
          }),
        });
      } catch (thrown) {
        toasts.showError(thrown);
      } finally {
        this.deleting = this.deleting.filter((each) => each !== image.path);
      }
    },
    /** A deleted image comes back from what was kept of it; one that only left the list is looked at again. */
    async bringBack(path: string, snapshotId: string | null): Promise<void> {
      try {
        const { images } = useConnectionStore().client();
        if (snapshotId === null) await images.probe({ path });
        else await images.restoreSnapshot({ id: snapshotId, consent: true });
        await useImagesStore().load();
      } catch (thrown) {
        useToastsStore().showError(thrown);
      }
    },
  },
});
