// SPDX-License-Identifier: GPL-2.0-only
/**
 * Reads every file of an image twice, by the engine and by the kernel's own file system on a mount that nobody else sees, and says
 * where they differ.
 *
 *   engine reads, SHA-256 of each MiB --> attach read-only, mount --> kernel reads, SHA-256 of each MiB --> unmount, detach
 *                                                                        | a MiB differs
 *                                                                        v
 *                                                          the engine reads that MiB again: the first byte
 *
 * Rules: 1. One after the other: an image behind a loop device is nobody's to open. An image that changed in between is an error.
 * 2. Links in the image are never followed: by the mount's own rule, and by how files are opened. 3. Holes are not read; both sides say
 * where they are, and they count as zeros.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  type BigIntStats,
  type Dirent,
} from 'node:fs';
import { HostError, MIB } from '../../../engine/base/index.ts';
import type { LabPorts } from '../../../engine/lab/door.ts';
import type { Place, TransferPart, WorkbenchTools } from '../../../engine/lab/workbench.ts';
import type { FileDifference } from '../../contract/grounds.ts';
import type { CompareMountedAsk, MountedComparison } from '../messages.ts';
import { nextDataRange } from './holes.ts';
import { mountForVerification } from './loops.ts';

const PIECE_BYTES = MIB;
const DIGEST_BYTES = 32;
const REPORT_MS = 50;
/** Folders and files of a mount at most: a damaged file system may show folders without end. */
const ENTRIES_MAX = 1_000_000;
/** Of `open` below /proc/self/fd; deeper ones cannot be named in one piece. */
const PATH_BYTES_MAX = 4000;

const ZEROS = Buffer.alloc(PIECE_BYTES);
const ZERO_DIGEST = createHash('sha256').update(ZEROS).digest();

type OnPart = (part: TransferPart) => void;

/** SHA-256 of each MiB of a file that comes in order, in parts of any length. */
export class PieceDigests {
  sizeBytes = 0;
  private readonly digests: Buffer[] = [];
  private hash = createHash('sha256');
  private filledBytes = 0;

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, PIECE_BYTES - this.filledBytes);
      this.hash.update(bytes.subarray(at, at + length));
      this.advance(length);
      at += length;
    }
  }
  addZeros(lengthBytes: number): void {
    for (let left = lengthBytes; left > 0;) {
      const length = Math.min(left, PIECE_BYTES - this.filledBytes);
      left -= length;
      if (length === PIECE_BYTES) {
        this.digests.push(ZERO_DIGEST);
        this.sizeBytes += PIECE_BYTES;
      } else {
        this.hash.update(ZEROS.subarray(0, length));
        this.advance(length);
      }
    }
  }
  /** Digests of all pieces, the last of which may be shorter. */
  finish(): Buffer {
    if (this.filledBytes > 0) this.endPiece();
    return Buffer.concat(this.digests);
  }
  private advance(length: number): void {
    this.sizeBytes += length;
    this.filledBytes += length;
    if (this.filledBytes === PIECE_BYTES) this.endPiece();
  }
  private endPiece(): void {
    this.digests.push(this.hash.digest());
    this.hash = createHash('sha256');
    this.filledBytes = 0;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null; // no UTF-8
  }
}

/** A name as the engine shows it: bytes that are no UTF-8 become lone surrogates U+DC80..U+DCFF, one a byte. */
export function nameText(bytes: Uint8Array): string {
  const whole = decoded(bytes);
  if (whole !== null) return whole;
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const lengths = [1, 2, 3, 4].filter((length) => at + length <= bytes.length);
    const length = lengths.find((each) => decoded(bytes.subarray(at, at + each)) !== null);
    text +=
      length === undefined
        ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0))
        : (decoded(bytes.subarray(at, at + length)) ?? '');
    at += length ?? 1;
  }
  return text;
}

/** What the engine read of a path; a folder has no digests. */
type EngineEntry = { readonly sizeBytes: number; readonly digests: Buffer } | 'folder';

/** Reports of progress, not too many; the check whether somebody still waits is in them. */
class Reporter {
  doneBytes = 0;
  private nextMs = 0;
  constructor(
    private readonly onPart: OnPart,
    private readonly totalBytes: number | null,
  ) {}
  report(file: string): void {
    const nowMs = performance.now();
    if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + REPORT_MS;
    const { doneBytes, totalBytes } = this;
    this.onPart({ kind: 'progress', file, doneBytes, totalBytes });
  }
}

/** Everything the engine sees in the place, by path without a slash in front. */
function readByEngine(
  tools: WorkbenchTools,
  ports: LabPorts,
  place: Place,
  onPart: OnPart,
): Map<string, EngineEntry> {
  const entries = new Map<string, EngineEntry>();
  const reporter = new Reporter(onPart, null);
  let current: { readonly path: string; readonly digests: PieceDigests } | null = null;
  const endFile = (): void => {
    if (current === null) return;
    const { path, digests } = current;
    entries.set(path, { digests: digests.finish(), sizeBytes: digests.sizeBytes });
    current = null;
  };
  tools.getTree(ports, place, '/', (part) => {
    if (part.kind === 'folder' || part.kind === 'file') endFile();
    if (part.kind === 'folder' && part.path !== '') entries.set(part.path, 'folder');
    if (part.kind === 'file') current = { path: part.path, digests: new PieceDigests() };
    if (part.kind === 'bytes') {
      current?.digests.add(part.bytes);
      reporter.doneBytes += part.bytes.length;
    }
    if (part.kind === 'hole') current?.digests.addZeros(part.lengthBytes);
    reporter.report(current?.path ?? '');
  });
  endFile();
  return entries;
}

interface FoundDifference {
  readonly difference: FileDifference;
  /** The kernel's bytes of the MiB that differs. */
  readonly kernelBytes: Buffer | null;
}

/** What the kernel shows below the root, held against what the engine read. */
class KernelSide {
  files = 0;
  bytes = 0;
  others = 0;
  unread = 0;
  differences = 0;
  first: FoundDifference | null = null;
  private readonly piece = Buffer.alloc(PIECE_BYTES);
  private readonly waiting: { readonly path: string; readonly name: Buffer }[] = [];
  private readonly seen = new Set<string>();

  constructor(
    private readonly root: Buffer,
    private readonly engine: ReadonlyMap<string, EngineEntry>,
    private readonly reporter: Reporter,
  ) {}

  compare(): void {
    this.waiting.push({ path: '', name: this.root });
    for (let at = 0; at < this.waiting.length; at++) {
      const folder = this.waiting[at] as { path: string; name: Buffer };
      for (const entry of this.entriesOf(folder)) this.compareEntry(folder, entry);
    }
    for (const path of this.engine.keys()) {
      if (!this.seen.has(path)) this.note(path, 'the kernel has no such entry');
    }
  }

  private entriesOf(folder: { path: string; name: Buffer }): Dirent<Buffer>[] {
    try {
      return readdirSync(folder.name, { withFileTypes: true, encoding: 'buffer' });
    } catch (error) {
      this.refused(folder.path, error);
      return [];
    }
  }

  private compareEntry(folder: { path: string; name: Buffer }, entry: Dirent<Buffer>): void {
    const name = Buffer.concat([folder.name, Buffer.from('/'), entry.name]);
    const own = nameText(entry.name);
    const path = folder.path === '' ? own : `${folder.path}/${own}`;
    if (!entry.isFile() && !entry.isDirectory()) {
      this.others += 1;
      return;
    }
    this.seen.add(path);
    this.reporter.report(path);
    if (this.seen.size > ENTRIES_MAX || name.length > PATH_BYTES_MAX) {
      this.unread += 1;
      return;
    }
    const engine = this.engine.get(path);
    if (engine === undefined) this.note(path, 'the engine has no such entry');
    else if ((engine === 'folder') !== entry.isDirectory()) {
      this.note(
        path,
        `the kernel has a ${entry.isDirectory() ? 'folder' : 'file'}, the engine not`,
      );
    } else if (engine === 'folder') this.waiting.push({ path, name });
    else this.compareFile(path, name, engine);
  }

  private compareFile(
    path: string,
    name: Buffer,
    engine: { readonly sizeBytes: number; readonly digests: Buffer },
  ): void {
    let fd: number;
    try {
      fd = openSync(name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      this.refused(path, error);
      return;
    }
    try {
      const sizeBytes = Number(fstatSync(fd, { bigint: true }).size);
      if (sizeBytes !== engine.sizeBytes) {
        const lengths = `the kernel has ${String(sizeBytes)} bytes, the engine ${String(engine.sizeBytes)}`;
        this.note(path, lengths);
        return;
      }
      this.files += 1;
      this.bytes += sizeBytes;
      this.comparePieces(path, fd, sizeBytes, engine.digests);
    } catch (error) {
      this.refused(path, error);
    } finally {
      closeSync(fd);
    }
  }

  private comparePieces(path: string, fd: number, sizeBytes: number, digests: Buffer): void {
    for (let at = 0, index = 0; at < sizeBytes; at += PIECE_BYTES, index++) {
      const length = Math.min(PIECE_BYTES, sizeBytes - at);
      const ours = digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
      const data = nextDataRange(fd, at, sizeBytes);
      const isHole = data === null || data.startBytes >= at + length;
      const piece = isHole ? ZEROS.subarray(0, length) : this.readPiece(fd, at, length);
      const isZeroPiece = isHole && length === PIECE_BYTES;
      const theirs = isZeroPiece ? ZERO_DIGEST : createHash('sha256').update(piece).digest();
      this.reporter.doneBytes += length;
      this.reporter.report(path);
      if (theirs.equals(ours)) continue;
      this.note(path, 'the content differs', at, Buffer.from(piece));
      return;
    }
  }

  private readPiece(fd: number, offsetBytes: number, lengthBytes: number): Buffer {
    let done = 0;
    while (done < lengthBytes) {
      const count = readSync(fd, this.piece, done, lengthBytes - done, offsetBytes + done);
      if (count === 0) throw Object.assign(new Error('the file ended early'), { code: 'EIO' });
      done += count;
    }
    return this.piece.subarray(0, lengthBytes);
  }

  private refused(path: string, error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    // Another user's file in the image of an unprivileged lab: nothing is known about it.
    if (code === 'EACCES' || code === 'EPERM') this.unread += 1;
    else this.note(path, `the kernel cannot read it (${code})`);
  }

  private note(
    path: string,
    what: string,
    offsetBytes: number | null = null,
    kernelBytes: Buffer | null = null,
  ): void {
    this.differences += 1;
    this.first ??= { difference: { file: `/${path}`, offsetBytes, what }, kernelBytes };
  }
}

/** The first byte of the MiB that differs: the engine reads it again. */
function firstByte(
  tools: WorkbenchTools,
  ports: LabPorts,
  place: Place,
  { difference, kernelBytes }: FoundDifference,
): FileDifference {
  const { file, offsetBytes } = difference;
  if (offsetBytes === null || kernelBytes === null) return difference;
  const { bytes } = tools.preview(ports, place, file, offsetBytes, kernelBytes.length);
  const at = kernelBytes.findIndex((byte, index) => byte !== bytes[index]);
  if (at < 0) {
    return { file, offsetBytes, what: 'the engine read another content the first time' };
  }
  const hex = (byte: number | undefined): string =>
    byte === undefined ? 'nothing' : `0x${byte.toString(16).padStart(2, '0')}`;
  const what = `the kernel reads ${hex(kernelBytes[at])}, the engine ${hex(bytes[at])}`;
  return { file, offsetBytes: offsetBytes + at, what };
}

function assertUnchanged(path: string, before: BigIntStats): void {
  const now = statSync(path, { bigint: true });
  const same =
    now.ino === before.ino &&
    now.dev === before.dev &&
    now.size === before.size &&
    now.mtimeNs === before.mtimeNs;
  if (same) return;
  throw new HostError({
    code: 'verify.changed',
    message: `${path} was changed while it was compared`,
    where: path,
    hint: 'Stop what writes it, then verify again.',
    exitCode: 74,
  });
}

/** Compares. `onPart` is told how it goes on, first of the engine's reading (without a total), then of the kernel's. */
export function compareMounted(
  tools: WorkbenchTools,
  ports: LabPorts,
  { place, mountedPath }: CompareMountedAsk,
  onPart: OnPart,
): MountedComparison {
  const before = statSync(place.path, { bigint: true });
  const engine = readByEngine(tools, ports, place, onPart);
  let totalBytes = 0;
  for (const entry of engine.values()) totalBytes += entry === 'folder' ? 0 : entry.sizeBytes;
  const mount = mountForVerification(mountedPath);
  let side: KernelSide;
  try {
    const root = Buffer.from(`/proc/self/fd/${String(mount.rootFd)}`);
    side = new KernelSide(root, engine, new Reporter(onPart, totalBytes));
    side.compare();
  } finally {
    mount.close();
  }
  assertUnchanged(place.path, before);
  const { files, bytes, others, unread, differences, first } = side;
  return {
    files,
    bytes,
    others,
    unread,
    differences,
    first: first === null ? null : firstByte(tools, ports, place, first),
  };
}
