// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loop devices for the engine: opens and locks the image, has the helper attach it, and hands the device out as an open file.
 *
 * Rules: 1. The helper is started at the first attach of a thread, before anything is in flight, and lives as long as the thread.
 * 2. The device is used through the descriptor that the helper sends; no device is opened by its name. 3. The image stays open and
 * locked for as long as it is attached.
 */
// The global of the same name is looked up through a getter at each use.
import { performance } from 'node:perf_hooks';
import { closeSync, constants, readFileSync, readSync } from 'node:fs';
import { HostError, SECTOR_BYTES } from '../../../engine/base/index.ts';
import type {
  CapturedEvents,
  LoopAsk,
  LoopPort,
  OpenImage,
  OpenLoop,
} from '../../../engine/devices/contract.ts';
import { HelperSession, type AttachedLoop, type VerifyFileSystem } from './helper-session.ts';
import { imageFiles } from './image-files.ts';
import { requireSyscalls } from './syscalls.ts';

const F_GETFL = 3;
const F_SETFL = 4;
/** A run with a whole trace is short; the buffer is the kernel's, for each processor. */
const TRACE_SECONDS = 600;
const TRACE_KIB = 4096;
const PIPE_PIECE_BYTES = 65536;
const EXT_MAGIC = 0xef53;
const EXT_MAGIC_BYTE = 1024 + 0x38;
const XFS_MAGIC = 'XFSB';
const BTRFS_MAGIC = '_BHRfS_M';
const BTRFS_MAGIC_BYTE = 0x10040;

let session: HelperSession | null = null;

/** The session of this thread; a new one where the last one ended. */
export function helperSession(): HelperSession {
  session ??= HelperSession.open();
  return session;
}

/** Ends the helper of this thread; the next attach starts another. */
export function closeHelperSession(): void {
  session?.close();
  session = null;
}

/** The loop device as an open file, closed together with what is under it. */
class LoopImage implements OpenImage {
  readonly path: string;
  readonly fd: number;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly directRefusedWhy: string | null;
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
  private isClosed = false;

  constructor(
    private readonly helper: HelperSession,
    private readonly loop: AttachedLoop,
    private readonly under: OpenImage,
    readonly isDirect: boolean,
    private readonly capture: Capture | null,
  ) {
    this.path = under.path;
    this.fd = loop.fd;
    this.sizeBytes = loop.sizeBytes;
    this.isReadOnly = loop.isReadOnly;
    this.offsetAlignBytes = loop.sectorBytes;
    this.memoryAlignBytes = memoryAlign(loop.number);
    this.directRefusedWhy = isDirect ? null : 'direct I/O was not asked for';
  }
  changedWhy(): string | null {
    // The loop driver writes the image behind its own description, so only a change of size or name says anything.
    return this.isReadOnly ? null : (this.under.changedWhy?.() ?? null);
  }
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.capture?.stop();
    closeSync(this.loop.fd);
    try {
      this.helper.detach(this.loop.handle);
    } finally {
      this.under.close();
    }
  }
}

/** What the device wants of a buffer's address (its queue's dma_alignment, a mask); a sector where the kernel does not say. */
function memoryAlign(number: number): number {
  try {
    const text = readFileSync(`/sys/block/loop${String(number)}/queue/dma_alignment`, 'utf8');
    return Number(text) + 1;
  } catch {
    // Kernels before 6.1 do not show it; a sector is what they all take.
    return SECTOR_BYTES;
  }
}

/** Puts O_DIRECT on the description that the helper opened. */
function setDirect(fd: number): void {
  const { table, numbers } = requireSyscalls();
  const flags = table.call(numbers.fcntl, fd, F_GETFL, 0, 0, 0, 0);
  const set = table.call(numbers.fcntl, fd, F_SETFL, flags | constants.O_DIRECT, 0, 0, 0);
  if (set >= 0) return;
  throw new HostError({
    code: 'loop.not-direct',
    message: 'the loop device does not take O_DIRECT',
    where: 'loop device',
    hint: 'Run without direct I/O.',
    exitCode: 78,
  });
}

/** Block events of a device, read to their end when the run is over. */
class Capture {
  private readonly pieces: Buffer[] = [];
  constructor(
    private readonly helper: HelperSession,
    private readonly pipe: number,
  ) {}

  /** Null where this kernel cannot, or another trace is on: a run is not refused for it. */
  static start(helper: HelperSession, handle: bigint): Capture | null {
    if (!helper.limits.canTrace) return null;
    try {
      const pipe = helper.traceStart([handle], 'all', TRACE_SECONDS, TRACE_KIB);
      return new Capture(helper, pipe);
    } catch (error) {
      if (error instanceof HostError) return null;
      throw error;
    }
  }

  take(): CapturedEvents {
    const piece = Buffer.alloc(PIPE_PIECE_BYTES);
    for (;;) {
      let count: number;
      try {
        count = readSync(this.pipe, piece);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') break;
        throw error;
      }
      if (count === 0) break;
      this.pieces.push(Buffer.from(piece.subarray(0, count)));
    }
    // Both clocks at the same moment; process.hrtime is the monotonic one.
    const clockMinusMonotonicNs = performance.now() * 1e6 - Number(process.hrtime.bigint());
    return { text: Buffer.concat(this.pieces).toString('latin1'), clockMinusMonotonicNs };
  }

  stop(): void {
    closeSync(this.pipe);
    this.helper.traceStop();
  }
}

function attach(imagePath: string, ask: LoopAsk): OpenLoop {
  const helper = helperSession();
  // Without O_DIRECT: the loop driver would take it from the descriptor and turn its direct I/O on unasked.
  const under = imageFiles.open(imagePath, { readOnly: ask.readOnly, direct: false });
  let loop: AttachedLoop | null = null;
  try {
    loop = helper.attach(under.fd, ask);
    if (ask.direct) setDirect(loop.fd);
    const capture = ask.traced === true ? Capture.start(helper, loop.handle) : null;
    const image = new LoopImage(helper, loop, under, ask.direct, capture);
    const { number, sectorBytes, isDirect } = loop;
    const opened = { image, number, sectorBytes, hasDirectIo: isDirect };
    return capture === null ? opened : { ...opened, takeKernelEvents: () => capture.take() };
  } catch (error) {
    if (loop !== null) closeSync(loop.fd);
    under.close();
    if (error instanceof HostError && error.where === 'helper') throw named(error, imagePath);
    throw error;
  }
}

/** By the magic numbers of the file systems that the helper mounts. */
function mountKind(fd: number, imagePath: string): VerifyFileSystem {
  const head = Buffer.alloc(BTRFS_MAGIC_BYTE + BTRFS_MAGIC.length);
  readSync(fd, head, 0, head.length, 0);
  if (head.readUInt16LE(EXT_MAGIC_BYTE) === EXT_MAGIC) return 'ext4';
  if (head.toString('latin1', 0, XFS_MAGIC.length) === XFS_MAGIC) return 'xfs';
  if (head.toString('latin1', BTRFS_MAGIC_BYTE) === BTRFS_MAGIC) return 'btrfs';
  throw new HostError({
    code: 'loop.no-mount',
    message: `${imagePath} holds no file system that the kernel is asked to mount`,
    where: imagePath,
    hint: 'It mounts ext2, ext3, ext4, XFS and btrfs.',
    exitCode: 65,
  });
}

/** Carries out every step, the last one first; gives what the first of those that fail threw. */
function undoAll(undo: (() => void)[]): unknown {
  const errors: unknown[] = [];
  for (const step of undo.splice(0).reverse()) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors[0] ?? null;
}

/** A file in the mount: closing it lets the mount, the device and the image go, in that order. */
function openThroughMount(imagePath: string, ask: LoopAsk, filePath: string): OpenImage {
  const undo: (() => void)[] = [];
  const close = (): void => {
    const failure = undoAll(undo);
    if (failure !== null) throw failure as Error;
  };
  try {
    const root = mountImage(imagePath, ask, undo);
    // The descriptor is a path only (O_PATH), and what is below it follows no links (the mount's own rule).
    const inside = `/proc/self/fd/${String(root)}${filePath}`;
    const image = imageFiles.open(inside, { readOnly: true, direct: ask.direct });
    undo.push(() => {
      image.close();
    });
    return new MountedFile(image, imagePath, close);
  } catch (error) {
    // Why it was not opened says more than what its undoing met.
    undoAll(undo);
    if (error instanceof HostError) throw named(error, imagePath);
    throw error;
  }
}

class MountedFile implements OpenImage {
  readonly fd: number;
  readonly sizeBytes: number;
  readonly isReadOnly = true;
  readonly isDirect: boolean;
  readonly directRefusedWhy: string | null;
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
  constructor(
    image: OpenImage,
    /** Of the image: what the host's counters are read for. */
    readonly path: string,
    readonly close: () => void,
  ) {
    this.fd = image.fd;
    this.sizeBytes = image.sizeBytes;
    this.isDirect = image.isDirect;
    this.directRefusedWhy = image.directRefusedWhy;
    this.offsetAlignBytes = image.offsetAlignBytes;
    this.memoryAlignBytes = image.memoryAlignBytes;
  }
}

/** The helper knows no paths; the person does. */
const named = (error: HostError, path: string): HostError =>
  new HostError({ ...error.toJSON(), message: `${path}: ${error.message}`, where: path });

/** What the helper refused, with the path in front; anything else as it is. */
export const namedForImage = (error: unknown, path: string): unknown =>
  error instanceof HostError && error.where === 'helper' ? named(error, path) : error;

/** The root of a mount by the kernel's own file system, for reading; closing it unmounts and detaches. */
export interface VerificationMount {
  /** O_PATH: what is below it is opened by `/proc/self/fd/N/...`; links are not followed by the mount's own rule. */
  readonly rootFd: number;
  close(): void;
}

/** Mounts an image read-only where nobody else sees it. Throws `HostError`; then nothing stays attached. */
export function mountForVerification(imagePath: string): VerificationMount {
  const undo: (() => void)[] = [];
  const close = (): void => {
    const failure = undoAll(undo);
    if (failure !== null) throw failure as Error;
  };
  try {
    const rootFd = mountImage(imagePath, { sectorBytes: SECTOR_BYTES, directIo: false }, undo);
    return { rootFd, close };
  } catch (error) {
    // A helper that ended is not asked again.
    if (error instanceof HostError && error.code === 'helper.ended') closeHelperSession();
    // Why it was not opened says more than what its undoing met.
    undoAll(undo);
    throw namedForImage(error, imagePath);
  }
}

/** Opens, attaches and mounts; what takes it back is added to `undo`, step by step. Gives the root's descriptor. */
function mountImage(
  imagePath: string,
  ask: { readonly sectorBytes: number; readonly directIo: boolean },
  undo: (() => void)[],
): number {
  const helper = helperSession();
  const under = imageFiles.open(imagePath, { readOnly: true, direct: false });
  undo.push(() => {
    under.close();
  });
  const kind = mountKind(under.fd, imagePath);
  const { handle, fd: device } = helper.attach(under.fd, { ...ask, readOnly: true });
  // Exclusive: nothing mounts it while this one is open.
  closeSync(device);
  undo.push(() => {
    helper.detach(handle);
  });
  const root = helper.verifyMount(handle, kind);
  undo.push(() => {
    closeSync(root);
    helper.unmount(handle);
  });
  return root;
}

export const loops: LoopPort = { attach, openThroughMount };
