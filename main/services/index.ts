// SPDX-License-Identifier: GPL-2.0-only
/**
 * The services behind every face, without any transport. One instance a process.
 *
 *   const services = await makeServices({ face: 'terminal', version });
 *   const client = clientInProcess(services);          // the contract, without a wire (router.ts)
 *   await services.close();
 *
 * Rules: 1. No Electron here. 2. Every refusal is a `HostError`. 3. `close` stops what runs in the stop order and keeps its result.
 */
import { fileURLToPath } from 'node:url';
import { EngineHost } from '../host/engine-host.ts';
import { forkEngine, type SpawnEngine } from '../host/spawn.ts';
import { Bulk } from './bulk.ts';
import { Experiments } from './experiments.ts';
import { Gallery } from './gallery.ts';
import { Grounds } from './grounds.ts';
import { HostInfo, type Face } from './host-info.ts';
import { Images } from './images.ts';
import { Journal } from './journal.ts';
import { Lessons } from './lessons.ts';
import { Loops } from './loops.ts';
import { MadeImages } from './made-images.ts';
import { makeFolder } from './durable.ts';
import { pathsOf, type Paths } from './paths.ts';
import { ResultFiles } from './result-file.ts';
import { Runs } from './runs.ts';
import { Targets } from './targets.ts';
import { Verify } from './verify.ts';
import { Workbench } from './workbench/index.ts';

export { pathsOf, type Paths } from './paths.ts';
export type { Face } from './host-info.ts';
export type { MakeImage, MakeImageHow } from './images.ts';

export interface ServicesOptions {
  readonly face: Face;
  readonly version: string;
  /** How engine processes are started; child_process.fork where it is left out. */
  readonly spawn?: SpawnEngine;
  /** The built entry of the engine process; beside the built caller (`../engine/process.js`) where it is left out. */
  readonly engineEntryPath?: string;
  readonly paths?: Paths;
}
export interface Services {
  readonly paths: Paths;
  readonly host: HostInfo;
  readonly images: Images;
  readonly workbench: Workbench;
  readonly experiments: Experiments;
  readonly gallery: Gallery;
  readonly lessons: Lessons;
  readonly grounds: Grounds;
  readonly loops: Loops;
  readonly verify: Verify;
  readonly runs: Runs;
  readonly bulk: Bulk;
  close(): Promise<void>;
}

/** Makes the services and the folders they need. Throws a `HostError` where the data folder cannot be made. */
export async function makeServices(options: ServicesOptions): Promise<Services> {
  const paths = options.paths ?? pathsOf();
  await makeFolder(paths.runs);
  await makeFolder(paths.images);
  const engineOptions = {
    spawn: options.spawn ?? forkEngine,
    entryPath:
      options.engineEntryPath ?? fileURLToPath(new URL('../engine/process.js', import.meta.url)),
  };
  const engine = new EngineHost(engineOptions);
  // Asks the person for a password where it has to, and waits for it: questions about images go on meanwhile.
  const holder = new EngineHost(engineOptions);
  const journal = new Journal(paths.runs);
  await journal.purge();
  const files = new ResultFiles(paths.cache);
  const made = new MadeImages(paths.madeImages);
  const images = new Images(paths, made, engine);
  const workbench = new Workbench(paths, images, made, engine);
  await workbench.snapshots.purge();
  const targets = new Targets(images, paths.images, workbench.snapshots);
  const runs = new Runs({ journal, runsFolder: paths.runs, files, engine, targets });
  const grounds = new Grounds({ folder: paths.grounds, engine, runs, targets, images });
  const loops = new Loops({
    folder: paths.loops,
    holder,
    imageFolders: () => images.folders(),
    isLocked: async (path) =>
      (await engine.call('used-by', { path })).some(({ kind }) => kind === 'lock'),
  });
  const verify = new Verify({
    workbench,
    runs,
    journal,
    targets,
    holder,
    cacheFolder: paths.cache,
  });
  let closing: Promise<void> | null = null;
  return {
    paths,
    host: new HostInfo(engine, paths, options.face, options.version),
    images,
    workbench,
    experiments: new Experiments(targets, images, runs, engine),
    gallery: new Gallery(engine),
    lessons: new Lessons(paths.images, made, images, engine),
    grounds,
    loops,
    verify,
    runs,
    bulk: new Bulk(runs, journal, files, images),
    close: () =>
      (closing ??= (async () => {
        await grounds.close();
        await runs.close();
        await loops.close();
        await holder.close();
        await engine.close();
        await files.close();
      })()),
  };
}
