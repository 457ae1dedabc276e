// SPDX-License-Identifier: GPL-2.0-only
/**
 * The file systems' own checkers, run on an image. What is only looked at is opened for reading by the tool itself (`-n`); a repair is
 * asked of those tools that do it unattended, on an image that was copied before.
 *
 * A partition: e2fsck takes an offset behind a question mark. The others check a sparse copy of the partition, and after a repair what
 * differs is written back.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { FsckResult } from '../../contract/workbench.ts';
import { makeFolder, temporaryName } from '../durable.ts';
import { extractRange, writeBack } from './copies.ts';
import { requireProgram, runProgramOfHost, type Ran } from './programs.ts';

interface Checker {
  readonly tool: string;
  readonly debianPackage: string;
  /** Makes it say its version: the first number in what it says. Null: it says so at each run. */
  readonly versionWords: readonly string[] | null;
  check(path: string): readonly string[];
  /** Null: it has no repair that could be done unattended. */
  readonly repair: ((path: string) => readonly string[]) | null;
  /** The image with an offset behind it, where the tool has that. */
  readonly atOffset: ((path: string, bytes: number) => string) | null;
  meaning(exitCode: number): { readonly text: string; readonly state: FsckResult['state'] };
}

/** Bits of e2fsck's exit code, as its manual has them. */
const E2FSCK_BITS: readonly (readonly [number, string])[] = [
  [1, 'errors were corrected'],
  [2, 'errors were corrected, and a mounted file system would need a restart'],
  [4, 'errors were left uncorrected'],
  [8, 'operational error'],
  [16, 'usage or syntax error'],
  [32, 'cancelled'],
  [128, 'shared library error'],
];
const E2FSCK_LEFT = 4 | 8 | 16 | 32 | 128;

const e2fsck: Checker = {
  tool: 'e2fsck',
  debianPackage: 'e2fsprogs',
  versionWords: ['-V'],
  check: (path) => ['-f', '-n', path],
  repair: (path) => ['-f', '-y', path],
  atOffset: (path, bytes) => `${path}?offset=${String(bytes)}`,
  meaning: (exitCode) => {
    const words = E2FSCK_BITS.filter(([bit]) => (exitCode & bit) !== 0).map(([, text]) => text);
    if (words.length === 0) return { text: 'no errors', state: 'clean' };
    const state = (exitCode & E2FSCK_LEFT) === 0 ? 'repaired' : 'damaged';
    return { text: words.join('; '), state };
  },
};
const fsckFat: Checker = {
  tool: 'fsck.fat',
  debianPackage: 'dosfstools',
  versionWords: null,
  check: (path) => ['-n', '-v', path],
  repair: (path) => ['-y', '-w', '-v', path],
  atOffset: null,
  meaning: (exitCode) => {
    if (exitCode === 0) return { text: 'no errors', state: 'clean' };
    if (exitCode === 1)
      return { text: 'recoverable errors, or an inconsistency', state: 'damaged' };
    return { text: exitCode === 2 ? 'usage error' : 'it failed', state: 'damaged' };
  },
};
const xfsRepair: Checker = {
  tool: 'xfs_repair',
  debianPackage: 'xfsprogs',
  versionWords: ['-V'],
  check: (path) => ['-f', '-n', path],
  repair: null,
  atOffset: null,
  meaning: (exitCode) => {
    if (exitCode === 0) return { text: 'no corruption was found', state: 'clean' };
    const text = exitCode === 1 ? 'corruption was found' : 'the log is dirty, or it failed';
    return { text, state: 'damaged' };
  },
};
const btrfsCheck: Checker = {
  tool: 'btrfs',
  debianPackage: 'btrfs-progs',
  versionWords: ['--version'],
  check: (path) => ['check', '--readonly', path],
  repair: null,
  atOffset: null,
  meaning: (exitCode) =>
    exitCode === 0
      ? { text: 'no errors', state: 'clean' }
      : { text: 'errors were found, or it failed', state: 'damaged' },
};

/** By the start of the file system's id: ext2, ext3 and ext4 have one. */
const CHECKERS: readonly (readonly [RegExp, Checker])[] = [
  [/^ext[234]$/, e2fsck],
  [/^fat/, fsckFat],
  [/^xfs$/, xfsRepair],
  [/^btrfs$/, btrfsCheck],
];

function checkerOf(fileSystemId: string, path: string): Checker {
  const found = CHECKERS.find(([ids]) => ids.test(fileSystemId));
  if (found !== undefined) return found[1];
  throw new HostError({
    code: 'fsck.no-checker',
    message: `The lab knows no checker for ${fileSystemId}`,
    where: path,
    hint: 'There are checkers for ext2, ext3, ext4, FAT, XFS and btrfs.',
    exitCode: 65,
  });
}

export interface FsckAsk {
  readonly path: string;
  /** Null: the whole image. */
  readonly range: { readonly startBytes: number; readonly sizeBytes: number } | null;
  readonly fileSystemId: string;
  readonly repair: boolean;
  /** For a copy of a partition. */
  readonly scratchFolder: string;
  /** Called before the first change; gives the snapshot's id. */
  readonly beforeRepair: () => Promise<string>;
}

/** Checks, or repairs. Throws `HostError` where there is no such tool, or the tool has no repair. */
export async function runFsck(ask: FsckAsk, signal?: AbortSignal): Promise<FsckResult> {
  const checker = checkerOf(ask.fileSystemId, ask.path);
  const program = requireProgram(checker.tool, checker.debianPackage);
  if (ask.repair && checker.repair === null) {
    throw new HostError({
      code: 'fsck.no-repair',
      message: `${checker.tool} is only asked to look: a repair of ${ask.fileSystemId} is not for a program to decide`,
      where: ask.path,
      hint: `Work on a copy of the image, and read the manual: man ${checker.tool}`,
      exitCode: 65,
    });
  }
  const snapshotId = ask.repair ? await ask.beforeRepair() : null;
  const { ran, words, isSecondPass } = await onPlace(ask, checker, program, signal);
  const meant = checker.meaning(ran.exitCode);
  const version = await versionOf(program, checker, ran.output);
  const isRepaired = isSecondPass && meant.state === 'clean';
  const state = isRepaired ? 'repaired' : meant.state;
  const text = isRepaired ? 'errors were corrected; a second pass is clean' : meant.text;
  return {
    tool: checker.tool,
    version,
    command: [checker.tool, ...words].map(quoted).join(' '),
    exitCode: ran.exitCode,
    meaning: text,
    state,
    output: ran.output,
    elapsedMs: Math.round(ran.elapsedMs),
    snapshotId,
  };
}

/** As a shell would want it. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

async function versionOf(program: string, checker: Checker, said: string): Promise<string> {
  const { versionWords } = checker;
  const output =
    versionWords === null ? said : (await runProgramOfHost(program, versionWords)).output;
  return /\d+\.\d+(?:\.\d+)*(?:-\w+)?/.exec(output)?.[0] ?? 'unknown';
}

interface Outcome {
  readonly ran: Ran;
  readonly words: readonly string[];
  /** The exit code is that of a look after the repair. */
  readonly isSecondPass: boolean;
}

async function onPlace(
  ask: FsckAsk,
  checker: Checker,
  program: string,
  signal?: AbortSignal,
): Promise<Outcome> {
  const { path, range } = ask;
  if (range === null) return checkOrRepair(ask.repair, checker, program, path, signal);
  // A question mark in the path would be taken for the one before the options.
  if (checker.atOffset !== null && !path.includes('?')) {
    const place = checker.atOffset(path, range.startBytes);
    return checkOrRepair(ask.repair, checker, program, place, signal);
  }
  await makeFolder(ask.scratchFolder);
  const copy = temporaryName(join(ask.scratchFolder, 'partition'));
  try {
    await extractRange(path, range.startBytes, range.sizeBytes, copy, signal);
    const outcome = await checkOrRepair(ask.repair, checker, program, copy, signal);
    if (ask.repair) await writeBack(copy, path, range.startBytes);
    return outcome;
  } finally {
    await rm(copy, { force: true });
  }
}

async function checkOrRepair(
  repair: boolean,
  checker: Checker,
  program: string,
  place: string,
  signal?: AbortSignal,
): Promise<Outcome> {
  const words = repair && checker.repair !== null ? checker.repair(place) : checker.check(place);
  const ran = await runProgramOfHost(program, words, signal);
  // A tool with one code for "there were errors" and "there are errors": a second look says which.
  if (!repair || checker !== fsckFat || ran.exitCode !== 1)
    return { ran, words, isSecondPass: false };
  const again = await runProgramOfHost(program, checker.check(place), signal);
  const output = `${ran.output}\nThe second pass:\n${again.output}`;
  return { ran: { ...ran, exitCode: again.exitCode, output }, words, isSecondPass: true };
}
