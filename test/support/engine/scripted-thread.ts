// SPDX-License-Identifier: GPL-2.0-only
/**
 * A lab that does what the experiment's name says, for tests of the processes and of the services around them:
 *
 *   'rows N'       ends with N request rows and N trace rows     'until stopped'  sends progress until the stop order
 *   'refuse'       throws a HostError                            'broken'         breaks an invariant
 *   'exit N'       the process ends with code N                  'kill'           the process ends by SIGKILL
 *   'deaf'         never ends and never looks                    'slow MS'        takes so long, then ends with 10 rows
 *
 * Image tools work on the real file: 'format' writes a mark, 'read' gives the host file's bytes, 'write' replaces them.
 */
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { assert, HostError } from '../../../engine/base/index.ts';
import type {
  ImageTools,
  Lab,
  LabPorts,
  RunControl,
  RunOutcome,
} from '../../../engine/lab/door.ts';
import type { Experiment } from '../../../engine/lab/experiment.ts';
import type { WorkbenchTools } from '../../../engine/lab/workbench.ts';
import { serveEngineThread } from '../../../main/host/serve-thread.ts';
import { progressOf, requestColumns, resultOf, traceColumns } from './samples.ts';

const pause = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

function outcome(
  experiment: Experiment,
  rows: number,
  state: 'finished' | 'cancelled',
): RunOutcome {
  const trace = traceColumns(rows);
  return {
    result: resultOf(experiment, { state, traceRows: trace.rowCount }),
    requests: requestColumns(rows),
    trace,
  };
}

function run(experiment: Experiment, _ports: LabPorts, control: RunControl): RunOutcome {
  const [verb, number = '0'] = experiment.name.split(' ');
  switch (verb) {
    case 'refuse':
      throw new HostError({
        code: 'image.not-regular',
        message: 'not a regular file',
        where: '/dev/null',
        hint: 'Choose a file.',
        exitCode: 65,
        data: { type: 'character device' },
      });
    case 'broken':
      assert(Number(number) === 1, 'two is one', { two: 2 });
      break;
    case 'exit':
      // A worker cannot end its process by process.exit: abort as a crash of native code would.
      process.kill(process.pid, number === '0' ? 'SIGSEGV' : 'SIGABRT');
      pause(60_000);
      break;
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      pause(60_000);
      break;
    case 'deaf':
      control.onProgress(progressOf({ phase: 'running' }), []);
      pause(120_000);
      break;
    case 'slow':
      pause(Number(number));
      return outcome(experiment, 10, 'finished');
    case 'until': {
      for (let step = 1; !control.isStopRequested(); step++) {
        control.onProgress(progressOf({ phase: 'running', doneIos: step }), []);
        pause(20);
      }
      control.onProgress(progressOf({ phase: 'draining' }), []);
      return outcome(experiment, 10, 'cancelled');
    }
    default:
      break;
  }
  control.onProgress(progressOf({ phase: 'running', doneIos: 1 }), []);
  return outcome(experiment, Number(number), 'finished');
}

const image: ImageTools = {
  partitions: () => ({ kind: null, sectorBytes: 512, isBackup: false, partitions: [] }),
  probe: (_ports, path) => ({
    sizeBytes: statSync(path).size,
    fileSystemId: 'raw',
    probe: null,
    isDirect: true,
    directRefusedWhy: null,
    offsetAlignBytes: 512,
    memoryAlignBytes: 512,
  }),
  format: (_ports, path, fileSystemId) => {
    if (fileSystemId === 'full') {
      throw new HostError({
        code: 'image.no-space',
        message: 'no space',
        where: path,
        exitCode: 73,
      });
    }
    const fd = openSync(path, 'r+');
    writeSync(fd, `formatted as ${fileSystemId}`, 0);
    closeSync(fd);
  },
  list: () => [{ name: 'hello', inodeNumber: 12, kind: 'file', sizeBytes: 5 }],
  map: () => ({
    blockSizeBytes: 4096,
    sizeBytes: 8192,
    extents: [{ fileBlock: 0, count: 2, deviceBlock: 7, state: 'mapped' }],
  }),
  read: (_ports, path, _file, onData) => {
    const fd = openSync(path, 'r');
    const buffer = new Uint8Array(65536);
    for (let n = readSync(fd, buffer); n > 0; n = readSync(fd, buffer))
      onData(buffer.subarray(0, n));
    closeSync(fd);
  },
  write: (_ports, path, _file, nextData) => {
    const fd = openSync(path, 'w');
    for (let bytes = nextData(); bytes !== null; bytes = nextData()) writeSync(fd, bytes);
    closeSync(fd);
  },
};

const scripted = (what: string): never => {
  throw new HostError({ code: 'workbench.scripted', message: what });
};
const workbench: WorkbenchTools = {
  stat: (_ports, { path }) => ({
    fileSystemId: 'raw',
    facts: [{ id: 'size', title: 'Size', value: String(statSync(path).size) }],
  }),
  layout: () => scripted('layout'),
  fragmentation: () => scripted('fragmentation'),
  block: (_ports, _place, deviceBlock) => ({
    deviceBlock,
    offsetBytes: 4096 * deviceBlock,
    bytes: new Uint8Array([1, 2, 3]),
    description: null,
    ownerPath: null,
  }),
  preview: () => scripted('preview'),
  makeFolder: () => scripted('make folder'),
  remove: () => scripted('remove'),
  rename: () => scripted('rename'),
  getTree: (_ports, { path }, _file, onPart) => {
    const bytes = readFileSync(path);
    onPart({ kind: 'file', path: '', sizeBytes: bytes.length });
    onPart({ kind: 'bytes', bytes: new Uint8Array(bytes) });
    return { files: 1, bytes: bytes.length, notes: [] };
  },
  putTree: (_ports, _place, _file, nextPart) => {
    const outcome = { files: 0, bytes: 0, notes: [] };
    for (let part = nextPart(); part !== null; part = nextPart()) {
      if (part.kind === 'file') outcome.files += 1;
      if (part.kind === 'bytes') outcome.bytes += part.bytes.length;
    }
    return outcome;
  },
  layOut: () => scripted('lay out'),
};

const lab: Lab = {
  run,
  workbench,
  explain: (request) => {
    throw new HostError({ code: 'explain.scripted', message: `explain of ${request.op}` });
  },
  compare: ({ request }) => {
    throw new HostError({ code: 'compare.scripted', message: `compare of ${request.op}` });
  },
  exhibit: (id) => {
    throw new HostError({ code: 'exhibit.scripted', message: `exhibit ${id}` });
  },
  lessons: {
    start: () => scripted('start'),
    answer: () => scripted('answer'),
    image: () => scripted('image'),
  },
  image,
};

serveEngineThread({
  lab,
  makePorts: () => ({}) as LabPorts,
  probeFacts: (folder) => [
    { id: 'o-direct', title: 'O_DIRECT', state: 'yes', text: `asked of ${folder}`, remedy: null },
  ],
  usesOf: () => [],
  privileged: {
    attach: ({ path }) => {
      throw new HostError({ code: 'helper.missing', message: `${path}: no helper is scripted` });
    },
    detach: () => false,
    held: () => [],
    compareMounted: (_tools, _ports, { mountedPath }) => {
      throw new HostError({ code: 'helper.missing', message: `${mountedPath}: no helper` });
    },
  },
});
