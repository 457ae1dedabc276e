// SPDX-License-Identifier: GPL-2.0-only
/** Entry of the engine thread: the real lab over the real host. */
import { compareRevisions } from '../../engine/lab/compare.ts';
import { explain } from '../../engine/lab/explain.ts';
import { runExhibit } from '../../engine/lab/gallery/index.ts';
import { imageTools } from '../../engine/lab/image-tools.ts';
import { lessonTools } from '../../engine/lab/lessons/index.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { workbenchTools } from '../../engine/lab/workbench/index.ts';
import { hostFacts, nativePorts, privilegedTools, usesOf } from './native/index.ts';
import { serveEngineThread } from './serve-thread.ts';

serveEngineThread({
  lab: {
    run: runExperiment,
    explain,
    compare: compareRevisions,
    exhibit: runExhibit,
    lessons: lessonTools,
    image: imageTools,
    workbench: workbenchTools,
  },
  makePorts: nativePorts,
  probeFacts: hostFacts,
  usesOf,
  privileged: privilegedTools,
});
