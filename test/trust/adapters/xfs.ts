// SPDX-License-Identifier: GPL-2.0-only
/**
 * XFS for the trust suites: mkfs.xfs, xfs_repair -n, and mounts by the kernel. We only read it, so images begin with a tree that
 * mkfs.xfs itself makes of a protofile.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FsckVerdict, ImageVariant, SuiteId, TrustAdapter } from './contract.ts';
import { runProgram } from './programs.ts';
import { XfsStructures } from './xfs-structures.ts';

const MIB = 1024 * 1024;
/** Enough for a directory with hashes of its own in blocks of 1 KiB. */
const ENTRIES = 60;

/** mkfs.xfs makes images below 300 MiB only where its own tests ask for it, which is said in the environment. */
const SMALL = ['TEST_DIR=1', 'TEST_DEV=1', 'QA_CHECK_FS=1'] as const;

/** The protofile, made when this module is loaded and gone with the process: mkfs.xfs copies regular files from paths in it. */
function makeProtofile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'diolab-xfs-proto-'));
  process.on('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const source = join(folder, 'source');
  writeFileSync(source, new Uint8Array(40_000).fill(0x5a));
  const entries = Array.from(
    { length: ENTRIES },
    (_, index) => `entry-with-a-longer-name-${String(index)} ---644 0 0 ${source}`,
  );
  const path = join(folder, 'protofile');
  writeFileSync(
    path,
    [
      '/dev/null',
      '0 0',
      'd--755 0 0',
      `a ---644 0 0 ${source}`,
      'link l--777 0 0 a',
      `long l--777 0 0 ${'x'.repeat(700)}`,
      'short d--755 0 0',
      `b ---644 0 0 ${source}`,
      '$',
      'folder d--755 0 0',
      ...entries,
      '$',
      '$',
      '',
    ].join('\n'),
  );
  return path;
}

function variant(
  sizeBytes: number,
  args: readonly string[],
  suites: readonly SuiteId[],
): ImageVariant {
  return {
    name: ['mkfs.xfs', ...args].join(' '),
    sizeBytes,
    format: null,
    mkfs: ['env', ...SMALL, 'mkfs.xfs', '-q', '-f', ...args, '-p', protofile, '{image}'],
    suites,
  };
}

const protofile = makeProtofile();

function xfsRepair(path: string): FsckVerdict {
  const { status, text } = runProgram('xfs_repair', ['-n', '-f', path]);
  return { isClean: status === 0, isRepaired: false, text: `xfs_repair -n: ${text}` };
}

export const xfs: TrustAdapter = {
  moduleId: 'xfs',
  tools: ['xfsprogs'],
  variants: [
    variant(24 * MIB, [], ['hostile']),
    variant(36 * MIB, ['-b', 'size=1024', '-m', 'rmapbt=1', '-d', 'agcount=2'], ['hostile']),
    variant(48 * MIB, [], ['maps']),
    variant(48 * MIB, ['-b', 'size=1024', '-m', 'rmapbt=1'], ['maps']),
  ],
  fsck: xfsRepair,
  repair: null,
  mountType: 'xfs',
  fill: null,
  map: null,
  blockBytes: (image) => XfsStructures.blockBytes(image),
  structures: (image) => new XfsStructures(image).all(),
  orderMutants: [],
};
