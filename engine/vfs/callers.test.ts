// SPDX-License-Identifier: GPL-2.0-only
/** What read and write do around revisions of direct I/O that rely on callers of another time. */
import { describe, expect, it } from 'vitest';
import { FileSystemLab, stamped } from '../../test/support/file-system-lab.ts';
import { ERRNO, isTask, type KernelReturn } from '../base/index.ts';
import { REVISIONS } from '../dio/index.ts';
import { resolveRevision } from '../dio/revisions/resolve.ts';
import { IovIter } from '../memory/index.ts';
import type { MountedFileSystem, OpenFile } from './index.ts';

const MIB = 1024 * 1024;
const PAGE = 4096;
const direct = { isDirect: true } as const;
const resolved = REVISIONS.map(resolveRevision);

interface Mounted {
  readonly lab: FileSystemLab;
  readonly fileSystem: MountedFileSystem;
  readonly file: OpenFile;
}

function mounted(revision: string, change: object = {}): Mounted {
  const lab = FileSystemLab.blank(4 * MIB, { revision, withCallers: true, ...change });
  lab.format('ext2');
  const fileSystem = lab.mount('ext2');
  return { lab, fileSystem, file: lab.openPath(fileSystem, 'file') };
}

/** An asynchronous request of one page; what came back, and when. */
class Asynchronous {
  readonly answers: string[] = [];
  returned: KernelReturn | null = null;
  completed: KernelReturn | null = null;

  constructor({ lab, file }: Mounted, op: 'read' | 'write', at: number, lengthBytes = PAGE) {
    const page = lab.memory.allocatePages(Math.ceil(lengthBytes / PAGE));
    const segments = [{ addressBytes: page * PAGE, lengthBytes }];
    const iter = new IovIter(lab.memory, op, 'user', segments);
    const iocb = lab.iocb(file.inode, at, {
      isDirect: true,
      onComplete: (kiocb, result) => {
        expect(kiocb).toBe(iocb);
        this.completed = result;
        this.answers.push(`completed ${String(result)}`);
      },
    });
    const value = op === 'read' ? file.read(iocb, iter) : file.write(iocb, iter);
    const note = (result: KernelReturn): void => {
      this.returned = result;
      if (result !== -ERRNO.EIOCBQUEUED) this.answers.push(`returned ${String(result)}`);
    };
    if (isTask(value)) lab.kernel.scheduler.spawn('request', value, note);
    else note(value);
  }
}

describe.each(resolved)('around $id', (revision) => {
  it('a request has one answer, after its bios, whatever becomes of them', () => {
    for (const error of [0, -ERRNO.EIO]) {
      const at = mounted(revision.id, { inline: false });
      expect(at.lab.write(at.file, 0, stamped(1, 0, 65_536), direct)).toBe(65_536);
      at.lab.disk.intercept = () => error;
      const requests = [0, 4, 8].map((page) => new Asynchronous(at, 'write', page * PAGE));
      requests.push(new Asynchronous(at, 'read', 12 * PAGE));
      at.lab.kernel.drain();
      const expected = error === 0 ? PAGE : error;
      for (const { answers, completed } of requests) {
        expect(answers).toHaveLength(1);
        expect(answers[0]).toMatch(new RegExp(` ${String(expected)}$`));
        expect(completed).toBe(expected);
      }
    }
  });

  it('a refused request is answered by the call alone', () => {
    const at = mounted(revision.id, { inline: false });
    expect(at.lab.write(at.file, 0, stamped(1, 0, 65_536), direct)).toBe(65_536);
    const refused = new Asynchronous(at, 'read', 100);
    at.lab.kernel.drain();
    expect(refused.answers).toEqual([`returned ${String(-ERRNO.EINVAL)}`]);
  });

  it('a read from the end of the file on is 0, and one across it is as its kernel had it', () => {
    const at = mounted(revision.id);
    expect(at.lab.write(at.file, 0, stamped(1, 0, PAGE + 512), direct)).toBe(PAGE + 512);
    const read = (from: number): KernelReturn | null => {
      const asked = new Asynchronous(at, 'read', from, 2 * PAGE);
      at.lab.kernel.scheduler.run();
      return asked.completed ?? asked.returned;
    };
    expect(read(8192)).toBe(0);
    expect(read(65_536)).toBe(0);
    const cut = revision.traits.readStopsAtEndOfFile ? PAGE + 512 : 2 * PAGE;
    expect(read(0)).toBe(cut);
  });

  it('truncation waits for writes in flight where there is a count or a semaphore for that', () => {
    const at = mounted(revision.id, { inline: false });
    const { lab, file, fileSystem } = at;
    expect(lab.write(file, 0, stamped(1, 0, 65_536), direct)).toBe(65_536);
    // So that truncating reads no metadata.
    lab.run(file.fsync(false));
    const write = new Asynchronous(at, 'write', 8192);
    const order: string[] = [];
    lab.kernel.scheduler.spawn('truncate', fileSystem.truncate(file.inode, 0), () => {
      order.push(write.completed === null ? 'truncated first' : 'written first');
    });
    lab.kernel.scheduler.run();
    const waits = file.inode.dioCount + (file.inode.allocationReaderCount ?? 0) > 0;
    expect(waits).toBe(!revision.callers.queueCounts);
    lab.kernel.drain();
    lab.kernel.scheduler.run();
    expect(order).toEqual([waits ? 'written first' : 'truncated first']);
    expect(file.inode.allocationReaderCount).toBe(0);
  });

  it('a lock that a read did not take stays with the write that holds it', () => {
    const at = mounted(revision.id, { inline: false });
    const { lab, file } = at;
    // Extends the file: it sleeps in the call, with the lock.
    const write = new Asynchronous(at, 'write', 0, 65_536);
    const holds = file.inode.lock.isHeldExclusive;
    const read = new Asynchronous(at, 'read', 0);
    expect(file.inode.lock.isHeldExclusive).toBe(holds);
    lab.kernel.drain();
    lab.kernel.scheduler.run();
    expect([write.answers.length, read.answers.length]).toEqual([1, 1]);
    expect(file.inode.lock.isHeld).toBe(false);
  });
});

it('leaves what a write had allocated beyond the end of the file to cutToSize', () => {
  // A revision that keeps such writes asynchronous, and a caller that waits for no count.
  const loses = resolved.filter(
    ({ changes, callers }) =>
      !callers.queueCounts &&
      changes.some(({ what }) => /extends the file stays asynchronous/.test(what)),
  );
  expect(loses.length).toBeGreaterThan(0);
  for (const { id } of loses) {
    const at = mounted(id, { inline: false });
    const { lab, file } = at;
    const write = new Asynchronous(at, 'write', 0, 65_536);
    lab.kernel.drain();
    expect(write.answers).toEqual(['completed 65536']);
    expect(file.inode.sizeBytes).toBe(0);
    const cut = file.cutToSize?.();
    expect(cut === undefined ? -1 : lab.run(cut)).toBe(65_536);
    expect(lab.run(file.extents())).toEqual({ ok: true, value: [] });
    expect(lab.run(at.fileSystem.checkInvariants())).toEqual([]);
  }
});
