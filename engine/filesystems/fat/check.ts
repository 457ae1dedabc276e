// SPDX-License-Identifier: GPL-2.0-only
/**
 * Looking through the whole image, as fsck.fat does: every chain reachable from the root, once; then the table against what was found.
 *
 * What a power cut leaves without harm (`mendImage`) is put right: chains that belong to nothing become free, chains longer than their
 * file are cut, the copies of the FAT are made equal. Anything else is a finding, and fsck's work.
 */
import { type Task } from '../../base/index.ts';
import { isCluster } from './boot-sector.ts';
import { WHOLE_CHAIN, type Chains } from './chains.ts';
import type { FatInode } from './inode.ts';
import { BAD, FREE, FIRST_CLUSTER } from './layout.ts';
import { inOrder, isDots, type Namespace } from './namespace.ts';
import type { FatState } from './state.ts';

export interface Finding {
  readonly rule: string;
  readonly where: string;
}

/** A piece of a chain and whose it is. */
export interface OwnedRun {
  readonly inode: FatInode;
  readonly fileCluster: number;
  readonly cluster: number;
  readonly count: number;
}

export interface Survey {
  readonly findings: Finding[];
  readonly runs: OwnedRun[];
  /** One bit a cluster: some file has it. */
  readonly used: Uint8Array;
  /** In use in the table, and of no file. */
  readonly lost: number[];
  readonly tooLong: FatInode[];
}

const FINDINGS_MAX = 100;
/** Directories below each other; the kernel stops at paths of 4,096 bytes. */
const DEPTH_MAX = 2048;

class Surveyor {
  readonly survey: Survey;
  private readonly directories: { readonly inode: FatInode; readonly depth: number }[] = [];

  constructor(
    private readonly state: FatState,
    private readonly namespace: Namespace,
    private readonly chains: Chains,
  ) {
    const used = new Uint8Array(Math.ceil((state.geometry.clusterCount + FIRST_CLUSTER) / 8));
    this.survey = { findings: [], runs: [], used, lost: [], tooLong: [] };
  }

  private find(rule: string, where: string): void {
    if (this.survey.findings.length < FINDINGS_MAX) this.survey.findings.push({ rule, where });
  }

  *run(): Task<Survey> {
    const root = yield* this.namespace.load(1);
    if (!root.ok) this.find(root.detail ?? root.error, 'root directory');
    else {
      yield* this.claim(root.value);
      this.directories.push({ inode: root.value, depth: 0 });
    }
    for (let next = this.directories.pop(); next !== undefined; next = this.directories.pop()) {
      yield* this.lookInto(next.inode, next.depth);
    }
    yield* this.compareTable();
    return this.survey;
  }

  private *lookInto(directory: FatInode, depth: number): Task<void> {
    const where = `directory ${String(directory.inodeNumber)}`;
    const index = yield* this.namespace.directories.open(directory);
    if (!index.ok) {
      this.find(index.detail ?? `cannot be read: ${index.error}`, where);
      return;
    }
    for (const slot of index.value.orphans)
      this.find('a long name belongs to nothing', `${where}, slot ${String(slot)}`);
    const names = new Set<string>();
    for (const entry of inOrder(index.value)) {
      if (entry.isLabel || isDots(entry)) continue;
      const key = String.fromCharCode(...entry.alias);
      if (names.has(key)) this.find('two entries have one short name', `${where}, ${entry.name}`);
      names.add(key);
      const inode = yield* this.namespace.load(this.namespace.numberOf(directory, entry.entryByte));
      if (!inode.ok) {
        this.find(inode.detail ?? `cannot be read: ${inode.error}`, `${where}, ${entry.name}`);
        continue;
      }
      const isSound = yield* this.claim(inode.value);
      if (inode.value.kind !== 'directory') continue;
      if (depth >= DEPTH_MAX) this.find('directories are too deep', where);
      else if (isSound) this.directories.push({ inode: inode.value, depth: depth + 1 });
    }
  }

  /** Every cluster of a chain belongs to one file. False: it does not, or the chain is broken. */
  private *claim(inode: FatInode): Task<boolean> {
    const { geometry } = this.state;
    const where = `inode ${String(inode.inodeNumber)}`;
    const status = yield* this.chains.walk(inode, WHOLE_CHAIN);
    if (status < 0) this.find('its chain is broken', where);
    const { used, runs } = this.survey;
    for (let at = 0; at < inode.runs.length; at += 3) {
      const [fileCluster, cluster, count] = inode.runs.slice(at, at + 3) as [
        number,
        number,
        number,
      ];
      for (let each = cluster; each < cluster + count; each++) {
        const bit = 1 << (each & 7);
        if (((used[each >> 3] as number) & bit) !== 0) {
          this.crossLinked(each, inode);
          return false;
        }
        used[each >> 3] = (used[each >> 3] as number) | bit;
      }
      runs.push({ inode, fileCluster, cluster, count });
    }
    if (inode.kind !== 'file') return status >= 0;
    const needed = Math.ceil(inode.sizeBytes / geometry.clusterBytes);
    if (inode.walkedClusters < needed && status >= 0)
      this.find('it is longer than its chain', where);
    if (inode.walkedClusters > needed && !inode.hasPreallocation) this.survey.tooLong.push(inode);
    return status >= 0;
  }

  private crossLinked(cluster: number, inode: FatInode): void {
    const other = this.survey.runs.find(
      (run) => cluster >= run.cluster && cluster < run.cluster + run.count,
    );
    const first = other === undefined ? inode : other.inode;
    this.find(
      `cluster ${String(cluster)} belongs to inode ${String(first.inodeNumber)}, too`,
      `inode ${String(inode.inodeNumber)}`,
    );
  }

  private *compareTable(): Task<void> {
    const { table, geometry, pendingFrees } = this.state;
    const pending = new Set<number>();
    for (let at = 0; at < pendingFrees.length; at += 2) {
      for (let each = 0; each < (pendingFrees[at + 1] as number); each++) {
        pending.add((pendingFrees[at] as number) + each);
      }
    }
    const { used, lost } = this.survey;
    let free = 0;
    for (let cluster = FIRST_CLUSTER; isCluster(geometry, cluster); cluster++) {
      let value = table.peek(cluster);
      if (value < 0) {
        const status = yield* table.load(cluster);
        if (status < 0) {
          this.find('the FAT cannot be read', `entry ${String(cluster)}`);
          return;
        }
        value = table.peek(cluster);
      }
      const isUsed = ((used[cluster >> 3] as number) & (1 << (cluster & 7))) !== 0;
      if (value === FREE) free++;
      else if (value !== BAD && !isUsed && !pending.has(cluster)) lost.push(cluster);
    }
    if (free !== this.state.freeClusters) {
      const rule = `${String(free)} clusters are free, counted were ${String(this.state.freeClusters)}`;
      this.find(rule, 'free clusters');
    }
  }
}

/** Looks through everything. Reads all metadata. */
export function* surveyImage(state: FatState, namespace: Namespace, chains: Chains): Task<Survey> {
  return yield* new Surveyor(state, namespace, chains).run();
}

/** Every rule that does not hold. */
export function* checkImage(state: FatState, namespace: Namespace, chains: Chains): Task<Survey> {
  const survey = yield* surveyImage(state, namespace, chains);
  for (const inode of survey.tooLong) {
    const where = `inode ${String(inode.inodeNumber)}`;
    survey.findings.push({ rule: 'its chain is longer than it is', where });
  }
  if (survey.lost.length > 0) {
    const where = `first: cluster ${String(survey.lost[0])}`;
    survey.findings.push({
      rule: `${String(survey.lost.length)} clusters belong to nothing`,
      where,
    });
  }
  return survey;
}

/** After a power cut: puts right in memory what does no harm, for the next commit to write. What is left in `findings` is fsck's. */
export function* mendImage(
  state: FatState,
  namespace: Namespace,
  chains: Chains,
): Task<readonly Finding[]> {
  const survey = yield* surveyImage(state, namespace, chains);
  if (survey.findings.length > 0) return survey.findings;
  for (const inode of survey.tooLong) {
    const keep = Math.ceil(inode.sizeBytes / state.geometry.clusterBytes);
    yield* chains.truncate(inode, keep);
  }
  for (const cluster of survey.lost) {
    state.pendingFrees.push(cluster, 1);
    state.pendingFreeClusters++;
  }
  state.table.markAllDirty();
  state.isInfoDirty = true;
  return [];
}
