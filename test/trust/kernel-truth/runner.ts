// SPDX-License-Identifier: GPL-2.0-only
/**
 * Runs a recipe over our engine, as the collector ran it over a kernel: a fresh file system on a disk of 0xa5, every request traced at
 * submit_bio, everything synced after it.
 *
 *   const ours = runRecipe(recipe, truth);      // one `OurRequest` for each `req`, and the content of the files at the end
 *
 * Data of request N is, for every 8 bytes of the file, the little-endian word N * 2^40 + offset / 8; buffers of reads are 0xee before.
 */
import { createHash } from 'node:crypto';
import {
  ERRNO,
  isTask,
  SECTOR_BYTES,
  type KernelReturn,
  type Task,
} from '../../../engine/base/index.ts';
import type { Bio, DeviceRequest } from '../../../engine/block/index.ts';
import { IovIter, PAGE_STATE, type UserSegment } from '../../../engine/memory/index.ts';
import { BioGroup } from '../../../engine/vfs/bio-group.ts';
import type { Kiocb, MountedFileSystem, OpenFile } from '../../../engine/vfs/index.ts';
import type { FileSystemLab } from '../../support/file-system-lab.ts';
import { expectOk } from '../../support/file-system-lab.ts';
import {
  numberOf,
  parseBatch,
  parseSegments,
  type Recipe,
  type Segment,
  type Statement,
} from './recipe.ts';

const PAGE = 4096;
const POISON = 0xee;

/** Bytes of an interleaved file carry 90000 and the slot. */
const INTERLEAVED_ID = 90_000;

export interface OurBio {
  /** R or W; F for a flush. */
  readonly op: 'R' | 'W' | 'F';
  readonly sector: number;
  readonly sectors: number;
  /** `file@offset+bytes`, or `meta/free`. */
  readonly where: string;
  /** Of direct I/O; else of the page cache or metadata. */
  readonly isDirect: boolean;
}
export interface OurRequest {
  readonly statement: Statement;
  readonly returned: readonly KernelReturn[];
  readonly bios: readonly OurBio[];
  /** sha256 of what each read returned. */
  readonly buffers: readonly string[];
  readonly sizeBytes: number;
}
export interface OurFinal {
  readonly file: string;
  /** Up to the first error. */
  readonly readBytes: number;
  readonly sha256: string;
}
/** What the recipe needs of the truth: maps before the first request, for lists that begin on an image of an earlier boot. */
export interface TruthMaps {
  readonly maps_before?: Readonly<
    Record<
      string,
      {
        readonly size: number;
        readonly map: { readonly runs: readonly (readonly [number, number, number, string])[] };
      }
    >
  >;
}

interface Slot {
  readonly path: string;
  readonly file: OpenFile;
  readonly flags: ReadonlySet<string>;
  positionBytes: number;
}

/** Makes the image and mounts it. */
export interface RecipeLab {
  readonly lab: FileSystemLab;
  readonly fileSystem: MountedFileSystem;
}

export class RecipeRun {
  readonly requests: OurRequest[] = [];
  readonly final: OurFinal[] = [];
  private readonly slots = new Map<string, Slot>();
  private readonly files = new Map<string, OpenFile>();
  private submitted: {
    bio: Bio;
    op: OurBio['op'];
    sector: number;
    sectors: number;
    isDirect: boolean;
  }[] = [];
  private nextId = 1;
  private readonly lab: FileSystemLab;
  private readonly fileSystem: MountedFileSystem;

  constructor(
    private readonly recipe: Recipe,
    private readonly truth: TruthMaps,
    { lab, fileSystem }: RecipeLab,
  ) {
    this.lab = lab;
    this.fileSystem = fileSystem;
    const submit = lab.kernel.submitBio.bind(lab.kernel);
    lab.kernel.submitBio = (bio) => {
      const op = bio.op === 'read' ? 'R' : bio.op === 'flush' ? 'F' : 'W';
      const isDirect = !(bio.owner instanceof BioGroup);
      this.submitted.push({
        bio,
        op,
        sector: bio.sectorStart,
        sectors: bio.sizeBytes / SECTOR_BYTES,
        isDirect,
      });
      submit(bio);
    };
  }

  run(): void {
    const { recipe } = this;
    if (recipe.head.has('errors')) this.prepareErrors(recipe.head.get('errors') ?? '');
    for (const statement of recipe.requests) {
      if (statement.verb === 'req') this.request(statement);
      else this.other(statement);
    }
    this.lab.run(this.fileSystem.sync());
    this.dropCaches();
    for (const statement of recipe.final) this.content(statement);
  }

  /** Files of an earlier boot, and the places of the faults in them. */
  private prepareErrors(errors: string): void {
    const maps = this.truth.maps_before ?? {};
    const pieces = 24;
    const fragmented = ['g', 'gg'];
    for (let turn = 0; turn < pieces; turn++) {
      for (const [index, path] of fragmented.entries()) {
        const size = maps[path]?.size ?? maps['g']?.size ?? 0;
        const chunk = size / pieces;
        this.put(path, turn * chunk, chunk, INTERLEAVED_ID + 9 + index);
      }
    }
    this.put('big', 0, maps['big']?.size ?? 0, 1003);
    this.lab.run(this.fileSystem.sync());
    this.dropCaches();
    const faults = errors.split(/\s+/).map((word) => {
      const [op = '', sector = ''] = word.split(':');
      return { op, sector: this.ourSector(Number(sector)) };
    });
    this.lab.disk.intercept = (request: DeviceRequest) => {
      const end = request.sectorStart + request.sizeBytes / SECTOR_BYTES;
      const isHit = faults.some(
        ({ op, sector }) => op === request.op && sector >= request.sectorStart && sector < end,
      );
      return isHit ? -ERRNO.EIO : 0;
    };
  }

  /** A sector of the kernel's image, by its place in a file, as a sector of ours. */
  private ourSector(sector: number): number {
    const byte = sector * SECTOR_BYTES;
    for (const [path, { map }] of Object.entries(this.truth.maps_before ?? {})) {
      for (const [fileByte, deviceByte, lengthBytes] of map.runs) {
        if (byte < deviceByte || byte >= deviceByte + lengthBytes) continue;
        return this.sectorOf(path, fileByte + byte - deviceByte);
      }
    }
    throw new Error(`sector ${String(sector)} is in no file`);
  }

  private sectorOf(path: string, fileByte: number): number {
    const { blockSizeBytes } = this.fileSystem;
    const block = Math.floor(fileByte / blockSizeBytes);
    for (const extent of this.extentsOf(path)) {
      if (extent.deviceBlock === null) continue;
      if (block < extent.fileBlock || block >= extent.fileBlock + extent.count) continue;
      const byte = (extent.deviceBlock + block - extent.fileBlock) * blockSizeBytes;
      return (byte + (fileByte % blockSizeBytes)) / SECTOR_BYTES;
    }
    throw new Error(`${path} is not mapped at byte ${String(fileByte)}`);
  }

  private extentsOf(path: string) {
    const file = this.files.get(path);
    if (file === undefined) return [];
    const extents = this.lab.run(file.extents());
    return extents.ok ? extents.value : [];
  }

  private put(path: string, at: number, lengthBytes: number, id: number): void {
    const file = this.openFile(path);
    const most = 512 * 1024;
    for (let done = 0; done < lengthBytes; done += most) {
      const count = Math.min(most, lengthBytes - done);
      const result = this.lab.write(file, at + done, patternOf(id, at + done, count));
      if (result !== count) throw new Error(`${path}: a buffered write gave ${String(result)}`);
    }
    this.lab.run(file.fsync(false));
  }

  private openFile(path: string): OpenFile {
    const known = this.files.get(path);
    if (known !== undefined) return known;
    const isDevice = path.startsWith('/dev/');
    const opened = isDevice
      ? expectOk(this.lab.run(this.fileSystem.open(this.lab.inodeAt(this.fileSystem, '/', null))))
      : this.lab.openPath(this.fileSystem, path);
    this.files.set(path, opened);
    return opened;
  }

  private slot(statement: Statement): Slot {
    const slot = this.slots.get(statement.words.get('s') ?? '');
    if (slot === undefined) throw new Error(`no open slot in ${statement.line}`);
    return slot;
  }

  private other(statement: Statement): void {
    const { words, verb } = statement;
    const number = (key: string): number => numberOf(words.get(key) ?? '0');
    const { lab, fileSystem } = this;
    switch (verb) {
      case 'open': {
        const path = words.get('path') ?? '';
        const flags = new Set((words.get('flags') ?? '').split(','));
        const slot = { path, file: this.openFile(path), flags, positionBytes: 0 };
        this.slots.set(words.get('s') ?? '', slot);
        return;
      }
      case 'close':
        this.slots.delete(words.get('s') ?? '');
        return;
      case 'bw': {
        const { file } = this.slot(statement);
        const id = words.has('id') ? number('id') : 0;
        const most = 512 * 1024;
        for (let done = 0; done < number('len'); done += most) {
          const count = Math.min(most, number('len') - done);
          lab.write(file, number('off') + done, patternOf(id, number('off') + done, count));
        }
        return;
      }
      case 'br':
        lab.read(this.slot(statement).file, number('off'), number('len'));
        return;
      case 'interleave':
        this.interleave(statement);
        return;
      case 'truncate':
        lab.run(fileSystem.truncate(this.slot(statement).file.inode, number('size')));
        return;
      case 'fallocate':
        this.fallocate(statement);
        return;
      case 'fsync':
        lab.run(this.slot(statement).file.fsync(false));
        return;
      case 'sync':
      case 'drop':
        lab.run(fileSystem.sync());
        if (verb === 'drop') this.dropCaches();
        return;
      case 'fill':
        this.fill(this.slot(statement), number('leave'));
        return;
      case 'statfs':
      case 'map':
      case 'set':
      case 'rawtrace':
        return;
      default:
        throw new Error(`not in a list of requests: ${statement.line}`);
    }
  }

  private interleave(statement: Statement): void {
    const { words } = statement;
    const chunk = numberOf(words.get('chunk') ?? '0');
    for (let turn = 0; turn < numberOf(words.get('n') ?? '0'); turn++) {
      for (const key of ['s', 't']) {
        const name = words.get(key) ?? '';
        const slot = this.slots.get(name);
        if (slot !== undefined)
          this.put(slot.path, turn * chunk, chunk, INTERLEAVED_ID + Number(name));
      }
    }
  }

  /** fallocate(2) where the file system of the recipe's kernel has it: ext2 and others say EOPNOTSUPP there. */
  private fallocate(statement: Statement): void {
    const { file } = this.slot(statement);
    const { words } = statement;
    const offset = numberOf(words.get('off') ?? '0');
    const length = numberOf(words.get('len') ?? '0');
    if (this.fileSystem.moduleId === 'ext2') return;
    const mode = { keep: 'keep-size', punch: 'punch', zero: 'zero' }[words.get('mode') ?? ''];
    const { fallocate } = this.fileSystem;
    if (fallocate === undefined) return;
    const task = fallocate.call(
      this.fileSystem,
      file.inode,
      (mode ?? 'allocate') as 'allocate',
      offset,
      length,
    );
    this.lab.run(task);
  }

  private dropCaches(): void {
    for (const file of this.files.values()) {
      this.runAny(file.inode.mapping.invalidate(0, Number.MAX_SAFE_INTEGER));
    }
  }

  /** Writes until so many bytes are left. */
  private fill(slot: Slot, leaveBytes: number): void {
    const piece = 64 * 1024;
    for (let at = 0; ;) {
      this.lab.run(this.fileSystem.sync());
      const room = this.fileSystem.statfs().freeBytes - leaveBytes;
      if (room < SECTOR_BYTES) return;
      const count = Math.min(piece, Math.ceil(room / 4096) * 4096 > piece ? piece : room);
      const wrote = this.lab.write(slot.file, at, patternOf(INTERLEAVED_ID + 15, at, count));
      if (wrote <= 0) return;
      at += wrote;
    }
  }

  private request(statement: Statement): void {
    const id = this.nextId++;
    const { words } = statement;
    const slot = this.slot(statement);
    const op = words.get('op') ?? '';
    this.lab.kernel.drain();
    this.submitted = [];
    const returned: KernelReturn[] = [];
    const buffers: string[] = [];
    if (op === 'aiobatch') {
      const batch = parseBatch(words.get('ios') ?? '');
      const calls = batch.map((one) =>
        this.start(slot, statement, id, one.isWrite, one.offsetBytes, one.segments, true),
      );
      this.lab.kernel.drain();
      for (const call of calls) {
        returned.push(call.finish());
        if (!call.isWrite) buffers.push(call.sha256());
        call.release();
      }
    } else {
      const isWrite = /^(p?write|aiow)/.test(op);
      const segments = parseSegments(words.get('iov') ?? words.get('len') ?? '0');
      const offset = numberOf(words.get('off') ?? '0');
      const call = this.start(slot, statement, id, isWrite, offset, segments, op.startsWith('aio'));
      returned.push(call.finish());
      if (!call.isWrite) buffers.push(call.sha256());
      call.release();
    }
    const before = this.submitted;
    this.submitted = [];
    const bios = before.map(({ op: kind, sector, sectors, isDirect }) => ({
      op: kind,
      sector,
      sectors,
      where: this.whereIs(slot.path, sector, sectors),
      isDirect,
    }));
    this.lab.run(this.fileSystem.sync());
    this.requests.push({
      statement,
      returned,
      bios,
      buffers,
      sizeBytes: slot.file.inode.sizeBytes,
    });
  }

  private start(
    slot: Slot,
    statement: Statement,
    id: number,
    isWrite: boolean,
    offsetBytes: number,
    segments: readonly Segment[],
    isAsync: boolean,
  ): Call {
    const flags = new Set([...slot.flags, ...(statement.words.get('rwf') ?? '').split(',')]);
    const call = new Call(this.lab, slot.file, id, isWrite, {
      offsetBytes,
      segments,
      isAsync,
      flags,
      isHuge: statement.words.get('buf') === 'huge',
      sizeLimitBytes: numberOf(statement.words.get('fsize') ?? '0'),
    });
    call.start();
    return call;
  }

  private runAny<T>(value: T | Task<T>): T {
    return isTask(value) ? this.lab.run(value) : value;
  }

  /** `file@offset+bytes`: of the request's file first, then of any other. */
  private whereIs(path: string, sector: number, sectors: number): string {
    const { blockSizeBytes } = this.fileSystem;
    const byte = sector * SECTOR_BYTES;
    for (const name of [path, ...this.files.keys()]) {
      for (const { deviceBlock, fileBlock, count } of this.extentsOf(name)) {
        if (deviceBlock === null) continue;
        const first = deviceBlock * blockSizeBytes;
        if (byte < first || byte >= first + count * blockSizeBytes) continue;
        const offset = fileBlock * blockSizeBytes + byte - first;
        return `${name}@${String(offset)}+${String(sectors * SECTOR_BYTES)}`;
      }
    }
    return 'meta/free';
  }

  /** The file through a cold page cache, page by page, as far as it can be read. */
  private content(statement: Statement): void {
    const path = statement.words.get('path') ?? '';
    const file = this.openFile(path);
    const { sizeBytes } = file.inode;
    const digest = createHash('sha256');
    let readBytes = 0;
    while (readBytes < sizeBytes) {
      const piece = this.lab.read(file, readBytes, Math.min(PAGE, sizeBytes - readBytes));
      if (typeof piece === 'number') break;
      digest.update(piece);
      readBytes += piece.length;
    }
    this.final.push({ file: path, readBytes, sha256: digest.digest('hex') });
  }
}

interface CallOptions {
  readonly offsetBytes: number;
  readonly segments: readonly Segment[];
  readonly isAsync: boolean;
  readonly flags: ReadonlySet<string>;
  readonly isHuge: boolean;
  /** RLIMIT_FSIZE; 0: none. */
  readonly sizeLimitBytes: number;
}

/** One system call with its buffer. */
class Call {
  private result: KernelReturn | null = null;
  private readonly user: UserSegment[] = [];
  private readonly pages: { readonly first: number; readonly count: number }[] = [];

  constructor(
    private readonly lab: FileSystemLab,
    private readonly file: OpenFile,
    private readonly id: number,
    readonly isWrite: boolean,
    private readonly options: CallOptions,
  ) {
    let at = options.offsetBytes;
    for (const segment of options.segments) {
      this.makeSegment(segment, at);
      at += segment.lengthBytes;
    }
  }

  private makeSegment(segment: Segment, fileByte: number): void {
    const { memory } = this.lab;
    const count = Math.max(1, Math.ceil((segment.addressBytes + segment.lengthBytes) / PAGE));
    const first = memory.allocatePages(count);
    if (first < 0) throw new Error('no memory for a buffer');
    this.pages.push({ first, count });
    const addressBytes = first * PAGE + segment.addressBytes;
    const data = this.isWrite
      ? patternOf(
          this.id,
          this.isAppend() ? this.file.inode.sizeBytes : fileByte,
          segment.lengthBytes,
        )
      : new Uint8Array(segment.lengthBytes).fill(POISON);
    memory.bytes.set(data, addressBytes);
    for (const page of segment.absentPages) this.mark(first + page, PAGE_STATE.absent);
    for (const page of segment.readOnlyPages) this.mark(first + page, PAGE_STATE.readOnly);
    this.user.push({ addressBytes, lengthBytes: segment.lengthBytes });
  }
  private isAppend(): boolean {
    return this.options.flags.has('append');
  }
  private mark(page: number, bit: number): void {
    const { state } = this.lab.memory;
    state[page] = (state[page] as number) | bit;
  }

  start(): void {
    const { lab, file, options } = this;
    const { flags, isAsync } = options;
    const segments = this.clipped();
    if (segments === null) {
      this.result = -ERRNO.EFBIG;
      return;
    }
    const iter = new IovIter(lab.memory, this.isWrite ? 'write' : 'read', 'user', segments);
    const iocb: Kiocb = lab.iocb(file.inode, options.offsetBytes, {
      isDirect: flags.has('direct'),
      isDsync: flags.has('dsync') || flags.has('sync'),
      isAppend: flags.has('append'),
      isNowait: flags.has('nowait'),
      onComplete: isAsync ? (_kiocb, result) => (this.result = result) : null,
    });
    const wasContiguous = lab.memory.physicallyContiguous;
    setContiguous(lab, options.isHuge);
    const note = (value: KernelReturn): void => {
      if (value !== -ERRNO.EIOCBQUEUED) this.result = value;
    };
    // read(2) and write(2) of nothing are over before the file system hears of them.
    const value = this.isWrite ? file.write(iocb, iter) : file.read(iocb, iter);
    if (isTask(value)) {
      if (isAsync) lab.kernel.scheduler.spawn('request', value, note);
      else note(lab.run(value));
    } else note(value);
    if (isAsync) lab.kernel.drain();
    setContiguous(lab, wasContiguous);
  }

  /** The segments up to RLIMIT_FSIZE (generic_write_check_limits); null: they begin beyond it. */
  private clipped(): UserSegment[] | null {
    const { sizeLimitBytes, offsetBytes } = this.options;
    if (sizeLimitBytes === 0 || !this.isWrite) return this.user;
    if (offsetBytes >= sizeLimitBytes) return null;
    let left = sizeLimitBytes - offsetBytes;
    return this.user.map((segment) => {
      const lengthBytes = Math.min(left, segment.lengthBytes);
      left -= lengthBytes;
      return { ...segment, lengthBytes };
    });
  }

  finish(): KernelReturn {
    this.lab.kernel.runUntil(() => this.result !== null);
    return this.result ?? 0;
  }

  /** Of what the call says that it read. */
  sha256(): string {
    const digest = createHash('sha256');
    let left = Math.max(0, this.result ?? 0);
    for (const { addressBytes, lengthBytes } of this.user) {
      const count = Math.min(left, lengthBytes);
      digest.update(this.lab.memory.bytes.subarray(addressBytes, addressBytes + count));
      left -= count;
    }
    return digest.digest('hex');
  }

  release(): void {
    const { memory } = this.lab;
    for (const { first, count } of this.pages) {
      for (let page = first; page < first + count; page++) {
        memory.state[page] = PAGE_STATE.allocated;
      }
      memory.freePages(first, count);
    }
  }
}

/** Buffers of which no two neighbouring pages touch in memory, as the collector made them; a huge page is one piece. */
function setContiguous(lab: FileSystemLab, isContiguous: boolean): void {
  Object.assign(lab.memory, { physicallyContiguous: isContiguous });
}

/** Data of request `id` at a place of a file. */
export function patternOf(id: number, fileByte: number, lengthBytes: number): Uint8Array {
  const first = Math.floor(fileByte / 8);
  const words = new Uint8Array(Math.ceil((fileByte + lengthBytes) / 8 - first) * 8);
  const view = new DataView(words.buffer);
  for (let word = 0; word * 8 < words.length; word++) {
    view.setBigUint64(word * 8, (BigInt(id) << 40n) | BigInt(first + word), true);
  }
  return words.subarray(fileByte - first * 8, fileByte - first * 8 + lengthBytes);
}
