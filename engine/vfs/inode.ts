// SPDX-License-Identifier: GPL-2.0-only
/** An inode in memory: what every file system's inode has. File systems extend it with what they keep on disk. */
import { WaitQueue, type Task } from '../base/index.ts';
import type { Inode, InodeKind, Kernel, SuperBlock } from './contract.ts';
import { InodeLock } from './inode-lock.ts';
import type { PageCache } from './page-cache.ts';

export abstract class CoreInode implements Inode {
  readonly lock: InodeLock;
  sizeBytes = 0;
  abstract readonly mapping: PageCache;
  private directIoInFlight = 0;
  private allocationReaders = 0;
  private readonly directIoDone: WaitQueue;

  constructor(
    protected readonly kernel: Kernel,
    readonly superBlock: SuperBlock,
    readonly inodeNumber: number,
    readonly kind: InodeKind,
    readonly blockBits: number,
  ) {
    this.lock = new InodeLock(kernel.scheduler, `inode ${String(inodeNumber)}`);
    this.directIoDone = new WaitQueue('event', `direct I/O of inode ${String(inodeNumber)}`);
  }

  /** i_dio_count; falling to 0 wakes whoever waits in `waitForDirectIo`. */
  get dioCount(): number {
    return this.directIoInFlight;
  }
  set dioCount(count: number) {
    this.directIoInFlight = count;
    if (count === 0) this.kernel.scheduler.wakeAll(this.directIoDone);
  }

  /** Readers of i_alloc_sem, which did that work before i_dio_count; falling to 0 wakes the same sleepers. */
  get allocationReaderCount(): number {
    return this.allocationReaders;
  }
  set allocationReaderCount(count: number) {
    this.allocationReaders = count;
    if (count === 0) this.kernel.scheduler.wakeAll(this.directIoDone);
  }

  /**
   * inode_dio_wait, or before it i_alloc_sem for writing: the caller holds the lock, so that no new direct I/O starts. A revision that
   * has neither is not waited for.
   */
  *waitForDirectIo(): Task<void> {
    while (this.directIoInFlight > 0 || this.allocationReaders > 0) yield this.directIoDone;
  }
}

/** s_dio_done_wq: exists once a file of the file system needed it. */
export class CoreSuperBlock implements SuperBlock {
  hasDioWorkQueue = false;
  initDioWorkQueue(): number {
    this.hasDioWorkQueue = true;
    return 0;
  }
}
