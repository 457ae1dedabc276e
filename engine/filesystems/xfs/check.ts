// SPDX-License-Identifier: GPL-2.0-only
/** Whether the parts of an XFS agree: trees, counters, owners, names. A small xfs_repair -n; it changes nothing. */
import { HostError, type Task } from '../../base/index.ts';
import { DirectoryReader } from './directory.ts';
import { readExtents } from './extent-list.ts';
import { readFreeHeader, readInodeHeader } from './group-trees.ts';
import { readInodeRecord, type InodeRecord } from './inode.ts';
import { AGF, AGI } from './layout.ts';
import { surveyVolume, type GroupCounts } from './survey.ts';
import type { XfsVolume } from './volume.ts';

export interface Finding {
  readonly rule: string;
  readonly where: string;
}

const FINDINGS_MAX = 100;
/** Directories and their entries that are looked at. */
const INODES_MAX = 100_000;

class Findings {
  readonly list: Finding[] = [];
  add(rule: string, where: string): void {
    if (this.list.length < FINDINGS_MAX) this.list.push({ rule, where });
  }
  readonly damage = (error: HostError): void => {
    this.add(error.message, error.where ?? 'the image');
  };
  *attempt(part: Task<void>): Task<void> {
    try {
      yield* part;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.damage(error);
    }
  }
}

export function* checkVolume(volume: XfsVolume): Task<readonly Finding[]> {
  const findings = new Findings();
  const survey = yield* surveyVolume(volume, findings.damage);
  for (const { deviceBlock, what } of survey.overlaps) {
    findings.add('a block has one owner', `block ${String(deviceBlock)}: ${what}`);
  }
  for (const counts of survey.groups) {
    yield* findings.attempt(checkSpace(volume, counts, findings));
    yield* findings.attempt(checkInodes(volume, counts, findings));
  }
  if (findings.list.length === 0) checkTotals(volume, survey.groups, findings);
  yield* checkNames(volume, findings);
  return findings.list;
}

function* checkSpace(volume: XfsVolume, counts: GroupCounts, findings: Findings): Task<void> {
  const agf = yield* readFreeHeader(volume, counts.group);
  const where = `AGF of group ${String(counts.group)}`;
  const expect = (field: 'freeblks' | 'longest', found: number): void => {
    const said = agf.number(AGF[field]);
    if (said === found) return;
    findings.add(`${field} is ${String(said)}, and its trees say ${String(found)}`, where);
  };
  expect('freeblks', counts.freeBlocks);
  expect('longest', counts.longestFree);
}

function* checkInodes(volume: XfsVolume, counts: GroupCounts, findings: Findings): Task<void> {
  const agi = yield* readInodeHeader(volume, counts.group);
  const where = `AGI of group ${String(counts.group)}`;
  const expect = (field: 'count' | 'freecount', found: number): void => {
    const said = agi.number(AGI[field]);
    if (said === found) return;
    findings.add(`${field} is ${String(said)}, and its tree says ${String(found)}`, where);
  };
  expect('count', counts.inodes);
  expect('freecount', counts.freeInodes);
}

function checkTotals(volume: XfsVolume, groups: readonly GroupCounts[], findings: Findings): void {
  const { superblock } = volume;
  const sum = (of: (counts: GroupCounts) => number): number =>
    groups.reduce((total, counts) => total + of(counts), 0);
  const expect = (field: string, said: number, found: number): void => {
    if (said === found) return;
    const rule = `${field} is ${String(said)}, and its groups say ${String(found)}`;
    findings.add(rule, 'superblock, block 0');
  };
  expect(
    'icount',
    superblock.inodesCount,
    sum(({ inodes }) => inodes),
  );
  expect(
    'ifree',
    superblock.freeInodes,
    sum(({ freeInodes }) => freeInodes),
  );
}

/** Every name leads to an inode in use, of the kind that the entry says. */
function* checkNames(volume: XfsVolume, findings: Findings): Task<void> {
  const queue: number[] = [volume.geometry.rootInode];
  const seen = new Set<number>(queue);
  for (let at = 0; at < queue.length; at++) {
    const number = queue[at] as number;
    yield* findings.attempt(
      (function* () {
        const inode = yield* readInodeRecord(volume, number);
        if (inode === null) {
          findings.add('a name leads to an inode in use', `inode ${String(number)}`);
        } else if (inode.kind === 'directory') {
          yield* checkDirectory(volume, inode, seen, queue, findings);
        }
      })(),
    );
  }
}

function* checkDirectory(
  volume: XfsVolume,
  directory: InodeRecord,
  seen: Set<number>,
  queue: number[],
  findings: Findings,
): Task<void> {
  const extents = yield* readExtents(volume, directory.inodeNumber, directory.data);
  const reader = new DirectoryReader(volume, directory, extents);
  for (const entry of yield* reader.list()) {
    if (seen.has(entry.inodeNumber) || seen.size >= INODES_MAX) continue;
    seen.add(entry.inodeNumber);
    if (entry.kind === null || entry.kind === 'directory') queue.push(entry.inodeNumber);
    else {
      const inode = yield* readInodeRecord(volume, entry.inodeNumber);
      if (inode?.kind !== entry.kind) {
        const where = `inode ${String(entry.inodeNumber)} in directory ${String(directory.inodeNumber)}`;
        findings.add(`an entry for a ${entry.kind} leads to one`, where);
      }
    }
  }
}
