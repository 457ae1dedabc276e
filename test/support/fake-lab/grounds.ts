// SPDX-License-Identifier: GPL-2.0-only
/**
 * Grounds and loop devices of the scripted lab: two measurements that were, one that goes on when it is started, devices of this lab, of
 * another and of one that is gone. ?fake=bare: no helper, so only two grounds can be measured and no device attached.
 */
import { HostError } from '../../../engine/base/index.ts';
import { groundOrder, groundRows, GROUNDS } from '../../../engine/lab/grounds.ts';
import type {
  Experiment, GroundId, GroundInfo, GroundSample, GroundsEvent, GroundsRequest, GroundsResult, Leftover, LoopDeviceInfo, TracePage, TraceRow, VerifyEvent,
} from '../../../main/contract/index.ts'; // prettier-ignore
import { experiment } from './data.ts';
import { makeRandom } from './numbers.ts';

const AT_UNIX_MS = 1_772_000_000_000;
const RUN_MS = 120;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const REMEDY = 'sudo apt install diolab';

/** IOPS, p50 and p99 in ns, CPU a request in ns, growth of the page cache, share that the disk moved. */
const SHAPE: Readonly<Record<GroundId, readonly [number, number, number, number, number, number]>> = {
  engine: [104_200, 287_000, 612_000, 5_300, 0, 1],
  'host-file': [118_900, 251_000, 540_000, 2_900, 0, 1],
  'loop-direct': [81_400, 366_000, 905_000, 6_100, 0, 1],
  'loop-buffered': [312_000, 88_000, 420_000, 6_400, 402_653_184, 0.11],
  'kernel-mount': [79_300, 371_000, 988_000, 3_400, 0, 1],
}; // prettier-ignore

function sampleOf(ground: GroundId, round: number, random: () => number): GroundSample {
  const [iops, p50, p99, cpu, growth, share] = SHAPE[ground];
  const wobble = (value: number, part: number): number => value * (1 + (random() - 0.5) * part);
  const rate = wobble(iops, ground === 'loop-buffered' ? 0.3 : 0.09);
  const requests = Math.round(rate * 2);
  return {
    ground, round, iops: rate, bytesPerSecond: rate * 4096, p50Ns: wobble(p50, 0.08), p99Ns: wobble(p99, 0.25),
    cpuUserNs: wobble(cpu, 0.1) * requests * 0.6, cpuSystemNs: wobble(cpu, 0.1) * requests * 0.4, requests,
    askedBytes: requests * 4096, movedBytes: Math.round(requests * 4096 * share), cacheGrowthBytes: Math.round(growth * (round === 0 ? 1 : 0.02)),
    failure: ground === 'kernel-mount' && round === 2 ? 'a request failed with EIO' : null,
  };
} // prettier-ignore
const emptyResult = (id: string, at: number, request: GroundsRequest): GroundsResult => ({
  id, name: (request.experiment).name, startedAtUnixMs: at, state: 'preparing', experiment: request.experiment,
  grounds: request.grounds, rounds: request.rounds, seed: request.seed, order: groundOrder(request.grounds, request.rounds, request.seed),
  samples: [], rows: [], machine: 'Linux 6.18.0, AMD EPYC 7B13', failure: null,
}); // prettier-ignore
/** A measurement that is over, the same at every call. */
export function groundsOf(id: string, at: number, asked: Experiment, rounds: number, ids: readonly GroundId[] = GROUNDS.map((each) => each.id)): GroundsResult {
  const request = { experiment: asked, grounds: [...ids], rounds, seed: 1, secondsPerRun: 2 } as GroundsRequest;
  const begun = emptyResult(id, at, request);
  const random = makeRandom(11);
  const samples = begun.order.flatMap((round, index) => round.map((ground) => sampleOf(ground, index, random)));
  return { ...begun, state: 'finished', samples, rows: groundRows(samples) };
} // prettier-ignore

const device = (change: Partial<LoopDeviceInfo>): LoopDeviceInfo => ({
  device: '/dev/loop3', imagePath: '/srv/images/attached.img', sectorBytes: 4096, hasDirectIo: true, isReadOnly: false,
  sizeBytes: 2 ** 30, owner: 'here', pid: 4211, ...change,
}); // prettier-ignore

/** What a run on a loop device left: reads and writes that the kernel did as the engine said, one that it split, one of its own. */
function* deviceRows(): Generator<TraceRow> {
  let index = 0;
  const row = (kind: TraceRow['kind'], atNs: number, values: number[]): TraceRow => ({
    index: index++, kind, atNs, dioId: -1, bioId: null, values,
  }); // prettier-ignore
  for (let at = 0; at < 240; at += 1) {
    const op = at % 5 === 4 ? 1 : 0;
    const sector = 8 * ((at * 7919) % 20_000);
    const atNs = 1e9 + at * 41_000;
    const isSplit = at % 40 === 7;
    yield row('dispatch', atNs, [sector, isSplit ? 1_310_720 : 4096, op, at]);
    yield row('kernel-queue', atNs + 9000, [sector, 4096, op, 0, 4211]);
  }
  yield row('kernel-queue', 1e9 + 10_000_000, [2048, 65_536, 0, 0, 77]);
  yield row('dispatch', 1e9 + 10_100_000, [0, 0, 2, 240]);
  yield row('kernel-queue', 1e9 + 10_109_000, [0, 0, 2, 1, 4211]);
}
export const loopTrace = (asked: { from: number; count: number; kinds: readonly string[] | null }): TracePage => {
  const rows = [...deviceRows()].filter((row) => asked.kinds?.includes(row.kind) ?? true);
  return { totalRows: rows.length, rows: rows.slice(asked.from, asked.from + asked.count), droppedCount: 0 };
}; // prettier-ignore
export async function* verifyInSteps(path: string): AsyncGenerator<VerifyEvent> {
  yield { kind: 'progress', phase: 'fsck', file: '', doneBytes: 0, totalBytes: null };
  await sleep(60);
  yield { kind: 'progress', phase: 'kernel', file: '/data.bin', doneBytes: 2 ** 28, totalBytes: 2 ** 29 };
  await sleep(60);
  yield {
    kind: 'done',
    result: {
      imagePath: path, partition: null, atUnixMs: AT_UNIX_MS,
      fsck: { state: 'clean', text: 'e2fsck 1.47.0 found nothing.', output: 'Pass 1: Checking inodes, blocks, and sizes\nPass 5: Checking group summary information\nfirst-light.img: 13/65536 files, 142000/262144 blocks' },
      comparison: { state: 'equal', files: 12, bytes: 2 ** 29, text: 'Every file has the same bytes both ways.', firstDifference: null },
    },
  };
} // prettier-ignore

/** `gate` waits or refuses as the address wants it. */
export function fakeGrounds(mode: string, gate: () => Promise<void>) {
  const all: readonly GroundId[] = GROUNDS.map(({ id }) => id);
  const cancelled = new Set<string>();
  let results: GroundsResult[] =
    mode === 'first'
      ? []
      : [
          groundsOf('past-grounds-2', AT_UNIX_MS, experiment('Random reads through ext2'), 5, all),
          groundsOf('past-grounds-1', AT_UNIX_MS - 86_400_000, experiment('Random writes', { rw: 'randwrite' }), 1, ['engine', 'host-file']),
        ]; // prettier-ignore
  const put = (result: GroundsResult): void => {
    results = [result, ...results.filter((each) => each.id !== result.id)];
  };
  const find = (id: string): GroundsResult => {
    const found = results.find((each) => each.id === id);
    if (found) return found;
    throw new HostError({ code: 'grounds.unknown', message: `There is no measurement ${id}` });
  };
  async function* watch(id: string): AsyncGenerator<GroundsEvent> {
    let result = find(id);
    if (result.state !== 'preparing') {
      yield { kind: 'result', result };
      return;
    }
    const random = makeRandom(3);
    const total = result.rounds * result.grounds.length;
    for (const [round, ids] of result.order.entries()) {
      for (const ground of ids) {
        if (cancelled.has(id)) break;
        const title = GROUNDS.find((each) => each.id === ground)?.title ?? ground;
        const text = `Round ${String(round + 1)} of ${String(result.rounds)}: ${title}`;
        yield { kind: 'progress', text, fraction: result.samples.length / total };
        await sleep(mode === 'stuck' && result.samples.length === 7 ? 1e9 : RUN_MS);
        const samples = [...result.samples, sampleOf(ground, round, random)];
        result = { ...result, state: 'running', samples, rows: groundRows(samples) };
        put(result);
        yield { kind: 'result', result };
      }
    }
    result = { ...result, state: cancelled.has(id) ? 'cancelled' : 'finished' };
    put(result);
    yield { kind: 'result', result };
  }
  const infos = (): GroundInfo[] =>
    GROUNDS.map(({ id, title, help, needsHelper }) => ({
      id, title, help,
      unavailableWhy: needsHelper && mode === 'bare' ? `the privileged helper is not here: ${REMEDY}` : null,
    })); // prettier-ignore
  const grounds = {
    list: async () => { await gate(); return infos(); },
    start: async (request: GroundsRequest) => {
      const id = `grounds-${String(results.length + 1)}`;
      put(emptyResult(id, Date.now(), request));
      return { id };
    },
    watch: async ({ id }: { id: string }) => watch(id),
    cancel: async ({ id }: { id: string }) => { cancelled.add(id); return { acknowledged: true }; },
    get: async ({ id }: { id: string }) => find(id),
    results: async () => { await gate(); return results; },
    remove: async ({ id }: { id: string }) => {
      results = results.filter((each) => each.id !== id);
      return { removed: true };
    },
  }; // prettier-ignore

  let devices: LoopDeviceInfo[] =
    mode === 'first' || mode === 'bare'
      ? []
      : [
          device({}),
          device({ device: '/dev/loop5', imagePath: '/home/ada/.local/share/diolab/images/first-light.img', sectorBytes: 512, hasDirectIo: false, isReadOnly: true, owner: 'elsewhere', pid: 3977 }),
          device({ device: '/dev/loop7', imagePath: '/srv/images/vm-root.img', sectorBytes: 512, owner: 'leftover', pid: null, sizeBytes: 20 * 2 ** 30 }),
        ]; // prettier-ignore
  let leftovers: Leftover[] = devices.length === 0 ? [] : [
    { path: '/home/ada/.local/share/diolab/images/first-light.img.plain', kind: 'plain-file', sizeBytes: 2 ** 29, text: 'The plain file of a run that did not end, beside first-light.img.' },
  ]; // prettier-ignore
  const loops = {
    list: async () => { await gate(); return devices; },
    watch: async () => (async function* () { await new Promise(() => undefined); yield devices; })(),
    attach: async (asked: { path: string; sectorBytes: 512 | 1024 | 2048 | 4096; directIo: boolean; readOnly: boolean }) => {
      if (asked.path.includes('missing')) {
        throw new HostError({ code: 'image.missing', message: 'There is no such file', where: asked.path, hint: 'Give the path of a regular file.' });
      }
      // As a kernel whose disk has 4 KiB sectors: direct-io with smaller ones is not kept.
      const made = device({ device: '/dev/loop8', imagePath: asked.path, sectorBytes: asked.sectorBytes, hasDirectIo: asked.directIo && asked.sectorBytes === 4096, isReadOnly: asked.readOnly });
      devices = [...devices, made];
      return made;
    },
    detach: async ({ device: name }: { device: string }) => {
      devices = devices.filter((each) => each.device !== name);
      return { detached: true };
    },
    leftovers: async () => leftovers,
    removeLeftover: async ({ path }: { path: string }) => {
      leftovers = leftovers.filter((each) => each.path !== path);
      return { removed: true };
    },
  }; // prettier-ignore
  return { grounds, loops };
}
