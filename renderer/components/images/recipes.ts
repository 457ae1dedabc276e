// SPDX-License-Identifier: GPL-2.0-only
/** Fragmentation recipes to begin with, and what they come to in words. Pure. */
import type { FileRecipe, LayoutRecipe } from '../../../main/contract/index.ts';
import { formatBytes, formatCount, joinShown } from '../../format/numbers.ts';

const MIB = 2 ** 20;
/** A file of a recipe never takes more than this share of the image. */
const SHARE_MAX = 0.4;

export interface RecipePreset {
  readonly id: string;
  readonly title: string;
  readonly help: string;
  /** For an image of this size. */
  readonly make: (imageBytes: number) => LayoutRecipe | null;
}
/** A size that fits, whole MiB where there is room for them, else whole 64 KiB. */
function fitting(wantedBytes: number, imageBytes: number): number {
  const most = imageBytes * SHARE_MAX;
  if (wantedBytes <= most) return wantedBytes;
  const unit = most >= 4 * MIB ? MIB : 65536;
  return Math.max(65536, Math.floor(most / unit) * unit);
}
const file = (path: string, sizeBytes: number, change: Partial<FileRecipe> = {}): FileRecipe => ({
  path, sizeBytes, extents: 1, holes: 0, content: 'written', ...change,
}); // prettier-ignore
const recipe = (files: FileRecipe[], freePieceBytes = 0): LayoutRecipe => ({
  files,
  freePieceBytes,
  seed: 1,
});

export const RECIPE_PRESETS: readonly RecipePreset[] = [
  { id: 'none', title: 'No files', help: 'The file system as it is made.', make: () => null },
  { id: 'pieces', title: 'One file in 16 pieces', help: 'Data in 16 extents, apart from each other: a request over an end of one becomes two bios.',
    make: (bytes) => recipe([file('/pieces.bin', fitting(64 * MIB, bytes), { extents: 16 })]) },
  { id: 'sparse', title: 'A sparse file', help: 'Eight holes between the data: what a hole costs.',
    make: (bytes) => recipe([file('/sparse.bin', fitting(64 * MIB, bytes), { holes: 8, extents: 9 })]) },
  { id: 'unwritten', title: 'An unwritten file', help: 'Allocated and never written, where the file system can.',
    make: (bytes) => recipe([file('/unwritten.bin', fitting(64 * MIB, bytes), { content: 'unwritten' })]) },
  { id: 'aged', title: 'Aged free space', help: 'Free space in pieces of 256 KiB: what is written next is cut up.',
    make: (bytes) => recipe([file('/data.bin', fitting(32 * MIB, bytes))], bytes >= 16 * MIB ? 262144 : 65536) },
]; // prettier-ignore

/** `1 file of 64 MiB in 16 extents`: what will be laid out. */
export function recipeText(wanted: LayoutRecipe): string {
  const total = wanted.files.reduce((sum, each) => sum + each.sizeBytes, 0);
  const parts = [
    `${formatCount(wanted.files.length)} ${wanted.files.length === 1 ? 'file' : 'files'}, ${joinShown(formatBytes(total))}`,
  ];
  if (wanted.freePieceBytes > 0) {
    parts.push(`free space in pieces of ${joinShown(formatBytes(wanted.freePieceBytes))}`);
  }
  return parts.join('; ');
}
/** Why a recipe cannot be laid out in an image of this size; null: it may fit. */
export function whyNotRecipe(wanted: LayoutRecipe, imageBytes: number): string | null {
  const paths = new Set<string>();
  for (const each of wanted.files) {
    if (!each.path.startsWith('/') || each.path.endsWith('/')) {
      return `${each.path || 'a file without a path'}: a path begins with a slash and ends with a name`;
    }
    if (paths.has(each.path)) return `${each.path} is there twice`;
    paths.add(each.path);
  }
  const total = wanted.files.reduce((sum, each) => sum + each.sizeBytes, 0);
  return total >= imageBytes ? 'the files are larger than the image' : null;
}
