// SPDX-License-Identifier: GPL-2.0-only
/**
 * Lays files out as a recipe wants them: as many extents, holes and unwritten blocks as asked, and free space in pieces.
 *
 * How a file gets its extents: it is written piece by piece, and after each piece but the last of a run the file system is told to look
 * a little farther for the next one. The map is read then. What the file system added itself (map blocks between data, a free space in
 * pieces) or joined shows as a difference, by which the number of breaks is corrected, and the file is made anew, a few times at most.
 * What could not be reached is told, not hidden.
 */
import { errnoName, HostError, isTask, MAP_FLAG, Sfc32, type Task } from '../../base/index.ts';
import { newMapping, type FileExtent, type Inode, type OpenFile } from '../../vfs/index.ts';
import { kiocb, Piece, PIECE_BYTES } from '../image/content.ts';
import { ioError, taken } from '../image/paths.ts';
import type { FileRecipe, LayoutRecipe, TransferOutcome, TransferPart } from '../workbench.ts';
import { makeFolders, parentOf } from './namespace.ts';
import type { OpenPlace } from './place.ts';

/** Each with its own cuts, so that two that miss on either side are not all there is. */
const ATTEMPTS_MAX = 12;
/** Between two pieces, at most; less where the image is small. */
const GAP_BYTES_MAX = 65536;
const FILLER_NAME = '.diolab-filler';
/** Its blocks lie between the pieces of free space; it stays. */
const DIVIDER_NAME = '.diolab-divider';
const ENOSPC = -28;
const EOPNOTSUPP = -95;

type OnPart = (part: TransferPart) => void;

/** `layOut` of the tools. */
export function* layOutRecipe(
  open: OpenPlace,
  recipe: LayoutRecipe,
  onPart: OnPart,
): Task<TransferOutcome> {
  const work = new LayingOut(open, recipe, onPart);
  try {
    return yield* work.go();
  } catch (error) {
    yield* work.undo();
    throw error;
  }
}

/** Pieces of a file's data, in file system blocks; `breaks`: another extent is to begin behind it. */
interface PlannedPiece {
  readonly fileBlock: number;
  readonly count: number;
  readonly breaks: boolean;
}

/** How near one way of cutting came. */
interface Attempt {
  readonly breaks: number;
  readonly seed: number;
  readonly distance: number;
}

/** Cuts `count` into `parts` pieces of about one length, at least 1 each, a little different by the seed. */
function cut(count: number, parts: number, random: Sfc32): number[] {
  const wanted = Math.max(1, Math.min(parts, count));
  const pieces: number[] = [];
  let left = count;
  for (let index = wanted; index > 0; index--) {
    const mean = left / index;
    const spread = Math.floor(mean / 4);
    const jitter = spread > 0 ? (random.next32() % (2 * spread + 1)) - spread : 0;
    const most = left - (index - 1);
    const piece = index === 1 ? left : Math.max(1, Math.min(most, Math.round(mean) + jitter));
    pieces.push(piece);
    left -= piece;
  }
  return pieces;
}

/** Where the data of a file lies, with `breaks` breaks besides those that holes make. */
export function planPieces(
  blocks: number,
  holes: number,
  breaks: number,
  seed: number,
): PlannedPiece[] {
  const random = new Sfc32(seed, blocks);
  const segments = Math.min(2 * holes + 1, Math.max(1, blocks));
  const bounds = Array.from({ length: segments + 1 }, (_, index) =>
    Math.round((blocks * index) / segments),
  );
  const pieces: PlannedPiece[] = [];
  const dataBlocks = bounds.reduce(
    (all, start, index) =>
      index % 2 === 0 && index < segments ? all + (bounds[index + 1] as number) - start : all,
    0,
  );
  let breaksLeft = Math.min(breaks, dataBlocks);
  let blocksLeft = dataBlocks;
  for (let index = 0; index < segments; index += 2) {
    const start = bounds[index] as number;
    const count = (bounds[index + 1] as number) - start;
    const share = Math.min(count - 1, Math.round((breaksLeft * count) / Math.max(1, blocksLeft)));
    breaksLeft -= Math.max(0, share);
    blocksLeft -= count;
    let at = start;
    const lengths = cut(count, share + 1, random);
    lengths.forEach((length, part) => {
      pieces.push({ fileBlock: at, count: length, breaks: part < lengths.length - 1 });
      at += length;
    });
  }
  return pieces;
}

/** Extents as FIEMAP counts them: a new one where the file, the disk or the state has a gap. */
export function countExtents(extents: readonly FileExtent[]): number {
  let count = 0;
  let before: FileExtent | null = null;
  for (const extent of extents) {
    if (extent.deviceBlock === null) continue;
    const continues =
      before !== null &&
      before.fileBlock + before.count === extent.fileBlock &&
      (before.deviceBlock as number) + before.count === extent.deviceBlock &&
      before.state === extent.state;
    if (!continues) count += 1;
    before = extent;
  }
  return count;
}

class LayingOut {
  private readonly notes: string[] = [];
  private readonly made: { readonly folder: Inode; readonly name: string }[] = [];
  private readonly madeFolders: string[] = [];
  /** Takes the free space that is to stay free, while it is cut. */
  private filler: { readonly folder: Inode; readonly file: OpenFile } | null = null;
  private readonly piece: Piece;
  private readonly totalBytes: number;
  private doneBytes = 0;

  constructor(
    private readonly open: OpenPlace,
    private readonly recipe: LayoutRecipe,
    private readonly onPart: OnPart,
  ) {
    this.piece = new Piece(open.kernel.memory);
    const random = new Sfc32(recipe.seed, 0x0d10);
    const view = new DataView(this.piece.bytes.buffer, this.piece.bytes.byteOffset, PIECE_BYTES);
    for (let at = 0; at < PIECE_BYTES; at += 4) view.setUint32(at, random.next32(), true);
    this.totalBytes = recipe.files.reduce((all, { sizeBytes }) => all + sizeBytes, 0);
  }

  *go(): Task<TransferOutcome> {
    const { recipe, open } = this;
    for (const [index, file] of recipe.files.entries()) yield* this.makeFile(file, index);
    if (recipe.freePieceBytes > 0) yield* this.cutFreeSpace();
    yield* this.removeFiller();
    const status = yield* open.fileSystem.sync();
    if (status < 0) throw ioError(open.image, 'writing back', status);
    return { files: recipe.files.length, bytes: this.doneBytes, notes: this.notes };
  }

  *undo(): Task<void> {
    const { fileSystem } = this.open;
    yield* this.removeFiller();
    for (const { folder, name } of this.made.reverse()) yield* fileSystem.unlink(folder, name);
    for (const path of this.madeFolders.reverse()) {
      const { folder, name } = yield* parentOf(this.open, path);
      if (fileSystem.removeDirectory !== undefined) yield* fileSystem.removeDirectory(folder, name);
    }
    yield* fileSystem.sync();
  }

  /** Makes the file, reads its map, and makes it anew with other breaks until it is as asked, or nothing gets better. */
  private *makeFile(recipe: FileRecipe, index: number): Task<void> {
    const { open } = this;
    const { fileSystem, image } = open;
    const parent = recipe.path.slice(0, recipe.path.lastIndexOf('/'));
    if (parent !== '') this.madeFolders.push(...(yield* makeFolders(open, parent)));
    const { folder, name } = yield* parentOf(open, recipe.path);
    const known = yield* fileSystem.lookup(folder, name);
    if (known.ok) taken({ ok: false, error: 'EEXIST' }, image, recipe.path);
    let breaks = Math.max(0, recipe.extents - 1 - recipe.holes);
    const seedOf = (attempt: number): number => (this.recipe.seed + index + attempt * 7919) >>> 0;
    let best: Attempt | null = null;
    let extents: readonly FileExtent[] = [];
    for (let attempt = 0; ; attempt++) {
      const seed = seedOf(attempt);
      extents = yield* this.tryFile(recipe, seed, folder, name, breaks);
      const got = countExtents(extents);
      const distance = Math.abs(got - recipe.extents);
      if (distance === 0 || recipe.sizeBytes === 0) break;
      if (best === null || distance < best.distance) best = { breaks, seed, distance };
      // With no break to take away there is nothing to try.
      const isLast = attempt + 1 >= ATTEMPTS_MAX || (breaks === 0 && got > recipe.extents);
      if (isLast && best.seed === seed) break;
      yield* this.removeMade(folder, name);
      if (isLast) {
        extents = yield* this.tryFile(recipe, best.seed, folder, name, best.breaks);
        break;
      }
      breaks = Math.max(0, breaks + recipe.extents - got);
    }
    this.doneBytes += recipe.sizeBytes;
    this.tell(recipe, extents);
    this.report(recipe.path);
  }

  private report(file: string): void {
    const { doneBytes, totalBytes } = this;
    this.onPart({ kind: 'progress', file, doneBytes, totalBytes });
  }

  /** What is not as the recipe asked. */
  private tell(recipe: FileRecipe, extents: readonly FileExtent[]): void {
    const { path } = recipe;
    const got = countExtents(extents);
    if (got !== recipe.extents && recipe.sizeBytes > 0) {
      this.notes.push(
        `${path} has ${String(got)} extents, not the ${String(recipe.extents)} asked for.`,
      );
    }
    const blocks = Math.ceil(recipe.sizeBytes / this.open.fileSystem.blockSizeBytes);
    const holes = countHoles(extents, blocks);
    if (holes !== recipe.holes) {
      this.notes.push(
        `${path} has ${String(holes)} holes, not the ${String(recipe.holes)} asked for.`,
      );
    }
    const isUnwritten = extents.some(({ state }) => state === 'unwritten');
    if (recipe.content === 'unwritten' && !isUnwritten && recipe.sizeBytes > 0) {
      const { moduleId } = this.open.fileSystem;
      this.notes.push(`${path} is written: ${moduleId} has no unwritten extents.`);
    }
  }

  private *removeMade(folder: Inode, name: string): Task<void> {
    const { fileSystem, image } = this.open;
    taken(yield* fileSystem.unlink(folder, name), image, name);
    this.made.pop();
  }

  private *tryFile(
    recipe: FileRecipe,
    seed: number,
    folder: Inode,
    name: string,
    breaks: number,
  ): Task<readonly FileExtent[]> {
    const { open } = this;
    const { fileSystem, image } = open;
    const { path, sizeBytes } = recipe;
    const inode = taken(yield* fileSystem.create(folder, name, 'file'), image, path);
    this.made.push({ folder, name });
    const file = taken(yield* fileSystem.open(inode), image, path);
    const unitBlocks = this.unitBlocks();
    const units = Math.ceil(sizeBytes / (unitBlocks * fileSystem.blockSizeBytes));
    const pieces = units === 0 ? [] : planPieces(units, recipe.holes, breaks, seed);
    const gapBlocks = this.gapBlocks(pieces.length);
    for (const piece of pieces) {
      const [from, count] = [piece.fileBlock * unitBlocks, piece.count * unitBlocks];
      yield* this.place(file, path, recipe.content, from, count);
      if (piece.breaks) yield* this.moveOn(inode, from + count, gapBlocks);
    }
    const status = yield* fileSystem.truncate(inode, sizeBytes);
    if (status < 0) throw ioError(`${image}:${path}`, 'setting the size of the file', status);
    const synced = yield* file.fsync(false);
    if (synced < 0) throw ioError(`${image}:${path}`, 'writing back', synced);
    return taken(yield* file.extents(), image, path);
  }

  /** Blocks that the file system allocates at once: a piece is never less. */
  private unitBlocks(): number {
    const { allocationUnitBytes, blockSizeBytes } = this.open.fileSystem;
    return Math.max(1, Math.floor((allocationUnitBytes ?? blockSizeBytes) / blockSizeBytes));
  }

  /** Blocks to leave between two pieces, so that all gaps together fit into the free space several times. */
  private gapBlocks(pieces: number): number {
    const { fileSystem } = this.open;
    const share = fileSystem.statfs().freeBytes / (8 * Math.max(1, pieces));
    const unit = this.unitBlocks();
    const blocks = Math.floor(Math.min(GAP_BYTES_MAX, share) / fileSystem.blockSizeBytes);
    return Math.max(unit, Math.floor(blocks / unit) * unit);
  }

  /** The next piece, which begins at `fileBlock`, is to lie a gap behind the one before it. */
  private *moveOn(inode: Inode, fileBlock: number, gapBlocks: number): Task<void> {
    const last = yield* this.deviceBlockOf(inode, fileBlock - 1);
    if (last === null) return;
    this.open.fileSystem.suggestPlace?.(inode, fileBlock, last + 1 + gapBlocks);
  }

  /** Null: it has none. */
  private *deviceBlockOf(inode: Inode, fileBlock: number): Task<number | null> {
    const { fileSystem } = this.open;
    const mapping = newMapping(fileSystem.device);
    mapping.lengthBytes = fileSystem.blockSizeBytes;
    const started = fileSystem.getBlock(inode, fileBlock, mapping, false);
    const status = isTask(started) ? yield* started : started;
    if (status < 0 || (mapping.flags & (MAP_FLAG.mapped | MAP_FLAG.unwritten)) === 0) return null;
    return mapping.deviceBlock;
  }

  /** The end of `other` is to be followed by the end of `one` on the device. */
  private *followOn(one: Inode, other: Inode): Task<void> {
    const { fileSystem } = this.open;
    const blocksOf = (inode: Inode): number =>
      Math.ceil(inode.sizeBytes / fileSystem.blockSizeBytes);
    const last = yield* this.deviceBlockOf(other, blocksOf(other) - 1);
    if (last !== null) fileSystem.suggestPlace?.(one, blocksOf(one), last + 1);
  }

  /** Gives blocks to a part of the file. */
  private *place(
    file: OpenFile,
    path: string,
    content: FileRecipe['content'],
    fileBlock: number,
    count: number,
  ): Task<void> {
    const { fileSystem, image } = this.open;
    const bytes = fileSystem.blockSizeBytes;
    const [offset, length] = [fileBlock * bytes, count * bytes];
    if (content === 'unwritten' && fileSystem.fallocate !== undefined) {
      const status = yield* fileSystem.fallocate(file.inode, 'allocate', offset, length);
      if (status >= 0) return;
      if (status !== EOPNOTSUPP) throw ioError(`${image}:${path}`, 'allocating', status);
    }
    yield* this.write(file, `${image}:${path}`, offset, length);
  }

  private *write(file: OpenFile, where: string, offset: number, length: number): Task<void> {
    for (let at = offset; at < offset + length;) {
      const wanted = Math.min(PIECE_BYTES, offset + length - at);
      const started = file.write(kiocb(file.inode, at, true), this.piece.iter('write', wanted));
      const count = isTask(started) ? yield* started : started;
      if (count !== wanted) {
        throw ioError(where, `writing at byte ${String(at)}`, count < 0 ? count : ENOSPC);
      }
      at += wanted;
      const { totalBytes } = this;
      const doneBytes = Math.min(totalBytes, this.doneBytes + at);
      this.onPart({ kind: 'progress', file: where, doneBytes, totalBytes });
    }
  }

  /** Gives blocks to the filler, which is made in `folder` where there is none yet, and returned. */
  private *fill(folder: Inode, blocks: number): Task<Inode> {
    const { fileSystem, image } = this.open;
    let { filler } = this;
    if (filler === null) {
      const inode = taken(
        yield* fileSystem.create(folder, FILLER_NAME, 'file'),
        image,
        FILLER_NAME,
      );
      const file = taken(yield* fileSystem.open(inode), image, FILLER_NAME);
      filler = { folder, file };
      this.filler = filler;
    }
    yield* this.append(filler.file, blocks * fileSystem.blockSizeBytes);
    return filler.file.inode;
  }

  private *append(file: OpenFile, length: number): Task<void> {
    const { fileSystem, image } = this.open;
    const at = file.inode.sizeBytes;
    if (fileSystem.fallocate !== undefined) {
      const status = yield* fileSystem.fallocate(file.inode, 'allocate', at, length);
      if (status >= 0) return;
      if (status !== EOPNOTSUPP) throw ioError(image, 'allocating a filler', status);
    }
    yield* this.write(file, image, at, length);
  }

  private *removeFiller(): Task<void> {
    const { filler } = this;
    if (filler !== null) yield* this.open.fileSystem.unlink(filler.folder, FILLER_NAME);
    this.filler = null;
  }

  /** Takes all free space by a filler, with one block of a divider after each piece, and gives the filler's back. */
  private *cutFreeSpace(): Task<void> {
    const { fileSystem, image } = this.open;
    const blockBytes = fileSystem.blockSizeBytes;
    const root = taken(yield* fileSystem.readInode(fileSystem.rootInodeNumber), image, '/');
    const divider = taken(
      yield* fileSystem.create(root, DIVIDER_NAME, 'file'),
      image,
      DIVIDER_NAME,
    );
    this.made.push({ folder: root, name: DIVIDER_NAME });
    const file = taken(yield* fileSystem.open(divider), image, DIVIDER_NAME);
    const unitBytes = this.unitBlocks() * blockBytes;
    const pieceBlocks = Math.max(1, Math.floor(this.recipe.freePieceBytes / blockBytes));
    const start = fileSystem.statfs().freeBytes;
    try {
      for (;;) {
        const filler = yield* this.fill(root, pieceBlocks);
        yield* this.followOn(divider, filler);
        yield* this.append(file, unitBytes);
        yield* this.followOn(filler, divider);
        const doneBytes = Math.max(0, start - fileSystem.statfs().freeBytes);
        this.onPart({ kind: 'progress', file: 'free space', doneBytes, totalBytes: start });
      }
    } catch (error) {
      // It ends when there is none left.
      if (!(error instanceof HostError) || error.code !== 'image.no-space') throw error;
    }
    const status = yield* file.fsync(false);
    if (status < 0) throw ioError(image, errnoName(status) ?? 'fsync', status);
  }
}

/** Holes between or behind extents, up to the size of the file. */
function countHoles(extents: readonly FileExtent[], blocks: number): number {
  let holes = 0;
  let expected = 0;
  for (const { fileBlock, count, deviceBlock } of extents) {
    if (deviceBlock === null) continue;
    if (fileBlock > expected) holes += 1;
    expected = fileBlock + count;
  }
  return expected < blocks ? holes + 1 : holes;
}
