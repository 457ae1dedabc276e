// SPDX-License-Identifier: GPL-2.0-only
/**
 * A lab in a process of its own, to be killed: makes run after run on a data folder and says what happened, one JSON line each.
 *   argv: data folder, entry of the engine process, name of the experiments, how many (0: until killed)
 */
import { writeSync } from 'node:fs';
import { forkEngine } from '../../../main/host/spawn.ts';
import { makeServices, pathsOf } from '../../../main/services/index.ts';
import { experimentOf } from './samples.ts';

const [, , data = '', engineEntryPath = '', name = '', count = '0'] = process.argv;
// Written at once: a line that was printed has happened, whenever this process dies.
const say = (what: object): void => {
  writeSync(1, `${JSON.stringify(what)}\n`);
};

const services = await makeServices({
  face: 'terminal',
  version: '0.0.0',
  paths: pathsOf({ DIOLAB_DATA: data }),
  engineEntryPath,
  spawn: (entry) => {
    const child = forkEngine(entry);
    say({ enginePid: child.pid });
    return child;
  },
});
say({ ready: true });
for (let made = 0; Number(count) === 0 || made < Number(count); made++) {
  const { runId } = await services.runs.start(experimentOf(name));
  say({ started: runId });
  for await (const event of services.runs.watch(runId)) {
    if (event.kind === 'ended') say({ ended: runId, state: event.state });
  }
}
say({ listed: (await services.runs.list()).length });
await services.close();
