// SPDX-License-Identifier: GPL-2.0-only
/**
 * Bios of the virtual file system's own (page cache, buffer cache, formatting): builds them piece by piece, joins neighbours,
 * submits, and waits for all of a group. The first error of a group is the group's.
 *
 *   const group = new BioGroup(kernel, device, 'write', 0, 'inode pages');
 *   group.add(byteOnDevice, page, offset, length) ...; group.submit(); const error = yield* group.wait();
 */
import { assert, BIO_FLAG, PAGE_BYTES, SECTOR_BYTES, WaitQueue } from '../base/index.ts';
import type { KernelReturn, Task } from '../base/index.ts';
import type { Bio, BlockDevice } from '../block/index.ts';
import type { Kernel } from './contract.ts';

/** BIO_MAX_VECS */
const BIO_VECTORS_MAX = 256;

function endGroupBio(bio: Bio): void {
  (bio.owner as BioGroup).ended(bio);
}

export class BioGroup {
  /** 0, or minus an errno: the first error that came. */
  error = 0;
  private inFlightCount = 0;
  private current: Bio | null = null;
  private nextByte = -1;
  private readonly finished: WaitQueue;

  constructor(
    private readonly kernel: Kernel,
    private readonly device: BlockDevice,
    private readonly op: 'read' | 'write',
    /** `BIO_FLAG` bits of every bio. */
    private readonly flags: number,
    label: string,
  ) {
    this.finished = new WaitQueue('bio', label);
  }

  /** Adds a piece of a page at a byte of the device; both multiples of 512. Joins the bio before where it can. */
  add(deviceByte: number, page: number, offsetBytes: number, lengthBytes: number): void {
    assert(
      deviceByte % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0 && lengthBytes > 0,
      'piece of a bio is not whole sectors',
      { deviceByte, lengthBytes },
    );
    assert(
      deviceByte + lengthBytes <= this.device.capacitySectors * SECTOR_BYTES,
      'bio beyond the end of the device',
      { deviceByte, lengthBytes, capacitySectors: this.device.capacitySectors },
    );
    let bio = this.current;
    if (bio !== null && (deviceByte !== this.nextByte || !this.grow(bio, page, offsetBytes))) {
      this.submit();
      bio = null;
    }
    if (bio === null) {
      bio = this.start(deviceByte);
      this.current = bio;
    }
    const last = (bio.vectorCount - 1) * 3;
    if (
      bio.vectorCount > 0 &&
      bio.vectors[last] === page &&
      (bio.vectors[last + 1] as number) + (bio.vectors[last + 2] as number) === offsetBytes
    ) {
      bio.vectors[last + 2] = (bio.vectors[last + 2] as number) + lengthBytes;
      bio.sizeBytes += lengthBytes;
    } else {
      assert(offsetBytes + lengthBytes <= PAGE_BYTES, 'piece leaves its page');
      bio.pushVector(page, offsetBytes, lengthBytes);
    }
    this.nextByte = deviceByte + lengthBytes;
  }

  /** Submits the bio being built. */
  submit(): void {
    const bio = this.current;
    if (bio === null) return;
    this.current = null;
    this.nextByte = -1;
    this.inFlightCount++;
    this.kernel.submitBio(bio);
  }

  /** Submits what is left and waits for all; 0 or the first error. */
  *wait(): Task<KernelReturn> {
    this.submit();
    while (this.inFlightCount > 0) yield this.finished;
    return this.error;
  }

  /** The bio's end; only for bios of this group. */
  ended(bio: Bio): void {
    if (bio.status !== 0 && this.error === 0) this.error = bio.status;
    bio.owner = null;
    bio.onEnd = null;
    this.inFlightCount--;
    this.kernel.releaseBio(bio);
    if (this.inFlightCount === 0) this.kernel.scheduler.wakeAll(this.finished);
  }

  private grow(bio: Bio, page: number, offsetBytes: number): boolean {
    if (bio.vectorCount < bio.vectorCountMax) return true;
    const last = (bio.vectorCount - 1) * 3;
    return (
      bio.vectors[last] === page &&
      (bio.vectors[last + 1] as number) + (bio.vectors[last + 2] as number) === offsetBytes
    );
  }

  private start(deviceByte: number): Bio {
    return prepareBio(
      this.kernel,
      this.device,
      this.op,
      this.flags,
      deviceByte / SECTOR_BYTES,
      BIO_VECTORS_MAX,
      this,
    );
  }
}

function prepareBio(
  kernel: Kernel,
  device: BlockDevice,
  op: Bio['op'],
  flags: number,
  sectorStart: number,
  vectorCountMax: number,
  owner: unknown,
): Bio {
  const bio = kernel.allocateBio(vectorCountMax);
  bio.id = kernel.nextBioId();
  bio.op = op;
  bio.flags = flags;
  bio.device = device;
  bio.sectorStart = sectorStart;
  bio.status = 0;
  bio.owner = owner;
  bio.onEnd = endGroupBio;
  return bio;
}

/** blkdev_issue_flush: what the device was told is written is on stable storage afterwards. 0 or minus an errno. */
export function* flushDevice(kernel: Kernel, device: BlockDevice): Task<KernelReturn> {
  if (device.isReadOnly || !device.limits.hasVolatileCache || !device.ops.has('flush')) return 0;
  return yield* submitAlone(kernel, device, 'flush', BIO_FLAG.sync | BIO_FLAG.preflush, 0, 0);
}

/** blkdev_issue_zeroout by the device's own means; the caller has checked `device.ops`. 0 or minus an errno. */
export function* writeZeroes(
  kernel: Kernel,
  device: BlockDevice,
  firstByte: number,
  lengthBytes: number,
): Task<KernelReturn> {
  const sector = firstByte / SECTOR_BYTES;
  return yield* submitAlone(kernel, device, 'write-zeroes', 0, sector, lengthBytes);
}

function* submitAlone(
  kernel: Kernel,
  device: BlockDevice,
  op: Bio['op'],
  flags: number,
  sectorStart: number,
  sizeBytes: number,
): Task<KernelReturn> {
  const finished = new WaitQueue('bio', op);
  const outcome = { done: false, status: 0 };
  const bio = prepareBio(kernel, device, op, flags, sectorStart, 1, null);
  bio.sizeBytes = sizeBytes;
  bio.onEnd = (ended) => {
    outcome.done = true;
    outcome.status = ended.status;
    ended.onEnd = null;
    kernel.releaseBio(ended);
    kernel.scheduler.wakeAll(finished);
  };
  kernel.submitBio(bio);
  while (!outcome.done) yield finished;
  return outcome.status;
}
