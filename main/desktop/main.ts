// SPDX-License-Identifier: GPL-2.0-only
/** Entry of the Electron main process: the real runtime, the built page, and the services with engine processes of Electron's own kind. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as electron from 'electron';
import { spawnWithUtilityProcess } from '../host/spawn.ts';
import { makeServices } from '../services/index.ts';
import { servePorts } from '../services/router.ts';
import { startDesktop, type DesktopServices } from './app.ts';
import { parseFileList } from './protocol.ts';

const pageFolder = fileURLToPath(new URL('../renderer/', import.meta.url));

async function openServices(): Promise<DesktopServices> {
  const services = await makeServices({
    face: 'window',
    version: electron.app.getVersion(),
    spawn: spawnWithUtilityProcess(electron.utilityProcess),
    engineEntryPath: fileURLToPath(new URL('../engine/process.js', import.meta.url)),
  });
  const serve = servePorts(services, (text) => {
    console.error(text);
  });
  return {
    serve: (port) => {
      serve(port);
      port.start();
    },
    bulk: (request) => services.bulk.handle(request),
    runs: services.runs,
    close: () => services.close(),
  };
}

startDesktop(electron, {
  preloadPath: fileURLToPath(new URL('../preload/preload.cjs', import.meta.url)),
  stateFile: (name) => join(electron.app.getPath('userData'), name),
  platform: process.platform,
  arguments: process.argv,
  folder: process.cwd(),
  files: {
    types: parseFileList(readFileSync(join(pageFolder, 'files.json'), 'utf8')),
    read: (path) => readFile(join(pageFolder, path)),
  },
  openServices,
}).catch((error: unknown) => {
  // Without services there is no lab: say why where the person sees it, and end.
  const text = error instanceof Error ? error.message : String(error);
  electron.dialog.showErrorBox('diolab cannot start', text);
  electron.app.exit(78);
});
