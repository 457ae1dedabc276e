// SPDX-License-Identifier: GPL-2.0-only
/** The services in this process: imported by the first command that needs them. */
import { makeServices } from '../services/index.ts';
import { clientInProcess } from '../services/router.ts';
import type { Session } from './session.ts';

export async function openSession(version: string): Promise<Session> {
  const services = await makeServices({ face: 'terminal', version });
  const { images, runs, bulk } = services;
  return {
    client: clientInProcess(services),
    makeImage: async (ask, how) => {
      await images.make(ask, how);
    },
    readFile: (image, path, onData, partition) => images.readFile(image, path, onData, partition),
    writeFile: (image, path, content, consent, partition) =>
      images.writeFile(image, path, content, consent, partition),
    exportRun: async (runId, format, onData) => {
      const { body } = await bulk.export(await runs.readyEntry(runId), format);
      for await (const bytes of (body ?? []) as AsyncIterable<Uint8Array>) await onData(bytes);
    },
    close: () => services.close(),
  };
}
