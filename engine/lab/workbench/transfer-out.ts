// SPDX-License-Identifier: GPL-2.0-only
/** Copies a file or a folder out of an image, piece by piece; holes stay holes, and what was never written is one, too. */
import { isTask, type Task } from '../../base/index.ts';
import type { FileExtent, OpenFile } from '../../vfs/index.ts';
import { kiocb, Piece, PIECE_BYTES } from '../image/content.ts';
import { ioError, namesOf, notAFile, taken, walkTo } from '../image/paths.ts';
import type { TransferOutcome, TransferPart } from '../workbench.ts';
import type { OpenPlace } from './place.ts';
import { walkTree } from './tree.ts';

const ENTRIES_MAX = 1_000_000;
const ALIGN_BYTES = 4096;

type OnPart = (part: TransferPart) => void;

/** `getTree` of the tools. */
export function* getTree(open: OpenPlace, path: string, onPart: OnPart): Task<TransferOutcome> {
  const { fileSystem, image, kernel } = open;
  const inode = yield* walkTo(fileSystem, image, path, namesOf(image, path));
  const piece = new Piece(kernel.memory);
  if (inode.kind === 'file') {
    const file = taken(yield* fileSystem.open(inode), image, path);
    yield* sendFile(open, piece, file, '', path, onPart);
    return { files: 1, bytes: inode.sizeBytes, notes: [] };
  }
  if (inode.kind !== 'directory') throw notAFile(image, path, inode.kind);
  onPart({ kind: 'folder', path: '' });
  const { entries, isWhole } = yield* walkTree(fileSystem, inode.inodeNumber, ENTRIES_MAX);
  const notes: string[] = [];
  if (!isWhole) notes.push('Not all of it could be read: the image may be damaged.');
  const outcome = { files: 0, bytes: 0 };
  for (const entry of entries) {
    const where = `${path === '/' ? '' : path}/${entry.path}`;
    if (entry.kind === 'directory') onPart({ kind: 'folder', path: entry.path });
    else if (entry.kind !== 'file') notes.push(`${where} is a ${entry.kind} and was left out.`);
    else {
      const found = taken(yield* fileSystem.readInode(entry.inodeNumber), image, where);
      const file = taken(yield* fileSystem.open(found), image, where);
      yield* sendFile(open, piece, file, entry.path, where, onPart);
      outcome.files += 1;
      outcome.bytes += found.sizeBytes;
    }
  }
  return { ...outcome, notes };
}

function* sendFile(
  open: OpenPlace,
  piece: Piece,
  file: OpenFile,
  path: string,
  where: string,
  onPart: OnPart,
): Task<void> {
  const { sizeBytes } = file.inode;
  onPart({ kind: 'file', path, sizeBytes });
  const extents = yield* file.extents();
  // Where the map cannot be had the file is read as it is.
  const holes = extents.ok ? holesOf(extents.value, open.fileSystem.blockSizeBytes, sizeBytes) : [];
  let at = 0;
  for (const hole of [...holes, { startBytes: sizeBytes, endBytes: sizeBytes }]) {
    while (at < hole.startBytes) {
      at += yield* sendPiece(open, piece, file, at, hole.startBytes, where, onPart);
    }
    const lengthBytes = hole.endBytes - hole.startBytes;
    if (lengthBytes > 0) onPart({ kind: 'hole', lengthBytes });
    at = hole.endBytes;
  }
}

/** One piece, which does not reach beyond `endBytes`. Returns its length. */
function* sendPiece(
  open: OpenPlace,
  piece: Piece,
  file: OpenFile,
  at: number,
  endBytes: number,
  where: string,
  onPart: OnPart,
): Task<number> {
  const wanted = Math.min(PIECE_BYTES, Math.ceil((endBytes - at) / ALIGN_BYTES) * ALIGN_BYTES);
  const started = file.read(kiocb(file.inode, at, true), piece.iter('read', wanted));
  const count = isTask(started) ? yield* started : started;
  const what = `${open.image}:${where}`;
  if (count < 0) throw ioError(what, `reading at byte ${String(at)}`, count);
  // The end came early: an I/O error by another name.
  if (count === 0) throw ioError(what, `reading at byte ${String(at)}`, -5);
  const length = Math.min(count, endBytes - at);
  onPart({ kind: 'bytes', bytes: piece.bytes.slice(0, length) });
  return length;
}

interface Range {
  readonly startBytes: number;
  readonly endBytes: number;
}

/** What reads as zeros without blocks, in whole pieces of 4096 bytes but for the end of the file. */
function holesOf(extents: readonly FileExtent[], blockBytes: number, sizeBytes: number): Range[] {
  const holes: { startBytes: number; endBytes: number }[] = [];
  let expected = 0;
  const add = (from: number, until: number): void => {
    const last = holes.at(-1);
    if (last?.endBytes === from) last.endBytes = until;
    else if (until > from) holes.push({ startBytes: from, endBytes: until });
  };
  for (const { fileBlock, count, state } of extents) {
    const start = fileBlock * blockBytes;
    if (start > expected) add(expected, start);
    expected = Math.max(expected, start + count * blockBytes);
    if (state !== 'mapped') add(start, start + count * blockBytes);
  }
  if (expected < sizeBytes) add(expected, sizeBytes);
  return holes
    .map(({ startBytes, endBytes }) => ({
      startBytes: Math.ceil(startBytes / ALIGN_BYTES) * ALIGN_BYTES,
      endBytes:
        endBytes >= sizeBytes ? sizeBytes : Math.floor(endBytes / ALIGN_BYTES) * ALIGN_BYTES,
    }))
    .filter(({ startBytes, endBytes }) => startBytes < endBytes);
}
