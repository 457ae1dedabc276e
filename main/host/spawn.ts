// SPDX-License-Identifier: GPL-2.0-only
/**
 * The two ways to start an engine process, as a port, so that the rest of main/host knows neither child processes nor Electron.
 * A child is ended by the stop order, never by a signal from here.
 */
import { fork } from 'node:child_process';
import type { FromEngine, ToEngine } from './messages.ts';

export interface EngineExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The end of what it wrote to its standard error. */
  readonly lastOutput: string;
}
export interface EngineChild {
  readonly pid: number | null;
  send(message: ToEngine): void;
  onMessage(listener: (message: FromEngine) => void): void;
  /** Once, also where it could not be started. */
  onExit(listener: (exit: EngineExit) => void): void;
}
/** Starts the engine process whose entry is the module at `entryPath`. */
export type SpawnEngine = (entryPath: string) => EngineChild;

const OUTPUT_CHARACTERS_MAX = 4096;

/** Keeps the end of a stream's text. */
function keepTail(stream: NodeJS.ReadableStream | null): () => string {
  let tail = '';
  stream?.on('data', (chunk: Buffer | string) => {
    tail = (tail + chunk.toString()).slice(-OUTPUT_CHARACTERS_MAX);
  });
  return () => tail;
}

/** For the browser and terminal faces: child_process.fork with structured clone. */
export const forkEngine: SpawnEngine = (entryPath) => {
  const child = fork(entryPath, [], {
    execArgv: [],
    env: { ...process.env, NODE_OPTIONS: '' },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const lastOutput = keepTail(child.stderr);
  return {
    pid: child.pid ?? null,
    send: (message) => {
      // Fails only where the child is gone, which 'exit' tells.
      if (child.connected) child.send(message, () => undefined);
    },
    onMessage: (listener) => {
      child.on('message', listener as (message: unknown) => void);
    },
    onExit: (listener) => {
      let isTold = false;
      const tell = (exit: EngineExit): void => {
        if (!isTold) listener(exit);
        isTold = true;
      };
      // 'close' comes after the last message and the last output; 'error' where it could not be started.
      child.once('close', (code, signal) => {
        tell({ code, signal, lastOutput: lastOutput() });
      });
      child.once('error', (error) => {
        tell({ code: null, signal: null, lastOutput: error.message });
      });
    },
  };
};

/** What is used of Electron's `utilityProcess`; main/desktop passes the real one. */
export interface UtilityProcessLike {
  fork(
    modulePath: string,
    args?: string[],
    options?: { serviceName?: string; stdio?: 'pipe' | 'ignore'; env?: NodeJS.ProcessEnv },
  ): UtilityChildLike;
}
export interface UtilityChildLike {
  readonly pid: number | undefined;
  readonly stderr: NodeJS.ReadableStream | null;
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  once(event: 'exit', listener: (code: number) => void): unknown;
}

/** For the window: Electron's utility process. */
export const spawnWithUtilityProcess =
  (utilityProcess: UtilityProcessLike): SpawnEngine =>
  (entryPath) => {
    const child = utilityProcess.fork(entryPath, [], {
      serviceName: 'diolab engine',
      stdio: 'pipe',
    });
    const lastOutput = keepTail(child.stderr);
    let isGone = false;
    child.once('exit', () => {
      isGone = true;
    });
    return {
      pid: child.pid ?? null,
      send: (message) => {
        if (!isGone) child.postMessage(message);
      },
      onMessage: (listener) => {
        child.on('message', (message) => {
          listener(message as FromEngine);
        });
      },
      onExit: (listener) => {
        child.once('exit', (code) => {
          listener({ code, signal: null, lastOutput: lastOutput() });
        });
      },
    };
  };
