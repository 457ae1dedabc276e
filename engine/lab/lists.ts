// SPDX-License-Identifier: GPL-2.0-only
/** The visible lists of the engine, for main/: forms, flags and checks come from the modules' own data. */
export { DEVICES } from '../devices/index.ts';
export { DEFAULT_REVISION_ID, findRevision, REVISIONS } from '../dio/index.ts';
export { EXECUTORS } from '../executor/index.ts';
export { FILE_SYSTEMS } from '../filesystems/index.ts';
export { EXHIBITS, findExhibit } from './gallery/index.ts';
export { findLesson, LESSONS, LESSON_SEED_MAX } from './lessons/index.ts';
