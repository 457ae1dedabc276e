// SPDX-License-Identifier: GPL-2.0-only
/** Entry of the engine thread: the real lab over the real host. */
import { explain } from '../../engine/lab/explain.ts';
import { imageTools } from '../../engine/lab/image-tools.ts';
import { runExperiment } from '../../engine/lab/run.ts';
import { hostFacts, nativePorts } from './native/index.ts';
import { serveEngineThread } from './serve-thread.ts';

serveEngineThread({
  lab: { run: runExperiment, explain, image: imageTools },
  makePorts: nativePorts,
  probeFacts: hostFacts,
});
