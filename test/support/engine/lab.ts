// SPDX-License-Identifier: GPL-2.0-only
/** A whole lab for tests: services over the scripted engine, in a data folder of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeServices, pathsOf, type Paths, type Services } from '../../../main/services/index.ts';
import { buildScriptedEngine, type BuiltEngine } from './build.ts';

export interface TestLab {
  readonly folder: string;
  readonly paths: Paths;
  readonly engine: BuiltEngine;
  services: Services;
  /** Closes the services and makes new ones on the same folder, as a second start would. */
  restart(): Promise<Services>;
  dispose(): Promise<void>;
}

/** `buildEngine`: the scripted engine where it is left out. */
export async function openTestLab(
  buildEngine: () => Promise<BuiltEngine> = buildScriptedEngine,
): Promise<TestLab> {
  const engine = await buildEngine();
  const folder = mkdtempSync(join(tmpdir(), 'diolab-lab-'));
  const paths = pathsOf({ DIOLAB_DATA: join(folder, 'data') });
  const make = (): Promise<Services> =>
    makeServices({ face: 'terminal', version: '0.0.0', paths, engineEntryPath: engine.entryPath });
  const lab: TestLab = {
    folder,
    paths,
    engine,
    services: await make(),
    restart: async () => {
      await lab.services.close();
      lab.services = await make();
      return lab.services;
    },
    dispose: async () => {
      await lab.services.close();
      engine.dispose();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return lab;
}

/** A built page of two files, with its list. `unlisted.txt` lies in the folder and is not in the list. */
export function makePage(folder: string): string {
  const page = join(folder, 'page');
  mkdirSync(join(page, 'assets'), { recursive: true });
  const contents: Record<string, readonly [string, string]> = {
    '/index.html': ['text/html; charset=utf-8', '<!doctype html><title>lab</title>'],
    '/assets/app-1a2b.js': ['text/javascript; charset=utf-8', 'export {};'],
  };
  const files: Record<string, { type: string; sizeBytes: number; sha256: string }> = {};
  for (const [path, [type, text]] of Object.entries(contents)) {
    writeFileSync(join(page, path), text);
    const sha256 = createHash('sha256').update(text).digest('hex');
    files[path] = { type, sizeBytes: text.length, sha256 };
  }
  writeFileSync(join(page, 'unlisted.txt'), 'secret');
  writeFileSync(join(folder, 'outside.txt'), 'secret');
  writeFileSync(join(page, 'files.json'), JSON.stringify({ files }));
  return page;
}
