// SPDX-License-Identifier: GPL-2.0-only
/**
 * Faults at every k-th request of workloads: EIO, a short transfer, ENOSPC, EFAULT and a timeout of the disk. A request either says what
 * it moved or the exact error (a modelled kernel knows one error of a disk, EIO), and what is left behind is an image that the file
 * system's own checker finds sound, or repairs so that a second pass is clean.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  below,
  errnoName,
  ERRNO,
  HostError,
  resolveOptions,
  Sfc32,
} from '../../engine/base/index.ts';
import { FaultyDevice, faultyDevice } from '../../engine/devices/faulty/index.ts';
import { expectOk, FileSystemLab, stamped } from '../support/file-system-lab.ts';
import { describeUnless, missingReason } from '../support/tools.ts';
import {
  casesOf,
  freshImage,
  imageFolder,
  isWritable,
  SEED,
  sizeOf,
  type SuiteCase,
} from './images.ts';
import { recordResult } from './results.ts';

const WORKLOADS = sizeOf('DIOLAB_FAULT_WORKLOADS', 1);
const MINUTES = sizeOf('DIOLAB_TRUST_MINUTES', 60);
const FAULTS = ['eio', 'short', 'enospc', 'efault', 'timeout'] as const;
const STEPS = 14;
/** Rules of each fault. */
const POINTS = sizeOf('DIOLAB_TRUST_FULL', 0) > 0 ? 6 : 2;
/**
 * What a request may say to a fault: EIO, which is all that direct I/O knows; what the page cache and metadata hand on, the disk's own
 * errno; and the file system's own words where it can go no further.
 */
const OWN: Readonly<Record<(typeof FAULTS)[number], number>> = {
  eio: ERRNO.EIO,
  short: ERRNO.EIO,
  enospc: ERRNO.ENOSPC,
  efault: ERRNO.EFAULT,
  timeout: ERRNO.ETIMEDOUT,
};
const ALWAYS: readonly number[] = [-ERRNO.EIO, -ERRNO.ENOSPC, -ERRNO.EUCLEAN];

let folder: ReturnType<typeof imageFolder>;
beforeAll(() => {
  folder = imageFolder('faults');
});
afterAll(() => {
  folder.remove();
});

interface FaultCounts {
  runs: number;
  faults: number;
  errors: number;
  clean: number;
  repaired: number;
}

/** One workload with one rule; what it was told. */
class FaultRun {
  private readonly told = new Set<number>();
  readonly faulty: FaultyDevice;
  readonly lab: FileSystemLab;

  constructor(
    private readonly one: SuiteCase,
    image: Uint8Array,
    rule: Readonly<Record<string, unknown>>,
  ) {
    let faulty: FaultyDevice | null = null;
    this.lab = new FileSystemLab(image, {
      arenaPages: 1024,
      wrap: (disk) =>
        (faulty = new FaultyDevice(disk, resolveOptions(faultyDevice.options, rule, 'faults'))),
    });
    this.faulty = faulty as unknown as FaultyDevice;
  }

  /** True: it came to its end with every answer as it should be. */
  run(seed: number): boolean {
    const { lab, one } = this;
    const random = new Sfc32(seed);
    try {
      const fileSystem = lab.mount(one.adapter.moduleId);
      const root = expectOk(lab.run(fileSystem.readInode(fileSystem.rootInodeNumber)));
      for (let step = 0; step < STEPS; step++) {
        const name = `file ${String(below(random, 3))}`;
        const found = lab.run(fileSystem.lookup(root, name));
        const made = found.ok
          ? lab.run(fileSystem.readInode(found.value))
          : lab.run(fileSystem.create(root, name, 'file'));
        const isDirect = random.next32() % 2 === 0;
        const at = below(random, 100) * 512;
        const length = 512 * (1 + below(random, 60));
        const choice = below(random, 8);
        if (!made.ok) {
          this.note(-(ERRNO as Readonly<Record<string, number>>)[made.error]!);
          continue;
        }
        const opened = lab.run(fileSystem.open(made.value));
        if (!opened.ok) continue;
        const file = opened.value;
        if (choice < 5) {
          this.note(
            lab.write(file, at, stamped(step, at, length), { isDirect, isDsync: choice === 0 }),
          );
        } else if (choice === 5) {
          const read = lab.read(file, at, length, { isDirect });
          this.note(typeof read === 'number' ? read : 0);
        } else if (choice === 6) this.note(lab.run(file.fsync(false)));
        else this.note(lab.run(fileSystem.truncate(made.value, at)));
      }
      this.note(lab.run(fileSystem.unmount()));
      lab.kernel.drain();
    } catch (error) {
      if (error instanceof HostError && error.hint !== undefined) this.told.add(-ERRNO.EIO);
      else throw error;
      return false;
    }
    return true;
  }

  get errors(): readonly number[] {
    return [...this.told];
  }
  private note(result: number): void {
    if (result < 0) this.told.add(result);
  }
}

function runFaults(one: SuiteCase, path: string, untilMs: number): FaultCounts {
  const { adapter } = one;
  const fresh = freshImage(adapter, one.variant, path);
  const counts = { runs: 0, faults: 0, errors: 0, clean: 0, repaired: 0 };
  for (let workload = 0; workload < WORKLOADS; workload++) {
    const whole = new FaultRun(one, fresh.slice(), {});
    whole.run(SEED + workload);
    const most = whole.lab.kernel.queueOf(whole.lab.device).counters;
    const requests = most.reads + most.writes;
    for (const fault of FAULTS) {
      for (let point = 0; point < POINTS; point++) {
        if (Date.now() > untilMs) return counts;
        const random = new Sfc32(SEED + workload, point * 8 + FAULTS.indexOf(fault));
        // Half of the runs fail once, the others at every k-th request.
        const k = 1 + below(random, requests);
        const countMax = point % 2 === 0 ? 1 : 0;
        const where = `workload ${String(workload)}, ${fault} every ${String(k)}, at most ${String(countMax)}`;
        const run = new FaultRun(one, fresh.slice(), { fault, every: k, countMax });
        try {
          run.run(SEED + workload);
          counts.runs++;
          counts.faults += run.faulty.faultCount;
          counts.errors += run.errors.length;
          const strange = run.errors.filter(
            (error) => error !== -OWN[fault] && !ALWAYS.includes(error),
          );
          if (strange.length > 0)
            throw new Error(`it said ${strange.map((e) => errnoName(e) ?? e).join(', ')}`);
          writeFileSync(path, run.lab.disk.bytes);
          if (adapter.fsck(path).isClean) {
            counts.clean++;
            continue;
          }
          if (run.faulty.faultCount === 0) throw new Error('not clean without any fault');
          const repaired = adapter.repair?.(path);
          const again = adapter.fsck(path);
          if (repaired?.isRepaired !== true || !again.isClean) {
            throw new Error(`not repaired: ${repaired?.text ?? ''}\n${again.text}`);
          }
          counts.repaired++;
        } catch (error) {
          throw new Error(`${one.name}, seed ${String(SEED)}, ${where}: ${String(error)}`, {
            cause: error,
          });
        }
      }
    }
  }
  return counts;
}

describe(`faults of the disk, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const one of casesOf('faults').filter(({ adapter }) => isWritable(adapter))) {
    describeUnless(missingReason(one.adapter.tools), one.name, () => {
      it(`${String(WORKLOADS)} workloads: the exact error, and an image that is sound or repaired`, () => {
        const path = join(folder.path, 'faults.img');
        const counts = runFaults(one, path, Date.now() + MINUTES * 60_000);
        expect(counts.runs).toBeGreaterThan(0);
        expect(counts.faults).toBeGreaterThan(0);
        recordResult('faults', one.name, counts.runs, { ...counts });
      });
    });
  }
});
