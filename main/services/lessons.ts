// SPDX-License-Identifier: GPL-2.0-only
/**
 * Lessons: their list, questions and checked answers, which the engine process for tools works out; and the images of exercises as files.
 * An image file is made whole or not at all, and never over another one: a name that is taken by other bytes gets a number.
 */
import { link, open, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../../engine/base/index.ts';
import type {
  CheckedAnswer,
  Exercise,
  LessonAnswer,
  LessonImageBytes,
  LessonInfo,
} from '../../engine/lab/lesson.ts';
import { findLesson, LESSONS } from '../../engine/lab/lists.ts';
import type { ImageInfo } from '../contract/types.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { fileError, syncFolder, temporaryName } from './durable.ts';
import type { Images } from './images.ts';
import type { MadeImages } from './made-images.ts';

/** Images of one exercise side by side, each changed by the learner since. */
const COPIES_MAX = 100;

export class Lessons {
  constructor(
    /** Where image files go. */
    private readonly folder: string,
    private readonly made: MadeImages,
    private readonly images: Images,
    private readonly engine: EngineHost,
  ) {}

  list(): LessonInfo[] {
    return LESSONS.map(({ info }) => info);
  }

  /** Throws 'lesson.unknown' where there is no such lesson. */
  async start(id: string, seed: number): Promise<Exercise> {
    findLesson(id);
    return this.engine.call('lesson-start', { id, seed });
  }

  /** Throws 'lesson.bad-answer' for what is no answer to the question. */
  async answer(id: string, seed: number, answer: LessonAnswer): Promise<CheckedAnswer> {
    findLesson(id);
    return this.engine.call('lesson-answer', { id, seed, answer });
  }

  /** The image of an exercise as a file, as the exercise begins. */
  async image(id: string, seed: number, imageId: string): Promise<ImageInfo> {
    findLesson(id);
    const image = await this.engine.call('lesson-image', { id, seed, imageId });
    const stem = `lesson-${id}-${imageId}-${String(seed)}`;
    for (let copy = 1; copy <= COPIES_MAX; copy += 1) {
      const name = copy === 1 ? `${stem}.img` : `${stem}-${String(copy)}.img`;
      const path = join(this.folder, name);
      if ((await holds(path, image)) || (await this.make(path, image))) {
        await this.images.noteUse(path);
        return this.images.probe(path);
      }
    }
    throw new HostError({
      code: 'image.exists',
      message: `There are ${String(COPIES_MAX)} changed images of this exercise already`,
      where: this.folder,
      hint: 'Remove those that are not needed any more.',
      exitCode: 73,
    });
  }

  /** False where the name is taken. */
  private async make(path: string, image: LessonImageBytes): Promise<boolean> {
    const temporary = temporaryName(path);
    try {
      const handle = await open(temporary, 'wx');
      try {
        await handle.truncate(image.sizeBytes);
        for (const { offsetBytes, bytes } of image.pieces) {
          await handle.write(bytes, 0, bytes.length, offsetBytes);
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
      await link(temporary, path);
      await syncFolder(dirname(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw fileError(error, 'make the image', path);
    } finally {
      await rm(temporary, { force: true });
    }
    await this.made.add(path);
    return true;
  }
}

/** The file is there, and has just these bytes. */
async function holds(path: string, image: LessonImageBytes): Promise<boolean> {
  let found: Buffer;
  try {
    found = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw fileError(error, 'read the image', path);
  }
  if (found.length !== image.sizeBytes) return false;
  const wanted = Buffer.alloc(image.sizeBytes);
  for (const { offsetBytes, bytes } of image.pieces) wanted.set(bytes, offsetBytes);
  return wanted.equals(found);
}
