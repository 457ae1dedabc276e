// SPDX-License-Identifier: GPL-2.0-only
/** The door: numbers where nothing sleeps, tasks where something does, and a pool that does not grow. */
import { describe, expect, it } from 'vitest';
import { ERRNO, isTask, MAP_FLAG, PAGE_BYTES, Scheduler, WaitQueue } from '../base/index.ts';
import { Bio } from '../block/index.ts';
import { IovIter, Memory, plainArena } from '../memory/index.ts';
import { InodeLock } from '../vfs/index.ts';
import type { DirectIoRequest, Inode, Kernel, Kiocb } from '../vfs/index.ts';
import { findRevision, openDirectIo } from './index.ts';

/** A kernel whose bios wait in `submitted` until the test ends them. */
function makeWorld() {
  const memory = new Memory(plainArena(64), false);
  const scheduler = new Scheduler();
  const submitted: Bio[] = [];
  const released: Bio[] = [];
  let bioCount = 0;
  const kernel: Kernel = {
    clock: { nowNs: () => 0 as never },
    scheduler,
    memory,
    trace: null,
    submitBio: (bio) => submitted.push(bio),
    startPlug: () => undefined,
    finishPlug: () => undefined,
    queueWork: () => {
      throw new Error('no work expected');
    },
    nextBioId: () => bioCount++,
    allocateBio: (vectorCountMax) => new Bio(vectorCountMax),
    releaseBio: (bio) => released.push(bio),
  };
  const inode: Inode = {
    inodeNumber: 1,
    kind: 'file',
    blockBits: 12,
    lock: new InodeLock(scheduler, 'test'),
    sizeBytes: 1 << 20,
    dioCount: 0,
    mapping: { cachedPageCount: 0, writeAndWait: () => 0, invalidate: () => 0 },
    superBlock: { hasDioWorkQueue: true, initDioWorkQueue: () => 0 },
  };
  const end = (status = 0): void => {
    const bio = submitted.shift();
    if (bio === undefined) throw new Error('no bio in flight');
    bio.status = status;
    bio.onEnd?.(bio);
  };
  return { memory, scheduler, kernel, inode, submitted, released, end };
}

function makeRequest(
  world: ReturnType<typeof makeWorld>,
  changes: Partial<DirectIoRequest> & { onComplete?: Kiocb['onComplete'] } = {},
): DirectIoRequest {
  const { memory, kernel, inode } = world;
  const page = memory.allocatePages(2);
  const iter = new IovIter(memory, 'read', 'user', [
    { addressBytes: page * PAGE_BYTES, lengthBytes: 2 * PAGE_BYTES },
  ]);
  const iocb: Kiocb = {
    id: 1,
    inode,
    isDirect: true,
    isNowait: false,
    isDsync: false,
    isAppend: false,
    positionBytes: 0,
    onComplete: changes.onComplete ?? null,
  };
  return {
    kernel,
    iocb,
    inode,
    device: null,
    iter,
    getBlock: (_inode, fileBlock, mapping) => {
      mapping.flags = MAP_FLAG.mapped;
      mapping.deviceBlock = fileBlock;
      return 0;
    },
    endIo: null,
    submitIo: null,
    locking: 'none',
    skipHoles: false,
    cleanAliases: () => undefined,
    writeSync: () => 0,
    truncate: () => undefined,
    ...changes,
  };
}

describe('direct I/O', () => {
  it('sleeps until its bios have ended, and then gives everything back', () => {
    const world = makeWorld();
    const { directIo, pool } = openDirectIo(findRevision('6.4'));
    const value = directIo(makeRequest(world));
    expect(isTask(value)).toBe(true);
    let result: number | null = null;
    if (isTask(value)) world.scheduler.spawn('read', value, (got) => (result = got));
    world.scheduler.run();
    expect(result).toBeNull();
    expect([pool.liveCount, world.inode.dioCount]).toEqual([1, 1]);
    world.end();
    world.scheduler.run();
    expect(result).toBe(2 * PAGE_BYTES);
    expect([pool.liveCount, world.inode.dioCount]).toEqual([0, 0]);
    expect(world.released).toHaveLength(1);
    expect(world.memory.references.every((count) => count === 0)).toBe(true);
  });

  it('returns at once from an asynchronous read, and completes with the bio', () => {
    const world = makeWorld();
    const { directIo } = openDirectIo(findRevision('6.4'));
    const results: number[] = [];
    const request = makeRequest(world, { onComplete: (_iocb, result) => results.push(result) });
    expect(directIo(request)).toBe(-ERRNO.EIOCBQUEUED);
    expect(results).toEqual([]);
    world.end(-ERRNO.EIO);
    expect(results).toEqual([-ERRNO.EIO]);
  });

  it('waits for a map call that sleeps and for a lock that is held', () => {
    const world = makeWorld();
    const { directIo } = openDirectIo(findRevision('6.4'));
    const metadata = new WaitQueue('bio', 'metadata');
    const results: number[] = [];
    const request = makeRequest(world, {
      locking: 'core-locks',
      onComplete: (_iocb, result) => results.push(result),
      *getBlock(_inode, _fileBlock, mapping) {
        yield metadata;
        mapping.flags = MAP_FLAG.mapped;
        mapping.deviceBlock = 7;
        return 0;
      },
    });
    world.inode.lock.tryLockExclusive();
    const value = directIo(request);
    if (!isTask(value)) throw new Error('the lock was not waited for');
    world.scheduler.spawn('read', value);
    world.scheduler.run();
    expect(metadata.sleepers).toHaveLength(0);
    world.inode.lock.unlockExclusive();
    world.scheduler.run();
    expect(metadata.sleepers).toHaveLength(1);
    expect(world.inode.lock.isHeldExclusive).toBe(true);
    world.scheduler.wakeAll(metadata);
    world.scheduler.run();
    expect(world.inode.lock.isHeldExclusive).toBe(false);
    expect(world.submitted[0]).toMatchObject({ sectorStart: 56, sizeBytes: 2 * PAGE_BYTES });
    world.end();
    expect(results).toEqual([2 * PAGE_BYTES]);
  });

  it('uses one request of the pool again and again', () => {
    const world = makeWorld();
    const { directIo, pool } = openDirectIo(findRevision('6.4'));
    const inline = { ...world.kernel, submitBio: (bio: Bio) => bio.onEnd?.(bio) };
    const request = makeRequest(world, { kernel: inline });
    for (let round = 0; round < 3; round++) {
      request.iter.rewind();
      expect(directIo(request)).toBe(2 * PAGE_BYTES);
      expect(pool.liveCount).toBe(0);
    }
  });
});
