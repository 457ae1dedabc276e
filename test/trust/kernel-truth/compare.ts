// SPDX-License-Identifier: GPL-2.0-only
/** What a kernel answered to a recipe beside what our engine answered: differences by request, none hidden. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../../engine/base/index.ts';
import { FileSystemLab } from '../../support/file-system-lab.ts';
import { numberOf, parseRecipe } from './recipe.ts';
import { RecipeRun, type OurRequest, type RecipeLab, type TruthMaps } from './runner.ts';

const FOLDER = join(import.meta.dirname, '../../golden/kernel-truth');
const ARENA_PAGES = 32_768;

type TruthBio = readonly [
  rwbs: string,
  sector: number,
  sectors: number,
  thread?: string,
  where?: string,
];
interface TruthRequest {
  readonly id?: number;
  readonly op?: string;
  readonly note?: string;
  readonly file?: string;
  readonly ret?: number;
  readonly ret_errno?: string;
  readonly events?: readonly (readonly [number, number])[];
  readonly bios?: readonly TruthBio[];
  readonly sha256?: string;
  readonly size?: number;
}
export interface Truth extends TruthMaps {
  readonly requests: readonly TruthRequest[];
  readonly final: readonly {
    readonly file: string;
    readonly read: number;
    readonly sha256: string;
  }[];
}

/**
 * What can differ. Of bios: `allocation` where they are the same but for a seam that one image has between two blocks and the other has
 * not, `page-cache` where only transfers of the page cache differ (readahead, or how its pages are cut into bios), `flush` where only flushes do.
 */
export const MATTERS = [
  'returned',
  'bios',
  'allocation',
  'page-cache',
  'flush',
  'buffer',
  'size',
  'final',
] as const;
export type Matter = (typeof MATTERS)[number];
export interface Difference {
  readonly matter: Matter;
  /** 0: at the end. */
  readonly request: number;
  readonly title: string;
  readonly kernel: string;
  readonly ours: string;
}
export interface Comparison {
  readonly name: string;
  readonly requestCount: number;
  readonly differences: readonly Difference[];
}

export function readTruth(name: string): Truth {
  return JSON.parse(readFileSync(join(FOLDER, 'results', `${name}.json`), 'utf8')) as Truth;
}
export function readRecipe(name: string) {
  return parseRecipe(readFileSync(join(FOLDER, 'recipes', `${name}.recipe`), 'utf8'));
}

/** The image of a recipe by our own format, mounted. */
export function recipeLab(
  name: string,
  moduleId: string,
  options: Readonly<Record<string, unknown>> | null,
): RecipeLab {
  const { head } = readRecipe(name);
  const sizeBytes = numberOf((head.get('size') ?? '0').toLowerCase());
  const lab = FileSystemLab.blank(sizeBytes, {
    arenaPages: ARENA_PAGES,
    inline: false,
    withCallers: true,
  });
  Object.assign(lab.disk, {
    limits: { ...lab.disk.limits, logicalBlockBytes: Number(head.get('lbs') ?? 512) },
  });
  if (options !== null) lab.format(moduleId, options);
  return { lab, fileSystem: lab.mount(moduleId) };
}

export function compareRecipe(
  name: string,
  moduleId: string,
  options: Readonly<Record<string, unknown>> | null,
): Comparison {
  const truth = readTruth(name);
  const run = new RecipeRun(readRecipe(name), truth, recipeLab(name, moduleId, options));
  run.run();
  const theirs = truth.requests.filter(({ op }) => op !== undefined);
  const differences: Difference[] = [];
  for (const [index, ours] of run.requests.entries()) {
    const kernel = theirs[index];
    if (kernel === undefined)
      throw new Error(`${name}: the kernel has no request ${String(index)}`);
    compareRequest(kernel, ours, index + 1, differences);
  }
  for (const { file, readBytes, sha256 } of run.final) {
    const kernel = truth.final.find((one) => one.file === file);
    if (kernel === undefined || kernel.sha256 === sha256) continue;
    differences.push({
      matter: 'final',
      request: 0,
      title: file,
      kernel: `${String(kernel.read)} bytes, ${kernel.sha256.slice(0, 12)}`,
      ours: `${String(readBytes)} bytes, ${sha256.slice(0, 12)}`,
    });
  }
  return { name, requestCount: run.requests.length, differences };
}

function compareRequest(
  kernel: TruthRequest,
  ours: OurRequest,
  request: number,
  differences: Difference[],
): void {
  const title = `${kernel.op ?? ''} ${kernel.note ?? ''}`;
  const add = (matter: Matter, theirs: string, mine: string): void => {
    if (theirs !== mine) differences.push({ matter, request, title, kernel: theirs, ours: mine });
  };
  add('returned', theirReturn(kernel), ours.returned.map(nameReturn).join(' '));
  const theirs = theirBios(kernel);
  const mine = ourBios(ours, kernel);
  if (textOf(theirs) !== textOf(mine)) add(biosMatter(theirs, mine), textOf(theirs), textOf(mine));
  const buffer = ours.buffers[0];
  if (kernel.sha256 !== undefined && buffer !== undefined && ours.buffers.length === 1) {
    add('buffer', kernel.sha256.slice(0, 12), buffer.slice(0, 12));
  }
  const isDevice = kernel.file?.startsWith('/dev/') === true;
  if (kernel.size !== undefined && !isDevice)
    add('size', String(kernel.size), String(ours.sizeBytes));
}

function nameReturn(value: number): string {
  return value < 0 ? (errnoName(value) ?? String(value)) : String(value);
}
function theirReturn(kernel: TruthRequest): string {
  if (kernel.events !== undefined) {
    const byIndex = [...kernel.events].sort(([a], [b]) => a - b);
    return byIndex.map(([, value]) => nameReturn(value)).join(' ');
  }
  return kernel.ret_errno ?? String(kernel.ret);
}

/** A bio to compare; `at`: the byte of the file, -1 where the maps do not know it. */
interface ShownBio {
  readonly op: string;
  readonly file: string;
  readonly at: number;
  readonly sector: number;
  readonly sectors: number;
  readonly isReadahead: boolean;
  /** Of the page cache; known of ours only. */
  readonly isOfCache: boolean;
}

function textOf(bios: readonly ShownBio[]): string {
  return bios
    .map(({ op, file, at, sectors }) => {
      if (op === 'flush') return 'flush';
      return at < 0
        ? `${op} ${String(sectors)}`
        : `${op} ${file}@${String(at)}+${String(sectors * 512)}`;
    })
    .join(', ');
}

function biosMatter(theirs: readonly ShownBio[], mine: readonly ShownBio[]): Matter {
  const isSame = (a: readonly ShownBio[], b: readonly ShownBio[]): boolean =>
    textOf(a) === textOf(b);
  const data = (bios: readonly ShownBio[]): ShownBio[] => bios.filter(({ op }) => op !== 'flush');
  if (isSame(data(theirs), data(mine))) return 'flush';
  const direct = (bios: readonly ShownBio[]): ShownBio[] =>
    data(bios).filter(({ isReadahead }) => !isReadahead);
  const [theirDirect, ourDirect] = [direct(theirs), direct(mine)];
  if (isSame(theirDirect, ourDirect)) return 'page-cache';
  const [a, b] = [withoutSeams(theirDirect, ourDirect), withoutSeams(ourDirect, theirDirect)];
  if (isSame(a, b)) return 'allocation';
  const isBuffered = mine.some(({ isOfCache }) => isOfCache);
  const isCut =
    isSame(joined(theirDirect), joined(ourDirect)) ||
    isSame(joined(data(theirs)), joined(data(mine)));
  return isBuffered && isCut ? 'page-cache' : 'bios';
}

/** Neighbours in the file are one. */
function joined(bios: readonly ShownBio[]): readonly ShownBio[] {
  const found: ShownBio[] = [];
  for (const bio of bios) {
    const last = found.at(-1);
    const isNext =
      last?.op === bio.op && last.file === bio.file && last.at + last.sectors * 512 === bio.at;
    if (isNext) found[found.length - 1] = { ...last, sectors: last.sectors + bio.sectors };
    else found.push(bio);
  }
  return found;
}

/** Bios joined again where the disk made the seam: neighbours in the file, not on the disk, and the other side has none there. */
function withoutSeams(bios: readonly ShownBio[], others: readonly ShownBio[]): readonly ShownBio[] {
  const found: ShownBio[] = [];
  let end = -1;
  for (const bio of bios) {
    const last = found.at(-1);
    const isNext =
      last?.op === bio.op && last.file === bio.file && last.at + last.sectors * 512 === bio.at;
    const isSeam =
      isNext && end !== bio.sector && !others.some(({ at, op }) => at === bio.at && op === bio.op);
    if (isSeam && last !== undefined)
      found[found.length - 1] = { ...last, sectors: last.sectors + bio.sectors };
    else found.push(bio);
    end = bio.sector + bio.sectors;
  }
  return found;
}

/** Bios of file data as the caller submitted them, and flushes; metadata lies elsewhere in another mkfs's image. */
function theirBios(kernel: TruthRequest): ShownBio[] {
  const shown: ShownBio[] = [];
  let isAhead = false;
  for (const [rwbs, sector, sectors, thread = '', where = ''] of kernel.bios ?? []) {
    const op = sectors === 0 ? 'flush' : rwbs.includes('W') ? 'W' : 'R';
    const place = /^(.*)@(\d+)\+/.exec(where);
    // Readahead, and what a page of it needs one block at a time.
    isAhead ||= rwbs.includes('A');
    const bio = { op, sector, sectors, isReadahead: isAhead && op === 'R', isOfCache: false };
    // What a failed write had allocated is free again when the maps are read: only its length is left to compare.
    const isGivenBack =
      kernel.ret_errno !== undefined && op === 'W' && sectors > 2 && thread === '';
    if (place !== null) shown.push({ ...bio, file: place[1] ?? '', at: Number(place[2]) });
    else if (op === 'flush' || where === '' || isGivenBack)
      shown.push({ ...bio, file: '', at: -1 });
  }
  return shown;
}

function ourBios(ours: OurRequest, kernel: TruthRequest): ShownBio[] {
  const isDevice = kernel.file?.startsWith('/dev/') === true;
  const shown: ShownBio[] = [];
  for (const { op, sector, sectors, where, isDirect } of ours.bios) {
    const place = /^(.*)@(\d+)\+/.exec(where);
    const bio = {
      op: op === 'F' ? 'flush' : op,
      sector,
      sectors,
      isReadahead: !isDirect && op === 'R',
      isOfCache: !isDirect,
    };
    if (place !== null && !isDevice)
      shown.push({ ...bio, file: place[1] ?? '', at: Number(place[2]) });
    else if (op === 'F' || isDirect || isDevice) shown.push({ ...bio, file: '', at: -1 });
  }
  return shown;
}
