// SPDX-License-Identifier: GPL-2.0-only
/** The answers of the image workbench as text: pure functions from the contract's data to lines. */
import {
  BLOCK_USES,
  type BlockUse,
  type BlockView,
  type Fragmentation,
  type FsckResult,
  type ImageLayout,
  type PartitionTable,
  type PlaceFacts,
  type SnapshotInfo,
} from '../contract/index.ts';
import { bytesText } from './quantities.ts';

/** A character for each use, and its colour among the terminal's sixteen; no two of one colour have characters that look alike. */
const MARKS: Readonly<Record<BlockUse, readonly [string, number, string]>> = {
  free: ['.', 90, 'free'],
  data: ['#', 34, 'data'],
  unwritten: ['u', 36, 'allocated, never written'],
  directory: ['d', 33, 'directory'],
  map: ['m', 35, 'block map or extent node'],
  superblock: ['S', 31, 'superblock'],
  descriptors: ['G', 31, 'group descriptors'],
  bitmap: ['b', 95, 'bitmap'],
  inodes: ['i', 32, 'inodes'],
  fat: ['F', 32, 'file allocation table'],
  tree: ['t', 35, 'tree of the file system'],
  journal: ['j', 93, 'journal'],
  reserved: ['r', 37, 'reserved'],
  outside: ['x', 90, 'outside the file system'],
};
/** Free and used blocks in one cell. */
const MIXED = [':', 94, 'some of it used'] as const;

const painted = (mark: string, colour: number, isColoured: boolean): string =>
  isColoured ? `\x1b[${String(colour)}m${mark}\x1b[39m` : mark;

type Cell = BlockUse | 'mixed';

/** What each cell of `cells` equal parts of the image shows: the use of most of its blocks. */
export function cellsOf(layout: ImageLayout, cells: number): Cell[] {
  const { blockCount, start, count, use } = layout;
  const perCell = Math.max(1, Math.ceil(blockCount / cells));
  const sums = Array.from(
    { length: Math.ceil(blockCount / perCell) },
    () => new Map<number, number>(),
  );
  start.forEach((first, index) => {
    const end = first + (count[index] as number);
    for (let at = first; at < end;) {
      const cell = Math.floor(at / perCell);
      const until = Math.min(end, (cell + 1) * perCell);
      const sum = sums[cell];
      const kind = use[index] as number;
      sum?.set(kind, (sum.get(kind) ?? 0) + until - at);
      at = until;
    }
  });
  return sums.map((sum) => {
    const [most] = [...sum].sort((a, b) => b[1] - a[1])[0] ?? [0];
    const found = BLOCK_USES[most] ?? 'free';
    return found === 'free' && sum.size > 1 ? 'mixed' : found;
  });
}

/** The block map of a whole image, `width` characters wide, with its legend. */
export function layoutText(layout: ImageLayout, width: number, isColoured: boolean): string {
  const { blockCount, blockSizeBytes } = layout;
  const perLine = Math.max(16, width - 12);
  const rows = Math.min(40, Math.ceil(blockCount / perLine));
  const cells = cellsOf(layout, rows * perLine);
  const perCell = Math.max(1, Math.ceil(blockCount / (rows * perLine)));
  const lines = [
    `${layout.fileSystemId}, ${String(blockCount)} blocks of ${String(blockSizeBytes)} bytes, ${String(perCell)} ${perCell === 1 ? 'block' : 'blocks'} a character`,
  ];
  for (let at = 0; at < cells.length; at += perLine) {
    const marks = cells.slice(at, at + perLine).map((cell) => {
      const [mark, colour] = cell === 'mixed' ? MIXED : MARKS[cell];
      return painted(mark, colour, isColoured);
    });
    lines.push(`${String(at * perCell).padStart(10)}  ${marks.join('')}`);
  }
  const shown = new Set(cells);
  const legend = [...BLOCK_USES, 'mixed' as const]
    .filter((cell) => shown.has(cell))
    .map((cell) => {
      const [mark, colour, words] = cell === 'mixed' ? MIXED : MARKS[cell];
      return `${painted(mark, colour, isColoured)} ${words}`;
    });
  return `${lines.join('\n')}\n\n${legend.join('   ')}\n`;
}

/** Facts, a line each. */
export function placeFactsText({ fileSystemId, facts }: PlaceFacts): string {
  const width = Math.max(11, ...facts.map(({ title }) => title.length));
  const row = (title: string, value: string): string => `${title.padEnd(width)}  ${value}\n`;
  return (
    row('File system', fileSystemId) +
    facts
      .filter(({ id }) => id !== 'file-system')
      .map(({ title, value }) => row(title, value))
      .join('')
  );
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${String(Math.round((1000 * part) / whole) / 10)} %`;

export function fragmentationText(found: Fragmentation): string {
  const lines = [
    `free space     ${bytesText(found.freeBytes)} in ${String(found.freeExtents)} pieces, the largest ${bytesText(found.largestFreeBytes)}`,
    `files          ${String(found.files)}, ${String(found.fragmentedFiles)} of more than one extent (${percent(found.fragmentedFiles, found.files)})`,
    `extents        ${String(found.extents)}`,
    '',
    'free pieces below      number          bytes',
    ...found.freeBins.map(
      ({ belowBytes, extents, bytes }) =>
        `${(belowBytes >= 2 ** 50 ? 'all others' : bytesText(belowBytes)).padStart(17)} ${String(extents).padStart(11)} ${bytesText(bytes).padStart(14)}`,
    ),
  ];
  if (found.worst.length > 0) {
    lines.push('', '   extents           size  file');
    for (const { path, sizeBytes, extents } of found.worst) {
      lines.push(`${String(extents).padStart(10)} ${bytesText(sizeBytes).padStart(14)}  ${path}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Sixteen bytes a line, in hex and as ASCII; lines that repeat are left out, as hexdump does. */
export function hexText(bytes: Uint8Array): string {
  const lines: string[] = [];
  let before = '';
  let isSkipping = false;
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    if (hex === before && at + 16 < bytes.length) {
      if (!isSkipping) lines.push('*');
      isSkipping = true;
      continue;
    }
    [before, isSkipping] = [hex, false];
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'));
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${text.join('')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** One block: what it is, the fields of its structure, its bytes. */
export function blockText(view: BlockView): string {
  const { deviceBlock, offsetBytes, description, ownerPath } = view;
  const lines = [
    `block ${String(deviceBlock)} at byte ${String(offsetBytes)}: ${description?.title ?? 'what it is, is not known'}`,
  ];
  if (ownerPath !== null) lines.push(`belongs to ${ownerPath}`);
  const fields = description?.fields ?? [];
  const nameWidth = Math.max(4, ...fields.map(({ name }) => name.length));
  const valueWidth = Math.min(40, Math.max(5, ...fields.map(({ value }) => value.length)));
  if (fields.length > 0) lines.push('');
  for (const { offsetBytes: at, lengthBytes, name, value, help } of fields) {
    const place = `${at.toString(16).padStart(6, '0')} +${String(lengthBytes).padEnd(4)}`;
    lines.push(
      `${place} ${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  ${help}`.trimEnd(),
    );
  }
  const bytes = Buffer.from(view.bytesBase64, 'base64');
  return `${lines.join('\n')}\n\n${hexText(bytes)}`;
}

export function partitionsText(table: PartitionTable): string {
  if (table.kind === null) return 'The image has no partition table.\n';
  const lines = [
    `${table.kind.toUpperCase()}, sectors of ${String(table.sectorBytes)} bytes${table.isBackup ? ', read from the backup table' : ''}`,
    ' number          start           size  holds     type',
  ];
  for (const {
    number,
    startBytes,
    sizeBytes,
    fileSystemId,
    typeName,
    label,
    problem,
  } of table.partitions) {
    const name = label === '' ? typeName : `${typeName}, ${label}`;
    const why = problem === null ? '' : ` (${problem})`;
    lines.push(
      `${String(number).padStart(7)} ${String(startBytes).padStart(14)} ${bytesText(sizeBytes).padStart(14)}  ${(fileSystemId ?? '-').padEnd(8)}  ${name}${why}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

export function snapshotsText(snapshots: readonly SnapshotInfo[]): string {
  if (snapshots.length === 0) return 'There are no snapshots.\n';
  return snapshots
    .map(({ id, createdAtUnixMs, sizeBytes, allocatedBytes, method, imagePath, note }) => {
      const when = new Date(createdAtUnixMs).toISOString().replace('T', ' ').slice(0, 19);
      const size = `${bytesText(sizeBytes)} (${bytesText(allocatedBytes)} on the disk${method === 'reflink' ? ', shared' : ''})`;
      return `${id}  ${when} UTC  ${size}  ${imagePath}${note === '' ? '' : `  ${note}`}\n`;
    })
    .join('');
}

/** The tool's own words, then what its exit code means. */
export function fsckText(result: FsckResult): string {
  const { tool, version, exitCode, meaning, state, output, command, snapshotId } = result;
  const lines = [
    `$ ${command}`,
    output.trimEnd(),
    '',
    `${tool} ${version} ended with ${String(exitCode)}: ${meaning}. The file system is ${state}.`,
  ];
  if (snapshotId !== null) lines.push(`The image as it was before: snapshot ${snapshotId}.`);
  return `${lines.join('\n')}\n`;
}
