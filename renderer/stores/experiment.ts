// SPDX-License-Identifier: GPL-2.0-only
/**
 * The experiment being set up, with undo and redo of every change, and the host's check of it.
 * Rules: 1. An experiment is never changed in place: each change is a new object in the history. 2. Changes with the same key within
 * a second are one step of undo (typing a number). 3. The check answers the newest experiment only; older answers are dropped.
 */
import { defineStore } from 'pinia';
import { markRaw } from 'vue';
import type {
  Experiment, ExperimentCheck, HostErrorData, Job, Preset, Target,
} from '../../main/contract/index.ts'; // prettier-ignore
import { asHostError, asSent } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { readStored, writeStored } from './stored.ts';

const HISTORY_MAX = 200;
const COALESCE_MS = 1000;
const CHECK_AFTER_MS = 50;

/** Whether stored text still has the shape of an experiment; the host checks the values. */
const looksLikeExperiment = (value: unknown): value is Experiment =>
  typeof value === 'object' && value !== null && 'target' in value && 'jobs' in value &&
  'revision' in value && 'trace' in value && Array.isArray((value as Experiment).jobs) &&
  (value as Experiment).jobs.length > 0; // prettier-ignore

interface ExperimentState {
  experiment: Experiment | null;
  presetId: string | null;
  jobIndex: number;
  past: readonly Experiment[];
  future: readonly Experiment[];
  check: ExperimentCheck | null;
  checkError: HostErrorData | null;
  isChecking: boolean;
  lastKey: string;
  lastAtMs: number;
  checkSerial: number;
  checkTimer: ReturnType<typeof setTimeout> | 0;
}

export const useExperimentStore = defineStore('experiment', {
  state: (): ExperimentState => ({
    experiment: null,
    presetId: null,
    jobIndex: 0,
    past: [],
    future: [],
    check: null,
    checkError: null,
    isChecking: false,
    lastKey: '',
    lastAtMs: 0,
    checkSerial: 0,
    checkTimer: 0,
  }),
  getters: {
    /** The job that the form shows. */
    job: (state): Job | null => state.experiment?.jobs[state.jobIndex] ?? null,
    canUndo: (state): boolean => state.past.length > 0,
    canRedo: (state): boolean => state.future.length > 0,
    /** The verdict on the alignment of the shown job. */
    alignment: (state) => state.check?.alignment[state.jobIndex] ?? null,
  },
  actions: {
    /** Takes over an experiment without a step of undo, keeps it for the next time, and has it checked. */
    settle(next: Experiment): void {
      this.experiment = markRaw(next);
      if (this.jobIndex >= next.jobs.length) this.jobIndex = 0;
      writeStored('experiment', next);
      this.checkSoon();
    },
    /** A new experiment as one step of undo. `key` names what is being changed; '' never joins with the step before. */
    replace(next: Experiment, key = ''): void {
      const now = performance.now();
      const joins = key !== '' && key === this.lastKey && now - this.lastAtMs < COALESCE_MS;
      if (this.experiment !== null && !joins) {
        this.past = markRaw([...this.past, this.experiment].slice(-HISTORY_MAX));
      }
      this.future = [];
      this.lastKey = key;
      this.lastAtMs = now;
      this.settle(next);
    },
    patch(change: Partial<Experiment>, key = Object.keys(change).join()): void {
      if (this.experiment) this.replace({ ...this.experiment, ...change }, key);
    },
    patchTarget(change: Partial<Target>): void {
      if (this.experiment === null) return;
      const target = { ...this.experiment.target, ...change };
      this.patch({ target }, `target.${Object.keys(change).join()}`);
    },
    patchJob(change: Partial<Job>, key = Object.keys(change).join()): void {
      if (this.experiment === null) return;
      const jobs = this.experiment.jobs.map((each, index) =>
        index === this.jobIndex ? { ...each, ...change } : each,
      );
      this.patch({ jobs }, `job.${String(this.jobIndex)}.${key}`);
    },
    patchAlignment(change: Partial<Job['alignment']>): void {
      if (this.job === null) return;
      // The key names the dials that are turned: taking a proposed request is a step of its own.
      const alignment = { ...this.job.alignment, ...change };
      this.patchJob({ alignment }, `alignment.${Object.keys(change).join()}`);
    },
    usePreset(preset: Preset): void {
      this.replace(preset.experiment);
      this.presetId = preset.id;
    },
    undo(): void {
      const previous = this.past.at(-1);
      if (previous === undefined || this.experiment === null) return;
      this.future = markRaw([this.experiment, ...this.future]);
      this.past = markRaw(this.past.slice(0, -1));
      this.lastKey = '';
      this.settle(previous);
    },
    redo(): void {
      const next = this.future[0];
      if (next === undefined || this.experiment === null) return;
      this.past = markRaw([...this.past, this.experiment]);
      this.future = markRaw(this.future.slice(1));
      this.lastKey = '';
      this.settle(next);
    },
    /** What was set up when the page was last open, else the first preset. */
    begin(presets: readonly Preset[]): void {
      if (this.experiment !== null) return;
      const stored = readStored('experiment');
      const first = presets[0];
      if (looksLikeExperiment(stored)) this.settle(stored);
      else if (first) this.settle(first.experiment);
      const text = JSON.stringify(this.experiment);
      this.presetId = presets.find((each) => JSON.stringify(each.experiment) === text)?.id ?? null;
    },
    /** Has the newest experiment checked; an answer that comes late is dropped. */
    async checkNow(): Promise<void> {
      const connection = useConnectionStore();
      const asked = this.experiment;
      if (asked === null || !connection.isOpen) return;
      const serial = ++this.checkSerial;
      this.isChecking = true;
      try {
        const answer = await connection.client().experiments.check(asSent(asked));
        if (serial !== this.checkSerial) return;
        this.check = markRaw(answer);
        this.checkError = null;
      } catch (thrown) {
        if (serial !== this.checkSerial) return;
        this.check = null;
        this.checkError = asHostError(thrown);
      } finally {
        if (serial === this.checkSerial) this.isChecking = false;
      }
    },
    checkSoon(): void {
      if (this.checkTimer !== 0) clearTimeout(this.checkTimer);
      this.checkTimer = setTimeout(() => {
        this.checkTimer = 0;
        void this.checkNow();
      }, CHECK_AFTER_MS);
    },
  },
});
