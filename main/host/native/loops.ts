// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loop devices for the engine: opens and locks the image, has the helper attach it, and hands the device out as an open file.
 *
 * Rules: 1. The helper is started at the first attach of a thread, before anything is in flight, and lives as long as the thread.
 * 2. The device is used through the descriptor that the helper sends; no device is opened by its name. 3. The image stays open and
 * locked for as long as it is attached.
 */
import { closeSync, constants, readFileSync } from 'node:fs';
import { HostError, SECTOR_BYTES } from '../../../engine/base/index.ts';
import type { LoopAsk, LoopPort, OpenImage, OpenLoop } from '../../../engine/devices/contract.ts';
import { HelperSession, type AttachedLoop } from './helper-session.ts';
import { imageFiles } from './image-files.ts';
import { requireSyscalls } from './syscalls.ts';

const F_GETFL = 3;
const F_SETFL = 4;

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

function attach(imagePath: string, ask: LoopAsk): OpenLoop {
  const helper = helperSession();
  // Without O_DIRECT: the loop driver would take it from the descriptor and turn its direct I/O on unasked.
  const under = imageFiles.open(imagePath, { readOnly: ask.readOnly, direct: false });
  let loop: AttachedLoop | null = null;
  try {
    loop = helper.attach(under.fd, ask);
    if (ask.direct) setDirect(loop.fd);
    const image = new LoopImage(helper, loop, under, ask.direct);
    const { number, sectorBytes, isDirect } = loop;
    return { image, number, sectorBytes, hasDirectIo: isDirect };
  } catch (error) {
    if (loop !== null) closeSync(loop.fd);
    under.close();
    if (error instanceof HostError && error.where === 'helper') throw named(error, imagePath);
    throw error;
  }
}

/** The helper knows no paths; the person does. */
const named = (error: HostError, path: string): HostError =>
  new HostError({ ...error.toJSON(), message: `${path}: ${error.message}`, where: path });

export const loops: LoopPort = { attach };
