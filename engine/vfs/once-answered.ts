// SPDX-License-Identifier: GPL-2.0-only
/**
 * Stands for an asynchronous kiocb where direct I/O both returns and completes: the one that submitted gets one answer, and gets it when
 * no bio uses the buffer any more.
 *
 *   asked --completed--> over: what direct I/O returns is the answer
 *     \--left(returned)--> in flight --completed--> the owner's completion, with the error that was returned if there was one
 */
import type { KernelReturn } from '../base/index.ts';
import type { Kiocb } from './contract.ts';

export class OnceAnswered implements Kiocb {
  readonly id: number;
  readonly inode: Kiocb['inode'];
  readonly isDirect: boolean;
  readonly isNowait: boolean;
  readonly isDsync: boolean;
  readonly isAppend: boolean;
  positionBytes: number;
  isOver = false;
  private hasLeft = false;
  private returned = 0;

  constructor(private readonly owner: Kiocb) {
    this.id = owner.id;
    this.inode = owner.inode;
    this.isDirect = owner.isDirect;
    this.isNowait = owner.isNowait;
    this.isDsync = owner.isDsync;
    this.isAppend = owner.isAppend;
    this.positionBytes = owner.positionBytes;
  }

  /** Direct I/O has returned, and bios are in flight. */
  leave(returned: KernelReturn): void {
    this.hasLeft = true;
    this.returned = returned;
  }

  readonly onComplete = (_kiocb: Kiocb, result: KernelReturn): void => {
    this.isOver = true;
    if (!this.hasLeft) return;
    this.owner.onComplete?.(this.owner, this.returned < 0 ? this.returned : result);
  };
}
