// SPDX-License-Identifier: GPL-2.0-only
/**
 * The image that a target means, and the rule of consent: no file that the lab did not make is written unless the person said so.
 * `lab:NAME` is an image in the lab's own folder, and so is a relative path that no face has made whole: the terminal takes it from
 * the current folder, as fio does; the window and the browser have no such folder.
 */
import { lstat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';
import { experimentWrites } from '../../engine/lab/check.ts';
import type { Experiment, Target } from '../../engine/lab/experiment.ts';
import { LAB_IMAGE_PREFIX } from '../contract/types.ts';
import { consentProblem, overwriteProblem, type Images } from './images.ts';
import { makeFolder } from './durable.ts';
import type { Snapshots } from './workbench/snapshots.ts';

/** Path of the target's image; null where it has none (memory, model). */
export function imagePathOf(target: Target, imagesFolder: string): string | null {
  const { path } = target.device.options;
  if (typeof path !== 'string' || path === '') return null;
  if (path.startsWith(LAB_IMAGE_PREFIX)) {
    return join(imagesFolder, labImageName(path.slice(LAB_IMAGE_PREFIX.length), path));
  }
  return isAbsolute(path) ? path : join(imagesFolder, path);
}

/** The name in `lab:NAME`; a folder in it is refused, so that the prefix never leads out of the lab's own folder. */
function labImageName(name: string, path: string): string {
  if (name !== '' && name !== '.' && name !== '..' && basename(name) === name) return name;
  throw new HostError({
    code: 'image.bad-name',
    message: `${path} is not the name of an image in the lab's folder`,
    where: path,
    hint: `Write ${LAB_IMAGE_PREFIX}NAME without a slash, or the whole path of an image elsewhere.`,
    exitCode: 65,
  });
}

/** True where the run changes the image: its load writes, or its file is laid out first. The host's own kernel does neither in it. */
export const changesImage = (experiment: Experiment): boolean =>
  experiment.target.by !== 'host' &&
  (experimentWrites(experiment) ||
    experiment.target.fileSizeBytes !== null ||
    (experiment.target.inner?.fileSizeBytes ?? null) !== null);

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** What a run does about the image that it changes. */
export interface ImageGuard {
  /** Puts the image back where the target asks for it. */
  restore(): Promise<void>;
}
const NO_GUARD: ImageGuard = { restore: () => Promise.resolve() };

export class Targets {
  constructor(
    private readonly images: Images,
    private readonly imagesFolder: string,
    private readonly snapshots: Snapshots | null = null,
  ) {}

  /** Takes the snapshot that the target asks for. Only of an image that is there, and that the run changes. */
  async guard(
    experiment: Experiment,
    signal: AbortSignal,
    onPhase: (text: string) => void,
  ): Promise<ImageGuard> {
    const { target, name } = experiment;
    const path = this.pathOf(target);
    const { snapshots } = this;
    const isWanted = target.snapshot === 'before' || target.snapshot === 'restore';
    if (!isWanted || path === null || snapshots === null) return NO_GUARD;
    if (!changesImage(experiment) || !(await isThere(path))) return NO_GUARD;
    onPhase(`Keeping ${path} as a snapshot`);
    const { id } = await snapshots.take(path, `Before the run ${name}`.slice(0, 200), signal);
    if (target.snapshot === 'before') return NO_GUARD;
    return {
      restore: async () => {
        const changed = await snapshots.restore(id);
        // The image is what the snapshot was, and nobody asked for what the run made of it.
        if (changed !== null) await snapshots.remove(changed.id);
        await snapshots.remove(id);
      },
    };
  }

  pathOf(target: Target): string | null {
    return imagePathOf(target, this.imagesFolder);
  }

  /**
   * The experiment with the image's whole path, and with consent where the image is ours. Throws 'image.missing', or
   * 'image.consent' where the run would change a file of somebody else's.
   */
  async prepare(experiment: Experiment): Promise<Experiment> {
    const { target } = experiment;
    const path = this.pathOf(target);
    if (path === null) return experiment;
    const device = { ...target.device, options: { ...target.device.options, path } };
    const isNew = !(await isThere(path));
    if (isNew && target.create === null) {
      throw new HostError({
        code: 'image.missing',
        message: `${path} does not exist`,
        where: path,
        hint: 'Make it first (diolab mkfs), or let the experiment make it (create).',
        exitCode: 66,
      });
    }
    const isOurs = isNew || (await this.images.isOurs(path));
    if (!isNew && !target.consentToWrite && changesImage(experiment)) {
      if (!isOurs) throw new HostError(consentProblem(path));
      await this.refuseOverwritingFiles(target, path);
    }
    const consentToWrite = isOurs || target.consentToWrite;
    return { ...experiment, target: { ...target, device, consentToWrite } };
  }

  /** Throws 'image.consent' where the target is the whole image, and the image holds a file system: writing it would destroy that. */
  private async refuseOverwritingFiles(target: Target, path: string): Promise<void> {
    if (target.filePath !== null) return;
    const { probe, fileSystemId } = await this.images.probe(path);
    if (probe !== null) throw new HostError(overwriteProblem(path, fileSystemId));
  }

  /** Makes the image where the target says so and it is not there. The target as the engine is to have it: the image exists. */
  async make(
    target: Target,
    signal: AbortSignal,
    onPhase: (text: string) => void,
  ): Promise<Target> {
    const path = this.pathOf(target);
    if (path === null) return target;
    if (target.create !== null && !(await isThere(path))) {
      onPhase(`Making the image ${path}`);
      await makeFolder(this.imagesFolder);
      const { sizeBytes } = target.create;
      const whole = target.filePath === null ? 'raw' : 'ext2';
      const fileSystemId = target.fileSystem.id === 'auto' ? whole : target.fileSystem.id;
      const { options } = target.fileSystem;
      await this.images.make({ path, name: null, sizeBytes, fileSystemId, options }, { signal });
    }
    await this.images.noteUse(path);
    return { ...target, create: null };
  }
}
