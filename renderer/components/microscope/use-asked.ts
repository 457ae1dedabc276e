// SPDX-License-Identifier: GPL-2.0-only
/** What the microscope and the dial share: the request in the address, the ground it goes to, and asking the lab about both. */
import {
  computed,
  ref,
  shallowRef,
  watch,
  type ComputedRef,
  type Ref,
  type WatchSource,
} from 'vue';
import { useRoute, useRouter, type LocationQueryRaw } from 'vue-router';
import type { HostErrorData, ImageInfo, Target } from '../../../main/contract/index.ts';
import { asHostError } from '../../connection/connection.ts';
import { useConnectionStore } from '../../stores/connection.ts';
import { useExperimentStore } from '../../stores/experiment.ts';
import { useImagesStore } from '../../stores/images.ts';
import { blockBytesOf } from '../lab/alignment.ts';
import { FIRST_REQUEST, requestFromQuery, requestToQuery, type AskedRequest } from './request.ts';

export interface AskedInAddress {
  readonly request: Ref<AskedRequest>;
  readonly target: ComputedRef<Target | null>;
  readonly info: ComputedRef<ImageInfo | null>;
  readonly blockBytes: ComputedRef<number>;
  /** Changes the request, and the address with it. */
  readonly change: (part: Partial<AskedRequest>) => void;
  /** Writes the address again: `more` has changed. */
  readonly write: () => void;
}
/** What was asked last, on either screen: the other one begins with it. */
let askedLast: AskedRequest = FIRST_REQUEST;
/** `routeName`: the screen whose address it is; `more`: what else belongs into it. */
export function useAskedInAddress(
  routeName: string,
  more: () => LocationQueryRaw = () => ({}),
): AskedInAddress {
  const experiment = useExperimentStore();
  const images = useImagesStore();
  const route = useRoute();
  const router = useRouter();
  const request = ref<AskedRequest>(requestFromQuery(route.query, askedLast));
  watch(request, (now) => (askedLast = now), { immediate: true });
  const target = computed(() => experiment.experiment?.target ?? null);
  const info = computed(() => images.probed?.info ?? null);
  watch(
    () => route.query,
    (query) => {
      if (route.name === routeName) request.value = requestFromQuery(query, request.value);
    },
  );
  const write = (): void => {
    void router.replace({
      name: routeName,
      query: { ...requestToQuery(request.value), ...more() },
    });
  };
  return {
    request,
    target,
    info,
    blockBytes: computed(() => blockBytesOf(target.value, info.value)),
    change: (part) => {
      request.value = { ...request.value, ...part };
      write();
    },
    write,
  };
}

/** Bytes of the file on a disk in memory: large enough for the longest request here, and quick to lay out on every revision. */
const MEMORY_FILE_BYTES = 24 * 2 ** 20;
/** Sets up a disk in memory, with the file system that is chosen: what there is to explain on before any image was made. */
export function useDiskInMemory(): void {
  const experiment = useExperimentStore();
  const target = experiment.experiment?.target;
  if (target === undefined) return;
  const { id } = target.fileSystem;
  experiment.patchTarget({
    device: { id: 'memory', options: {} },
    create: null,
    consentToWrite: false,
    ...(id === 'auto' && { fileSystem: { id: 'ext2', options: {} } }),
    ...(id !== 'raw' && {
      filePath: target.filePath ?? '/data.bin',
      fileSizeBytes: MEMORY_FILE_BYTES,
    }),
  });
}
/** The image that was to be looked at is not there yet. */
export const isMissingImage = (error: HostErrorData | null): boolean =>
  error?.code === 'image.missing';

export interface Asking<T> {
  readonly answer: Ref<T | null>;
  readonly error: Ref<HostErrorData | null>;
  readonly isAsking: Ref<boolean>;
  readonly ask: () => Promise<void>;
}
const ASK_AFTER_MS = 80;
/** Asks soon after any of `sources` changed; an answer that comes late is dropped. `question` gives null where there is nothing to ask. */
export function useAsking<T>(
  sources: readonly WatchSource<unknown>[],
  question: () => Promise<T> | null,
  onAnswer: (answer: T) => void = () => undefined,
): Asking<T> {
  const connection = useConnectionStore();
  const answer = shallowRef<T | null>(null) as Ref<T | null>;
  const error = ref<HostErrorData | null>(null);
  const isAsking = ref(false);
  let serial = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  async function ask(): Promise<void> {
    if (!connection.isOpen) return;
    const asked = question();
    if (asked === null) return;
    const mine = ++serial;
    isAsking.value = true;
    try {
      const given = await asked;
      if (mine !== serial) return;
      answer.value = given;
      error.value = null;
      onAnswer(given);
    } catch (thrown) {
      if (mine === serial) error.value = asHostError(thrown);
    } finally {
      if (mine === serial) isAsking.value = false;
    }
  }
  watch(
    [...sources, () => connection.epoch],
    () => {
      clearTimeout(timer);
      timer = setTimeout(() => void ask(), ASK_AFTER_MS);
    },
    { immediate: true },
  );
  return { answer, error, isAsking, ask };
}
