// SPDX-License-Identifier: GPL-2.0-only
/** Looks at single things in an image: facts of the file system or of a file, a block, the start of a file. */
import { HostError, isTask, PAGE_BYTES, SECTOR_BYTES, type Task } from '../../base/index.ts';
import { BioGroup, type NamedFact } from '../../vfs/index.ts';
import { kiocb, Piece, PIECE_BYTES } from '../image/content.ts';
import { ioError, namesOf, openFile, taken, walkTo } from '../image/paths.ts';
import type { BlockBytes, PlaceFacts, PreviewBytes } from '../workbench.ts';
import type { OpenPlace } from './place.ts';
import { walkTree } from './tree.ts';

const OWNERS_MAX = 100_000;

const fact = (id: string, title: string, value: string): NamedFact => ({ id, title, value });
const bytesText = (bytes: number): string => `${String(bytes)} bytes`;

/** Facts of the file system, or of a file or folder in it: the module's own, and what every one of them can tell. */
export function* placeFacts(open: OpenPlace, file: string | null): Task<PlaceFacts> {
  const { fileSystem, image } = open;
  const { moduleId: fileSystemId } = fileSystem;
  if (file === null) {
    const own = taken(yield* fileSystem.facts?.(null) ?? nothing(), image, '/');
    return { fileSystemId, facts: own.length > 0 ? own : generalFacts(open) };
  }
  const inode = yield* walkTo(fileSystem, image, file, namesOf(image, file));
  const own = taken(yield* fileSystem.facts?.(inode.inodeNumber) ?? nothing(), image, file);
  const general = [
    fact('kind', 'Kind', inode.kind),
    fact('size', 'Size', bytesText(inode.sizeBytes)),
    fact('inode', 'Inode', String(inode.inodeNumber)),
  ];
  return { fileSystemId, facts: own.length > 0 ? own : general };
}

function* nothing(): Task<{ readonly ok: true; readonly value: readonly NamedFact[] }> {
  return { ok: true, value: [] };
}

function generalFacts({ fileSystem }: OpenPlace): NamedFact[] {
  const { label, sizeBytes, freeBytes, state } = fileSystem.statfs();
  return [
    fact('file-system', 'File system', fileSystem.moduleId),
    fact('label', 'Label', label === '' ? 'none' : label),
    fact('block-size', 'Block size', bytesText(fileSystem.blockSizeBytes)),
    fact('size', 'Size', bytesText(sizeBytes)),
    fact('free', 'Free', bytesText(freeBytes)),
    fact('state', 'State', state),
  ];
}

/** One block: its bytes, and what they are as far as the file system can say. */
export function* blockBytes(open: OpenPlace, deviceBlock: number): Task<BlockBytes> {
  const { fileSystem, image } = open;
  const { blockSizeBytes, device } = fileSystem;
  const offsetBytes = deviceBlock * blockSizeBytes;
  const deviceBytes = device.capacitySectors * SECTOR_BYTES;
  if (offsetBytes >= deviceBytes) {
    throw new HostError({
      code: 'image.no-block',
      message: `there is no block ${String(deviceBlock)}`,
      where: image,
      hint: `Blocks go from 0 to ${String(Math.ceil(deviceBytes / blockSizeBytes) - 1)}, of ${String(blockSizeBytes)} bytes each.`,
      exitCode: 65,
    });
  }
  const bytes = yield* readBytes(
    open,
    offsetBytes,
    Math.min(blockSizeBytes, deviceBytes - offsetBytes),
  );
  const described = yield* fileSystem.describeBlock?.(deviceBlock) ?? unknown();
  const description = described.ok ? described.value : null;
  const owner = description?.range.inodeNumber ?? null;
  return {
    deviceBlock,
    offsetBytes,
    bytes,
    description,
    ownerPath: owner === null ? null : yield* pathOfInode(open, owner),
  };
}

function* unknown(): Task<{ readonly ok: false }> {
  return { ok: false };
}

function* readBytes(open: OpenPlace, offsetBytes: number, lengthBytes: number): Task<Uint8Array> {
  const { kernel, fileSystem, image } = open;
  const { memory } = kernel;
  const pages = Math.ceil(lengthBytes / PAGE_BYTES);
  const first = memory.allocatePages(pages);
  const group = new BioGroup(kernel, fileSystem.device, 'read', 0, 'block to look at');
  for (let at = 0; at < lengthBytes; at += PAGE_BYTES) {
    const page = first + at / PAGE_BYTES;
    group.add(offsetBytes + at, page, 0, Math.min(PAGE_BYTES, lengthBytes - at));
  }
  const status = yield* group.wait();
  if (status < 0) throw ioError(image, `reading at byte ${String(offsetBytes)}`, status);
  const bytes = memory.bytes.slice(first * PAGE_BYTES, first * PAGE_BYTES + lengthBytes);
  memory.freePages(first, pages);
  return bytes;
}

function* pathOfInode(open: OpenPlace, inodeNumber: number): Task<string | null> {
  const { fileSystem } = open;
  if (inodeNumber === fileSystem.rootInodeNumber) return '/';
  const { entries } = yield* walkTree(fileSystem, fileSystem.rootInodeNumber, OWNERS_MAX);
  const found = entries.find((entry) => entry.inodeNumber === inodeNumber);
  return found === undefined ? null : `/${found.path}`;
}

/** Some bytes of a file, and its map. */
export function* previewBytes(
  open: OpenPlace,
  file: string,
  offsetBytes: number,
  lengthBytes: number,
): Task<PreviewBytes> {
  const { fileSystem, image, kernel } = open;
  const opened = yield* openFile(fileSystem, image, file);
  const { inode } = opened;
  const extents = taken(yield* opened.extents(), image, file);
  const start = Math.floor(offsetBytes / PAGE_BYTES) * PAGE_BYTES;
  const end = Math.min(inode.sizeBytes, offsetBytes + lengthBytes);
  const bytes = new Uint8Array(Math.max(0, end - offsetBytes));
  const piece = new Piece(kernel.memory);
  for (let at = start; at < end;) {
    const wanted = Math.min(PIECE_BYTES, Math.ceil((end - at) / PAGE_BYTES) * PAGE_BYTES);
    const started = opened.read(kiocb(inode, at, true), piece.iter('read', wanted));
    const count = isTask(started) ? yield* started : started;
    if (count < 0) throw ioError(`${image}:${file}`, `reading at byte ${String(at)}`, count);
    if (count === 0) break;
    const from = Math.max(0, offsetBytes - at);
    const until = Math.min(count, end - at);
    bytes.set(piece.bytes.subarray(from, until), at + from - offsetBytes);
    at += count;
  }
  return { sizeBytes: inode.sizeBytes, offsetBytes, bytes, extents };
}
