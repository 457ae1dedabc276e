// SPDX-License-Identifier: GPL-2.0-only
/** Entry of an engine process whose thread is the scripted lab: the real process and messages, without the real engine. */
import { serveEngineProcess } from '../../../main/host/serve-process.ts';

serveEngineProcess(new URL('./scripted-thread.js', import.meta.url));
