// SPDX-License-Identifier: GPL-2.0-only
/**
 * The contract, implemented over the services, and its ways out: in this process (terminal), over a MessagePort (window), over a
 * WebSocket (browser). The contract's schemas check every input; a `HostError` becomes the contract's 'HOST' error and crosses whole.
 */
import type { SupportedMessagePort } from '@orpc/client/message-port';
import { createRouterClient, implement, onError, ORPCError } from '@orpc/server';
import { RPCHandler as PortHandler } from '@orpc/server/message-port';
import { RPCHandler as SocketHandler } from '@orpc/server/ws';
import { HostError } from '../../engine/base/index.ts';
import { contract } from '../contract/index.ts';
import type { LabClient } from '../contract/client.ts';
import { failureData } from '../host/failure.ts';
import { formatExperiment, parseExperiment } from './formats/index.ts';
import type { Services } from './index.ts';
import type { Workbench } from './workbench/index.ts';

/** What the services throw, as the contract's error. Failures of our own code keep their place and are told too. */
function asContractError(error: unknown): unknown {
  if (error instanceof ORPCError) return error;
  const isOurs = error instanceof HostError;
  const data = failureData(error);
  return new ORPCError('HOST', {
    status: 422,
    message: data.message,
    data: isOurs ? data : { ...data, code: data.code.replace(/^engine\./, 'lab.') },
    defined: true,
  });
}

const implementer = () =>
  implement(contract).use(async ({ next }) => {
    try {
      return await next();
    } catch (error) {
      throw asContractError(error);
    }
  });

function workbenchRoutes({ images }: ReturnType<typeof implementer>, workbench: Workbench) {
  return {
    partitions: images.partitions.handler(({ input }) => workbench.partitions(input.path)),
    putFromHost: images.putFromHost.handler(async function* ({ input, signal }) {
      yield* hostErrors(workbench.putFromHost(input, signal));
    }),
    getToHost: images.getToHost.handler(async function* ({ input, signal }) {
      yield* hostErrors(workbench.getToHost(input, signal));
    }),
    layOut: images.layOut.handler(async function* ({ input, signal }) {
      yield* hostErrors(workbench.layOut(input, signal));
    }),
    stat: images.stat.handler(({ input }) => workbench.stat(input)),
    usedBy: images.usedBy.handler(({ input }) => workbench.usedBy(input.path)),
    layout: images.layout.handler(({ input, signal }) => workbench.layout(input, signal)),
    fragmentation: images.fragmentation.handler(({ input, signal }) =>
      workbench.fragmentation(input, signal),
    ),
    block: images.block.handler(({ input }) => workbench.block(input)),
    preview: images.preview.handler(({ input }) => workbench.preview(input)),
    makeFolder: images.makeFolder.handler(({ input }) => workbench.makeFolder(input)),
    removeEntry: images.removeEntry.handler(({ input }) => workbench.removeEntry(input)),
    renameEntry: images.renameEntry.handler(({ input }) => workbench.renameEntry(input)),
    fsck: images.fsck.handler(({ input, signal }) => workbench.fsck(input, signal)),
    snapshots: images.snapshots.handler(({ input }) => workbench.snapshots.list(input.path)),
    snapshot: images.snapshot.handler(({ input, signal }) =>
      workbench.snapshot(input.path, input.note, signal),
    ),
    restoreSnapshot: images.restoreSnapshot.handler(({ input, signal }) =>
      workbench.restoreSnapshot(input.id, input.consent, signal),
    ),
    removeSnapshot: images.removeSnapshot.handler(async ({ input }) => ({
      removed: await workbench.snapshots.remove(input.id),
    })),
    forget: images.forget.handler(({ input }) => workbench.forget(input.path, input.alsoDelete)),
  };
}

/** Loop devices and verification. */
function loopRoutes(lab: ReturnType<typeof implementer>, { loops, verify }: Services) {
  return {
    loops: {
      list: lab.loops.list.handler(() => loops.list()),
      watch: lab.loops.watch.handler(async function* ({ signal }) {
        yield* hostErrors(loops.watch(signal));
      }),
      attach: lab.loops.attach.handler(({ input }) => loops.attach(input)),
      detach: lab.loops.detach.handler(({ input }) => loops.detach(input.device)),
      leftovers: lab.loops.leftovers.handler(() => loops.leftovers()),
      removeLeftover: lab.loops.removeLeftover.handler(({ input }) =>
        loops.removeLeftover(input.path),
      ),
    },
    verify: {
      run: lab.verify.run.handler(async function* ({ input, signal }) {
        yield* hostErrors(verify.run({ ...input, partition: input.partition ?? null }, signal));
      }),
    },
  };
}

function runRoutes(routes: ReturnType<typeof implementer>['runs'], runs: Services['runs']) {
  return {
    start: routes.start.handler(({ input }) => runs.start(input)),
    watch: routes.watch.handler(async function* ({ input, signal }) {
      yield* hostErrors(runs.watch(input.runId, signal));
    }),
    cancel: routes.cancel.handler(({ input }) => runs.cancel(input.runId)),
    list: routes.list.handler(() => runs.list()),
    watchList: routes.watchList.handler(async function* ({ signal }) {
      yield* hostErrors(runs.watchList(signal));
    }),
    trace: routes.trace.handler(({ input }) =>
      runs.trace(input.runId, input.from, input.count, input.kinds),
    ),
    kernelComparison: routes.kernelComparison.handler(({ input }) =>
      runs.kernelComparison(input.runId),
    ),
    get: routes.get.handler(({ input }) => runs.get(input.runId)),
    rename: routes.rename.handler(({ input }) => runs.rename(input.runId, input.name)),
    remove: routes.remove.handler(({ input }) => runs.remove(input.runId)),
    restore: routes.restore.handler(({ input }) => runs.restore(input.runId)),
  };
}

/** The router of these services. */
export function makeRouter(services: Services) {
  const lab = implementer();
  const { host, images, workbench, experiments, gallery, lessons, grounds, runs } = services;
  return lab.router({
    host: {
      facts: lab.host.facts.handler(({ input }) => host.report(input.folder)),
      catalogue: lab.host.catalogue.handler(() => host.catalogue()),
    },
    images: {
      list: lab.images.list.handler(() => images.list()),
      probe: lab.images.probe.handler(({ input }) => images.probe(input.path)),
      make: lab.images.make.handler(({ input, signal }) =>
        images.make(input, signal === undefined ? {} : { signal }),
      ),
      entries: lab.images.entries.handler(({ input }) =>
        images.entries(input.path, input.folder, input.partition ?? null),
      ),
      map: lab.images.map.handler(({ input }) =>
        images.map(input.path, input.file, input.partition ?? null),
      ),
      browse: lab.images.browse.handler(({ input }) => images.browse(input.folder)),
      ...workbenchRoutes(lab, workbench),
    },
    experiments: {
      check: lab.experiments.check.handler(({ input }) => experiments.check(input)),
      parse: lab.experiments.parse.handler(({ input }) => parseExperiment(input.text, input.kind)),
      format: lab.experiments.format.handler(({ input }) =>
        formatExperiment(input.experiment, input.kind),
      ),
      explain: lab.experiments.explain.handler(({ input }) => experiments.explain(input)),
      compare: lab.experiments.compare.handler(({ input }) => experiments.compare(input)),
    },
    gallery: {
      list: lab.gallery.list.handler(() => gallery.list()),
      run: lab.gallery.run.handler(({ input }) => gallery.run(input.id)),
    },
    lessons: {
      list: lab.lessons.list.handler(() => lessons.list()),
      start: lab.lessons.start.handler(({ input }) => lessons.start(input.id, input.seed)),
      answer: lab.lessons.answer.handler(({ input }) =>
        lessons.answer(input.id, input.seed, input.answer),
      ),
      image: lab.lessons.image.handler(({ input }) =>
        lessons.image(input.id, input.seed, input.imageId),
      ),
    },
    grounds: {
      list: lab.grounds.list.handler(({ input }) => grounds.list(input)),
      start: lab.grounds.start.handler(({ input }) => grounds.start(input)),
      watch: lab.grounds.watch.handler(async function* ({ input, signal }) {
        yield* hostErrors(grounds.watch(input.id, signal));
      }),
      cancel: lab.grounds.cancel.handler(({ input }) => grounds.cancel(input.id)),
      get: lab.grounds.get.handler(({ input }) => grounds.get(input.id)),
      results: lab.grounds.results.handler(() => grounds.results()),
      remove: lab.grounds.remove.handler(({ input }) => grounds.remove(input.id)),
    },
    ...loopRoutes(lab, services),
    runs: runRoutes(lab.runs, runs),
  });
}
export type LabRouter = ReturnType<typeof makeRouter>;

/** The same translation for what a stream throws after its start. */
async function* hostErrors<T>(stream: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield* stream;
  } catch (error) {
    throw asContractError(error);
  }
}

/** Prints what no `HostError` explains: a fault of our own. The terminal face keeps its output clean and passes its own `log`. */
export type Log = (text: string) => void;
function logFault(log: Log, error: unknown): void {
  const isExpected = error instanceof ORPCError && (error.code === 'HOST' || error.status < 500);
  if (!isExpected) log(error instanceof Error ? (error.stack ?? error.message) : String(error));
}

/** The contract without a wire, for the terminal. */
export function clientInProcess(services: Services): LabClient {
  const client: LabClient = createRouterClient(makeRouter(services));
  return client;
}

/** Serves the contract on ports, one each for a window. */
export function servePorts(services: Services, log: Log): (port: SupportedMessagePort) => void {
  const handler = new PortHandler(makeRouter(services), {
    interceptors: [
      onError((error) => {
        logFault(log, error);
      }),
    ],
  });
  return (port) => {
    handler.upgrade(port, {});
  };
}

/** A socket that said hello. `send` may wait: streams then give it the latest instead of all. */
export interface ServableSocket {
  addEventListener(type: 'message' | 'close', listener: (event: never) => void): void;
  send(data: string | ArrayBufferLike | Uint8Array): unknown;
}

/** Serves the contract on sockets. */
export function serveSockets(
  services: Services,
  log: Log,
): (socket: ServableSocket) => Promise<void> {
  const handler = new SocketHandler(makeRouter(services), {
    interceptors: [
      onError((error) => {
        logFault(log, error);
      }),
    ],
  });
  return (socket) => handler.upgrade(socket as never, {});
}
