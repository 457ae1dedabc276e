// SPDX-License-Identifier: GPL-2.0-only
/**
 * Entry of the engine process: a forked child in the browser and terminal faces, a utility process in the window. The engine thread is
 * `thread.js` beside the built file.
 */
import { serveEngineProcess } from './serve-process.ts';

serveEngineProcess(new URL('./thread.js', import.meta.url));
