// SPDX-License-Identifier: GPL-2.0-only
/**
 * The bio builder's model: what the trace of one request says about pages, units, mapping runs and bios, each with the rows at which
 * it comes to be. Pure. `bio-layout.ts` draws it for a cursor; nothing here knows of pixels.
 *
 *   request --pin--> pages --map--> runs --section--> pieces --bio-submit--> bios --bio-end--> done
 *
 * Rules: 1. Everything is placed in the file: a page lies where its bytes belong. 2. A trace may hold several requests (one a
 * segment in the page-based series): those that follow each other without a gap are one picture, others are pictures of their own.
 * 3. Pieces enter bios in the order in which they were made, which is the kernel's order; a bio takes as many bytes as it says.
 */
import type { TraceRow } from '../../../main/contract/index.ts';

export const PAGE = 4096;
/** No bio: the piece was never submitted, or not yet. */
export const NO_BIO = -1;
/** No page of the arena: it was never pinned. */
export const NO_PAGE = -2;
const PAGES_MAX = 65_536;
/** The page number that stands for the zero page. */
export const ZERO_PAGE = -1;

export interface BuilderPage {
  /** Its number in the arena. */
  readonly page: number;
  /** Its place among the pages of the picture, from 0. */
  readonly index: number;
  /** Where byte 0 of the page lies in the file; before the request where the buffer starts inside the page. */
  readonly fileBytes: number;
  /** Infinity: it was never pinned. */
  readonly pinRow: number;
}
/** 'missing': a page that was never pinned, which the kernel does not survive. 'head', 'tail' and 'fault' are the zero page. */
export type PieceSource = 'user' | 'head' | 'tail' | 'fault' | 'missing';
/** A piece of a page on its way into a bio. */
export interface BuilderPiece {
  readonly row: number;
  readonly fileBytes: number;
  readonly lengthBytes: number;
  readonly source: PieceSource;
  /** Index among the pages; `ZERO_PAGE` for the zero page. */
  readonly pageIndex: number;
  readonly pageBytes: number;
  /** Place on the disk. */
  readonly deviceBytes: number;
  /** Index among the bios, or `NO_BIO`. */
  bio: number;
}
/** Memory that the CPU zeroed, because the file has nothing there. */
export interface ZeroedPart {
  readonly row: number;
  readonly fileBytes: number;
  readonly lengthBytes: number;
  readonly pageIndex: number;
}
export interface MapRun {
  readonly kind: 'mapped' | 'hole' | 'error';
  readonly isNew: boolean;
  readonly isUnwritten: boolean;
  readonly isBoundary: boolean;
  readonly isDeferred: boolean;
  readonly fromBytes: number;
  toBytes: number;
  /** Place on the disk of `fromBytes`; null where there is none. */
  readonly deviceBytes: number | null;
  readonly deviceBlock: number | null;
  /** Row of each get_block call that gave it, and the end of the run from then on. */
  readonly growth: { readonly row: number; readonly toBytes: number }[];
  calls: number;
  /** Minus an errno where the call failed. */
  readonly error: number;
}
export interface BuilderBio {
  /** As the trace numbers it. */
  readonly id: number;
  readonly index: number;
  readonly op: 'read' | 'write';
  readonly sectorStart: number;
  readonly sizeBytes: number;
  readonly vectorCount: number;
  /** Its parts in the file, joined where they touch. */
  readonly parts: { readonly fromBytes: number; readonly toBytes: number }[];
  readonly zeroBytes: number;
  readonly firstPieceRow: number;
  readonly submitRow: number;
  /** Null: it never ended in this trace. */
  endRow: number | null;
  error: number;
  readonly reason: CloseReason;
}
export const CLOSE_REASONS = [
  'not contiguous on disk',
  'not contiguous in the file',
  'full',
  'boundary',
  'end of the request',
] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number] | 'not known';

export interface BuilderModel {
  readonly op: 'read' | 'write';
  /** The request: its bytes in the file. */
  readonly offsetBytes: number;
  readonly endBytes: number;
  readonly fileSizeBytes: number;
  /** Unit of the request and of the file system; the unit is the block where the request was refused. */
  readonly unitBytes: number;
  readonly blockBytes: number;
  readonly isRefused: boolean;
  /** Rows of the picture, first and last. */
  readonly firstRow: number;
  readonly lastRow: number;
  readonly pages: readonly BuilderPage[];
  readonly pieces: readonly BuilderPiece[];
  readonly zeroed: readonly ZeroedPart[];
  readonly runs: readonly MapRun[];
  readonly bios: readonly BuilderBio[];
  /** Rows at which the submitter went to sleep. */
  readonly waitRows: readonly number[];
}

const FLAG = { mapped: 1, new: 2, boundary: 4, unwritten: 8, defer: 16 } as const;
const SECTOR = 512;

interface Place {
  fileBytes: number;
  pageBytes: number;
}
/** Reads the rows of one picture, one after the other. */
class Builder {
  readonly op: 'read' | 'write';
  readonly offsetBytes: number;
  endBytes: number;
  readonly fileSizeBytes: number;
  unitBytes = 0;
  blockBytes = 0;
  isRefused = false;
  lastRow: number;
  readonly pieces: BuilderPiece[] = [];
  readonly zeroed: ZeroedPart[] = [];
  readonly runs: MapRun[] = [];
  readonly bios: BuilderBio[] = [];
  readonly waitRows: number[] = [];
  private readonly pageOrder: { page: number; pinRow: number }[] = [];
  private readonly pageIndex = new Map<number, number>();
  /** Where a page was first seen in the file. */
  private readonly seen = new Map<number, Place>();
  /** Where the walk is in the file. */
  private walkBytes: number;
  private edge: 'head' | 'tail' | null = null;
  private isFault = false;
  /** Next piece that no bio has taken, and how much of it is taken. */
  private nextPiece = 0;
  private reason: CloseReason = 'not known';
  private vectorsZeroBytes = 0;

  constructor(
    readonly firstRow: TraceRow,
    private readonly memoryBytes: number,
    private readonly blockBytesOtherwise: number,
    private readonly bioById: Map<number, BuilderBio>,
  ) {
    const [op = 0, offset = 0, length = 0, , size = 0] = firstRow.values;
    this.op = op === 1 ? 'write' : 'read';
    this.offsetBytes = offset;
    this.endBytes = offset + length;
    this.fileSizeBytes = size;
    this.walkBytes = offset;
    this.lastRow = firstRow.index;
  }

  /** A request that goes on where this one ends joins its picture. */
  joins(row: TraceRow): boolean {
    const [op = 0, offset = 0, length = 0] = row.values;
    if (offset !== this.endBytes || (op === 1 ? 'write' : 'read') !== this.op) return false;
    this.endBytes += length;
    this.walkBytes = offset;
    return true;
  }

  take(row: TraceRow): void {
    this.lastRow = row.index;
    const [a = 0, b = 0, c = 0, d = 0] = row.values;
    switch (row.kind) {
      case 'align':
        if (d === 0 && this.blockBytes === 0) this.blockBytes = b;
        this.unitBytes = b;
        this.isRefused = c === 0;
        break;
      case 'block-factor':
        this.unitBytes = 2 ** a;
        this.blockBytes = 2 ** (a + b);
        break;
      case 'pin':
        for (let index = 0; index < a; index += 1) this.addPage(b + index, row.index);
        break;
      case 'map':
        this.takeMap(row);
        break;
      case 'hole':
        this.takeHole(row.index, a);
        break;
      case 'zero':
        this.takeZero(row.index, a, b, c);
        break;
      case 'zero-fill':
        this.isFault = true;
        break;
      case 'zero-edge':
        this.edge = a === 1 ? 'tail' : 'head';
        break;
      case 'section':
        this.takeSection(row);
        break;
      case 'bio-close':
        this.reason = CLOSE_REASONS[a] ?? 'not known';
        break;
      case 'bio-submit':
        this.takeBio(row);
        break;
      case 'bio-end': {
        const bio = this.bioById.get(row.bioId ?? NO_BIO);
        if (bio) [bio.endRow, bio.error] = [row.index, a];
        break;
      }
      case 'wait':
        this.waitRows.push(row.index);
        break;
      default:
    }
  }

  private addPage(page: number, pinRow: number): number {
    const known = this.pageIndex.get(page);
    if (known !== undefined) return known;
    const index = this.pageOrder.length;
    this.pageOrder.push({ page, pinRow });
    this.pageIndex.set(page, index);
    return index;
  }
  /** A page at work: its place in the file is where the walk is, less the bytes of the page before that. */
  private usePage(page: number, pageBytes: number, row: number): number {
    const index = this.addPage(page, row);
    if (!this.seen.has(index)) this.seen.set(index, { fileBytes: this.walkBytes, pageBytes });
    return index;
  }

  private takeMap(row: TraceRow): void {
    const [fileBlock = 0, asked = 0, , flags = 0, deviceBlock = 0, answer = 0] = row.values;
    const block = this.blockBytes || this.blockBytesOtherwise;
    if (answer >= 0 && (flags & FLAG.mapped) === 0) return; // a hole: its 'hole' rows say how far it is used
    const isMapped = answer >= 0;
    const fromBytes = fileBlock * block;
    const toBytes = fromBytes + (isMapped ? answer : asked) * block;
    this.runs.push({
      kind: isMapped ? 'mapped' : 'error',
      isNew: (flags & FLAG.new) !== 0,
      isUnwritten: (flags & FLAG.unwritten) !== 0,
      isBoundary: (flags & FLAG.boundary) !== 0,
      isDeferred: (flags & FLAG.defer) !== 0,
      fromBytes,
      toBytes,
      deviceBytes: isMapped ? deviceBlock * block : null,
      deviceBlock: isMapped ? deviceBlock : null,
      growth: [{ row: row.index, toBytes }],
      calls: 1,
      error: isMapped ? 0 : answer,
    });
  }
  /** Each unit of a hole is met by itself; neighbours are one run. */
  private takeHole(row: number, dioBlock: number): void {
    const unit = this.unitBytes || this.blockBytesOtherwise;
    const fromBytes = dioBlock * unit;
    const toBytes = fromBytes + unit;
    const last = this.runs.at(-1);
    if (last?.kind === 'hole' && last.toBytes === fromBytes) {
      last.toBytes = toBytes;
      last.calls += 1;
      last.growth.push({ row, toBytes });
      return;
    }
    this.runs.push({
      kind: 'hole', isNew: false, isUnwritten: false, isBoundary: false, isDeferred: false, fromBytes, toBytes,
      deviceBytes: null, deviceBlock: null, growth: [{ row, toBytes }], calls: 1, error: 0,
    }); // prettier-ignore
  }
  private takeZero(row: number, page: number, pageBytes: number, lengthBytes: number): void {
    const pageIndex = this.usePage(page, pageBytes, row);
    this.zeroed.push({ row, fileBytes: this.walkBytes, lengthBytes, pageIndex });
    this.walkBytes += lengthBytes;
  }
  private takeSection(row: TraceRow): void {
    const [page = 0, pageBytes = 0, lengthBytes = 0, dioBlock = 0] = row.values;
    const unit = this.unitBytes || this.blockBytesOtherwise;
    const isZero = page <= 0;
    const zeroSource = this.edge ?? (this.isFault ? 'fault' : 'tail');
    const source: PieceSource = !isZero ? 'user' : page < 0 ? 'missing' : zeroSource;
    const fileBytes = this.walkBytes - (source === 'head' ? lengthBytes : 0);
    const pageIndex = isZero ? ZERO_PAGE : this.usePage(page, pageBytes, row.index);
    const deviceBytes = dioBlock * unit;
    this.pieces.push({
      row: row.index, fileBytes, lengthBytes, source, pageIndex, pageBytes, deviceBytes, bio: NO_BIO,
    }); // prettier-ignore
    if (source !== 'head' && source !== 'tail') this.walkBytes += lengthBytes;
    this.edge = null;
  }

  /** The bio takes the pieces from where the one before stopped; pieces that are not where it starts were lost on the way. */
  private takeBio(row: TraceRow): void {
    const [sectorStart = 0, sizeBytes = 0, op = 0, , vectorCount = 0] = row.values;
    const start = sectorStart * SECTOR;
    while (
      this.nextPiece < this.pieces.length &&
      this.pieces[this.nextPiece]?.deviceBytes !== start
    ) {
      this.nextPiece += 1;
    }
    const index = this.bios.length;
    const parts: { fromBytes: number; toBytes: number }[] = [];
    let taken = 0;
    this.vectorsZeroBytes = 0;
    let firstPieceRow = row.index;
    while (taken < sizeBytes) {
      const piece = this.pieces[this.nextPiece];
      if (piece === undefined) break;
      piece.bio = index;
      firstPieceRow = Math.min(firstPieceRow, piece.row);
      taken += piece.lengthBytes;
      if (piece.source !== 'user') this.vectorsZeroBytes += piece.lengthBytes;
      addPart(parts, piece.fileBytes, piece.fileBytes + piece.lengthBytes);
      this.nextPiece += 1;
    }
    const bio: BuilderBio = {
      id: row.bioId ?? index, index, op: op === 1 ? 'write' : 'read', sectorStart, sizeBytes, vectorCount, parts,
      zeroBytes: this.vectorsZeroBytes, firstPieceRow, submitRow: row.index, endRow: null, error: 0, reason: this.reason,
    }; // prettier-ignore
    this.bios.push(bio);
    this.bioById.set(bio.id, bio);
    this.reason = 'not known';
  }

  build(): BuilderModel {
    const block = this.blockBytes || this.blockBytesOtherwise;
    return {
      op: this.op, offsetBytes: this.offsetBytes, endBytes: this.endBytes, fileSizeBytes: this.fileSizeBytes,
      unitBytes: this.unitBytes || block, blockBytes: block, isRefused: this.isRefused,
      firstRow: this.firstRow.index, lastRow: this.lastRow, pages: this.placePages(), pieces: this.pieces,
      zeroed: this.zeroed, runs: this.runs, bios: this.bios, waitRows: this.waitRows,
    }; // prettier-ignore
  }
  /** Pages that were pinned and never used lie behind the one before them. Where none was, those that would have been. */
  private placePages(): BuilderPage[] {
    if (this.pageOrder.length === 0) {
      const start = this.offsetBytes - this.memoryBytes;
      const count = Math.min(PAGES_MAX, Math.ceil((this.endBytes - start) / PAGE));
      return Array.from({ length: count }, (_, index) => ({
        page: NO_PAGE, index, fileBytes: start + index * PAGE, pinRow: Infinity,
      })); // prettier-ignore
    }
    let next = this.offsetBytes - this.memoryBytes;
    const first = [...this.seen].find(([index]) => index > 0);
    if (!this.seen.has(0) && first) {
      next = first[1].fileBytes - first[1].pageBytes - first[0] * PAGE;
    }
    return this.pageOrder.map(({ page, pinRow }, index) => {
      const place = this.seen.get(index);
      const fileBytes = place ? place.fileBytes - place.pageBytes : next;
      next = fileBytes + PAGE;
      return { page, index, fileBytes, pinRow };
    });
  }
}

function addPart(
  parts: { fromBytes: number; toBytes: number }[],
  fromBytes: number,
  toBytes: number,
): void {
  const last = parts.at(-1);
  if (last?.toBytes === fromBytes) last.toBytes = toBytes;
  else parts.push({ fromBytes, toBytes });
}

export interface ModelOptions {
  /** Distance of the buffer from a page boundary, where the rows do not tell. */
  readonly memoryBytes?: number;
  /** Bytes of a file system block, where the rows do not tell. */
  readonly blockBytes?: number;
}
/** The pictures of a trace, in its order; empty where no request ever entered direct I/O. */
export function buildModels(rows: readonly TraceRow[], options: ModelOptions = {}): BuilderModel[] {
  const builders: Builder[] = [];
  const bioById = new Map<number, BuilderBio>();
  const byDio = new Map<number, Builder>();
  for (const row of rows) {
    if (row.kind === 'request') {
      let builder = builders.at(-1);
      if (builder?.joins(row) !== true) {
        const { memoryBytes = 0, blockBytes = PAGE } = options;
        builder = new Builder(row, memoryBytes, blockBytes, bioById);
        builders.push(builder);
      }
      byDio.set(row.dioId, builder);
    }
    (byDio.get(row.dioId) ?? builders.at(-1))?.take(row);
  }
  return builders.map((builder) => builder.build());
}

/** The picture that a row belongs to: the last that has begun by then, else the first. */
export function modelAt(models: readonly BuilderModel[], row: number): BuilderModel | null {
  return models.findLast((model) => model.firstRow <= row) ?? models[0] ?? null;
}

export type BioState = 'later' | 'building' | 'in flight' | 'done' | 'failed';
/** What a bio is when the rows up to `cursorRow` have happened. */
export function bioStateAt(bio: BuilderBio, cursorRow: number): BioState {
  if (cursorRow < bio.firstPieceRow) return 'later';
  if (cursorRow < bio.submitRow) return 'building';
  if (bio.endRow === null || cursorRow < bio.endRow) return 'in flight';
  return bio.error === 0 ? 'done' : 'failed';
}
/** The end of a run as it was at a row; null: nothing of it was known yet. */
export function runEndAt(run: MapRun, cursorRow: number): number | null {
  if ((run.growth[0]?.row ?? Infinity) > cursorRow) return null;
  let low = 0;
  let high = run.growth.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((run.growth[middle]?.row ?? Infinity) <= cursorRow) low = middle;
    else high = middle - 1;
  }
  return run.growth[low]?.toBytes ?? null;
}
/** The bio that a row is about: the one it names, or the one that its piece goes into. Null: none. */
export function bioOfRow(model: BuilderModel, row: TraceRow | undefined): BuilderBio | null {
  if (row === undefined) return null;
  if (row.bioId !== null) return model.bios.find((bio) => bio.id === row.bioId) ?? null;
  if (row.kind !== 'section') return null;
  const piece = model.pieces.find((each) => each.row === row.index);
  return piece === undefined ? null : (model.bios[piece.bio] ?? null);
}
