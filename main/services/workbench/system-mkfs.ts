// SPDX-License-Identifier: GPL-2.0-only
/**
 * The host's own mkfs, where it is installed: run without a shell on the temporary file of a new image. Options of the lab's module are
 * passed on where the tool has one of the same meaning; what it has not is refused by name.
 */
import { HostError, type OptionValue, type OptionValues } from '../../../engine/base/index.ts';
import { findProgram, requireProgram, runProgramOfHost } from './programs.ts';

interface Maker {
  readonly tool: string;
  readonly debianPackage: string;
  /** Before the options. */
  readonly words: readonly string[];
  /** The words of an option; null: this value is the tool's own choice. */
  readonly options: Readonly<
    Record<string, (value: OptionValue, all: OptionValues) => readonly string[] | null>
  >;
}

const flag = (word: string) => (value: OptionValue) => [word, String(value)];
const extOptions: Maker['options'] = {
  blockSize: flag('-b'),
  inodeSize: flag('-I'),
  bytesPerInode: flag('-i'),
  reservedPercent: flag('-m'),
  label: flag('-L'),
};
const ext = (id: string): Maker => ({
  tool: `mkfs.${id}`,
  debianPackage: 'e2fsprogs',
  words: ['-q', '-F'],
  options: extOptions,
});

/** By the file system's id. */
const MAKERS: Readonly<Record<string, Maker>> = {
  ext2: ext('ext2'),
  ext3: ext('ext3'),
  ext4: ext('ext4'),
  fat: {
    tool: 'mkfs.fat',
    debianPackage: 'dosfstools',
    words: [],
    options: {
      fatBits: (value) => (value === 'auto' ? null : ['-F', String(value)]),
      sectorSize: flag('-S'),
      clusterSize: (value, all) =>
        value === 'auto' ? null : ['-s', String(Number(value) / Number(all['sectorSize'] ?? 512))],
      fatCount: flag('-f'),
      rootEntries: flag('-r'),
      reservedSectors: (value) => (value === 0 ? null : ['-R', String(value)]),
      label: flag('-n'),
    },
  },
  xfs: { tool: 'mkfs.xfs', debianPackage: 'xfsprogs', words: ['-q', '-f'], options: {} },
  btrfs: { tool: 'mkfs.btrfs', debianPackage: 'btrfs-progs', words: ['-q', '-f'], options: {} },
};

/** True where the host has a mkfs for it. */
export const hasSystemMkfs = (fileSystemId: string): boolean => {
  const maker = MAKERS[fileSystemId];
  return maker !== undefined && findProgram(maker.tool) !== null;
};

/** Makes a file system in an existing regular file. Throws `HostError` with what the tool said. */
export async function runSystemMkfs(
  path: string,
  fileSystemId: string,
  given: OptionValues,
  signal?: AbortSignal,
): Promise<void> {
  const maker = MAKERS[fileSystemId];
  if (maker === undefined) {
    throw new HostError({
      code: 'file-system.cannot-format',
      message: `There is no mkfs of the host for ${fileSystemId}`,
      where: fileSystemId,
      hint: `The host's own are used for ${Object.keys(MAKERS).join(', ')}.`,
      exitCode: 65,
    });
  }
  const program = requireProgram(maker.tool, maker.debianPackage);
  const words = [...maker.words, ...optionWords(maker, given), path];
  const { exitCode, output } = await runProgramOfHost(program, words, signal);
  if (exitCode === 0) return;
  throw new HostError({
    code: 'format.system-refused',
    message: `${maker.tool} ended with exit code ${String(exitCode)}: ${output.trim().split('\n').slice(-3).join(' ').slice(0, 400)}`,
    where: path,
    hint: "Change the size or the options, or take the lab's own formatter.",
    exitCode: 65,
  });
}

function optionWords(maker: Maker, given: OptionValues): string[] {
  const words: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    const option = Object.hasOwn(maker.options, name) ? maker.options[name] : undefined;
    if (option === undefined) {
      throw new HostError({
        code: 'options.not-of-system',
        message: `${name} has no counterpart in ${maker.tool}`,
        where: name,
        hint: `It takes ${Object.keys(maker.options).join(', ') || 'no options'} here; leave it out, or take the lab's own formatter.`,
        exitCode: 65,
      });
    }
    words.push(...(option(value, given) ?? []));
  }
  return words;
}
