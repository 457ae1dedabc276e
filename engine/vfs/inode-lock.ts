// SPDX-License-Identifier: GPL-2.0-only
/** The inode lock (i_rwsem, earlier i_mutex): a lock with shared and exclusive holders that tasks sleep on. */
import { assert, WaitQueue, type Scheduler, type Task } from '../base/index.ts';

export class InodeLock {
  private readonly waiters: WaitQueue;
  private sharedHolders = 0;
  private exclusiveHeld = false;

  constructor(
    private readonly scheduler: Scheduler,
    readonly label: string,
  ) {
    this.waiters = new WaitQueue('lock', label);
  }

  get isHeldExclusive(): boolean {
    return this.exclusiveHeld;
  }
  get isHeld(): boolean {
    return this.exclusiveHeld || this.sharedHolders > 0;
  }

  /** inode_trylock: takes it where nobody holds it. The fast path of `lockExclusive`. */
  tryLockExclusive(): boolean {
    if (this.exclusiveHeld || this.sharedHolders > 0) return false;
    this.exclusiveHeld = true;
    return true;
  }
  /** inode_lock. */
  *lockExclusive(): Task<void> {
    while (!this.tryLockExclusive()) yield this.waiters;
  }
  /** inode_unlock. */
  unlockExclusive(): void {
    assert(this.exclusiveHeld, 'unlock of an inode lock that is not held', { label: this.label });
    this.exclusiveHeld = false;
    this.scheduler.wakeAll(this.waiters);
  }
  tryLockShared(): boolean {
    if (this.exclusiveHeld) return false;
    this.sharedHolders++;
    return true;
  }
  /** inode_lock_shared. */
  *lockShared(): Task<void> {
    while (!this.tryLockShared()) yield this.waiters;
  }
  unlockShared(): void {
    assert(this.sharedHolders > 0, 'unlock of a shared inode lock that is not held', {
      label: this.label,
    });
    this.sharedHolders--;
    if (this.sharedHolders === 0) this.scheduler.wakeAll(this.waiters);
  }
}
