// SPDX-License-Identifier: GPL-2.0-only
/** What every sector of a FAT image is for, and what its bytes say: block map, hex view, facts. Counts in sectors. */
import { fail, succeed, type Result, type Task } from '../../base/index.ts';
import type {
  BlockDescription,
  BlockRange,
  BlockUse,
  NamedFact,
  StructureField,
} from '../../vfs/index.ts';
import { sectorOfCluster } from './boot-sector.ts';
import type { Chains } from './chains.ts';
import { surveyImage } from './check.ts';
import { errnoResult, slotRecordBytes } from './directory.ts';
import { readEntry } from './fat-table.ts';
import {
  ATTRIBUTE,
  BAD,
  BOOT,
  END,
  ENTRY,
  ENTRY_BYTES,
  ENTRY_DELETED,
  FIRST_CLUSTER,
  FREE,
  INFO,
  ROOT_INODE,
} from './layout.ts';
import { inOrder, type Namespace } from './namespace.ts';
import { shortNameText } from './names.ts';
import { FatRecord } from './record.ts';
import type { FatState } from './state.ts';
import { timeText } from './time.ts';

class RangeList {
  readonly ranges: BlockRange[] = [];

  add(range: BlockRange): void {
    if (range.count <= 0) return;
    const last = this.ranges.at(-1);
    const continues =
      last !== undefined &&
      last.use === range.use &&
      last.inodeNumber === range.inodeNumber &&
      (last.fileBlock === null
        ? range.fileBlock === null
        : last.fileBlock + last.count === range.fileBlock);
    if (!continues) this.ranges.push(range);
    else this.ranges[this.ranges.length - 1] = { ...last, count: last.count + range.count };
  }

  plain(deviceBlock: number, count: number, use: BlockUse): void {
    this.add({ deviceBlock, count, use, inodeNumber: null, fileBlock: null });
  }
}

/** Every sector of the device once, in order. */
export function* layoutOf(
  state: FatState,
  namespace: Namespace,
  chains: Chains,
): Task<Result<readonly BlockRange[]>> {
  const { geometry, device, table } = state;
  const list = new RangeList();
  addHead(state, list);
  const { runs } = yield* surveyImage(state, namespace, chains);
  const sorted = runs.filter((run) => run.cluster > 0).sort((a, b) => a.cluster - b.cluster);
  let next = 0;
  const per = geometry.sectorsPerCluster;
  for (let cluster = FIRST_CLUSTER; cluster < table.entryCount;) {
    const owned = sorted[next];
    const deviceBlock = sectorOfCluster(geometry, cluster);
    if (owned?.cluster === cluster) {
      const { inode, fileCluster, count } = owned;
      const use = inode.kind === 'directory' ? 'directory' : 'data';
      const fileBlock = fileCluster * per;
      const needed = Math.ceil(inode.sizeBytes / geometry.clusterBytes);
      const data = use === 'data' ? Math.max(0, Math.min(count, needed - fileCluster)) : count;
      const { inodeNumber } = inode;
      list.add({ deviceBlock, count: data * per, use, inodeNumber, fileBlock });
      list.add({
        deviceBlock: deviceBlock + data * per,
        count: (count - data) * per,
        use: 'unwritten',
        inodeNumber,
        fileBlock: fileBlock + data * per,
      });
      cluster += count;
      next++;
      continue;
    }
    const status = yield* table.load(cluster);
    if (status < 0) return errnoResult(status);
    const isFree = table.peek(cluster) === FREE;
    const limit = Math.min(table.entryCount, owned?.cluster ?? table.entryCount);
    let end = cluster + 1;
    // A piece of the FAT that is not in memory ends the run; it is loaded in the next round.
    while (end < limit && table.peek(end) >= 0 && (table.peek(end) === FREE) === isFree) end++;
    list.plain(deviceBlock, (end - cluster) * per, isFree ? 'free' : 'reserved');
    cluster = end;
  }
  const end = sectorOfCluster(geometry, table.entryCount);
  const sectors = Math.floor((device.capacitySectors * 512) / geometry.sectorBytes);
  list.plain(end, sectors - end, 'outside');
  return succeed(list.ranges);
}

function addHead(state: FatState, list: RangeList): void {
  const { geometry } = state;
  list.plain(0, 1, 'superblock');
  for (let sector = 1; sector < geometry.reservedSectors; sector++) {
    const isOurs = sector === geometry.infoSector || sector === geometry.backupSector;
    list.plain(sector, 1, isOurs ? 'superblock' : 'reserved');
  }
  list.plain(geometry.reservedSectors, geometry.fatCount * geometry.fatSectors, 'fat');
  list.add({
    deviceBlock: geometry.rootSector,
    count: geometry.rootSectors,
    use: 'directory',
    inodeNumber: ROOT_INODE,
    fileBlock: 0,
  });
}

/** What a sector belongs to, and its fields. */
export function* describeBlock(
  state: FatState,
  namespace: Namespace,
  chains: Chains,
  deviceBlock: number,
): Task<Result<BlockDescription>> {
  const layout = yield* layoutOf(state, namespace, chains);
  if (!layout.ok) return layout;
  const range = layout.value.find(
    (each) => deviceBlock >= each.deviceBlock && deviceBlock < each.deviceBlock + each.count,
  );
  if (range === undefined) return fail('EINVAL', 'the device has no such sector');
  if (deviceBlock >= state.geometry.sectorCount) {
    return succeed({ range, title: 'outside the file system', fields: [] });
  }
  const buffer = yield* state.cache.load(deviceBlock);
  if (typeof buffer === 'number') return errnoResult(buffer);
  const bytes = buffer.bytes.slice();
  state.cache.release(buffer);
  return succeed({ range, ...describeBytes(state, range, deviceBlock, bytes) });
}

function describeBytes(
  state: FatState,
  range: BlockRange,
  deviceBlock: number,
  bytes: Uint8Array,
): Pick<BlockDescription, 'title' | 'fields'> {
  const { geometry } = state;
  const owner = String(range.inodeNumber);
  if (deviceBlock === 0) return { title: 'boot sector', fields: bootFields(state, bytes) };
  if (range.use === 'superblock' && deviceBlock === geometry.infoSector) {
    return { title: 'FSInfo', fields: infoFields(bytes) };
  }
  if (range.use === 'superblock') {
    return { title: 'copy of the boot sector', fields: bootFields(state, bytes) };
  }
  if (range.use === 'fat') {
    const within = deviceBlock - geometry.reservedSectors;
    const copy = Math.floor(within / geometry.fatSectors) + 1;
    const sector = within % geometry.fatSectors;
    const title = `FAT ${String(copy)}, sector ${String(sector)}`;
    return { title, fields: fatFields(state, sector, bytes) };
  }
  if (range.use === 'directory') {
    const what = range.inodeNumber === ROOT_INODE ? 'root directory' : `directory ${owner}`;
    return { title: what, fields: directoryFields(bytes) };
  }
  const titles: Partial<Record<BlockUse, string>> = {
    data: `data of inode ${owner}`,
    unwritten: `allocated for inode ${owner}, beyond its end`,
    free: 'free cluster',
    reserved: deviceBlock < geometry.dataSector ? 'reserved sector' : 'bad or lost cluster',
  };
  return { title: titles[range.use] ?? 'outside the file system', fields: [] };
}

type FieldRow = readonly [name: string, offset: number, length: number, help: string];

function numberFields(bytes: Uint8Array, rows: readonly FieldRow[]): StructureField[] {
  const record = new FatRecord('structure', 0, bytes);
  return rows.map(([name, offsetBytes, lengthBytes, help]) => {
    const text = String.fromCharCode(...bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
    const value =
      lengthBytes === 1
        ? String(record.u8(offsetBytes))
        : lengthBytes === 2
          ? String(record.u16(offsetBytes))
          : lengthBytes === 4
            ? String(record.u32(offsetBytes))
            : JSON.stringify(text.trimEnd());
    return { name, offsetBytes, lengthBytes, value, help };
  });
}

function bootFields(state: FatState, bytes: Uint8Array): StructureField[] {
  const common: FieldRow[] = [
    ['BS_OEMName', BOOT.oemName, 8, 'who formatted it'],
    ['BPB_BytsPerSec', BOOT.sectorBytes, 2, 'bytes per sector'],
    ['BPB_SecPerClus', BOOT.sectorsPerCluster, 1, 'sectors per cluster'],
    ['BPB_RsvdSecCnt', BOOT.reservedSectors, 2, 'sectors before the first FAT'],
    ['BPB_NumFATs', BOOT.fatCount, 1, 'copies of the FAT'],
    ['BPB_RootEntCnt', BOOT.rootEntries, 2, 'entries of the fixed root directory'],
    ['BPB_TotSec16', BOOT.sectors16, 2, 'sectors; 0: see BPB_TotSec32'],
    ['BPB_Media', BOOT.media, 1, 'kind of medium'],
    ['BPB_FATSz16', BOOT.fatSectors16, 2, 'sectors per FAT; 0: FAT32'],
    ['BPB_SecPerTrk', BOOT.sectorsPerTrack, 2, ''],
    ['BPB_NumHeads', BOOT.heads, 2, ''],
    ['BPB_HiddSec', BOOT.hiddenSectors, 4, 'sectors before the partition'],
    ['BPB_TotSec32', BOOT.sectors32, 4, 'sectors'],
  ];
  const old: FieldRow[] = [
    ['BS_Reserved1', BOOT.state, 1, '1: mounted, or not left cleanly'],
    ['BS_VolID', BOOT.serial, 4, 'serial number'],
    ['BS_VolLab', BOOT.label, 11, 'label'],
    ['BS_FilSysType', BOOT.type, 8, ''],
  ];
  const fat32: FieldRow[] = [
    ['BPB_FATSz32', BOOT.fatSectors32, 4, 'sectors per FAT'],
    ['BPB_ExtFlags', BOOT.flags32, 2, 'which copies of the FAT are in use'],
    ['BPB_FSVer', BOOT.version32, 2, ''],
    ['BPB_RootClus', BOOT.rootCluster32, 4, 'first cluster of the root directory'],
    ['BPB_FSInfo', BOOT.infoSector32, 2, 'sector of FSInfo'],
    ['BPB_BkBootSec', BOOT.backupSector32, 2, 'sector of the copy'],
    ['BS_Reserved1', BOOT.state32, 1, '1: mounted, or not left cleanly'],
    ['BS_VolID', BOOT.serial32, 4, 'serial number'],
    ['BS_VolLab', BOOT.label32, 11, 'label'],
    ['BS_FilSysType', BOOT.type32, 8, ''],
  ];
  return numberFields(bytes, [...common, ...(state.geometry.fatBits === 32 ? fat32 : old)]);
}

function infoFields(bytes: Uint8Array): StructureField[] {
  return numberFields(bytes, [
    ['FSI_LeadSig', INFO.lead, 4, ''],
    ['FSI_StrucSig', INFO.structure, 4, ''],
    ['FSI_Free_Count', INFO.freeClusters, 4, 'free clusters; a hint'],
    ['FSI_Nxt_Free', INFO.nextCluster, 4, 'where to look for the next; a hint'],
    ['FSI_TrailSig', INFO.trail, 4, ''],
  ]);
}

function entryText(bits: number, value: number): string {
  const end = bits === 12 ? 0xff8 : bits === 16 ? 0xfff8 : END - 7;
  if (value === FREE) return 'free';
  if (value >= end) return 'end of chain';
  return value === end - 1 || value === BAD ? 'bad' : String(value);
}

function fatFields(state: FatState, sector: number, bytes: Uint8Array): StructureField[] {
  const { fatBits, sectorBytes } = state.geometry;
  const fields: StructureField[] = [];
  const first = Math.ceil((sector * sectorBytes * 8) / fatBits);
  for (let cluster = first; cluster < state.table.entryCount; cluster++) {
    const offsetBytes = Math.floor((cluster * fatBits) / 8) - sector * sectorBytes;
    const lengthBytes = fatBits === 32 ? 4 : 2;
    if (offsetBytes + lengthBytes > sectorBytes) break;
    const value = entryText(fatBits, readEntry(bytes, fatBits, offsetBytes, cluster));
    const help = cluster === 0 ? 'media' : cluster === 1 ? 'marks: clean, no errors' : '';
    fields.push({ name: `FAT[${String(cluster)}]`, offsetBytes, lengthBytes, value, help });
  }
  return fields;
}

function directoryFields(bytes: Uint8Array): StructureField[] {
  const fields: StructureField[] = [];
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    const record = new FatRecord('directory entry', 0, bytes.subarray(at, at + ENTRY_BYTES));
    const first = record.u8(0);
    if (first === 0) continue;
    const slot = String(at / ENTRY_BYTES);
    const isLong = record.u8(ENTRY.attributes) === ATTRIBUTE.longName;
    const name = isLong ? 'LDIR' : 'DIR';
    const start = record.u16(ENTRY.clusterLow) + record.u16(ENTRY.clusterHigh) * 65536;
    const text = JSON.stringify(shortNameText(record.bytes, record.u8(ENTRY.lowerCase)));
    const changed = timeText(record.u16(ENTRY.modifyDate), record.u16(ENTRY.modifyTime));
    const value =
      first === ENTRY_DELETED
        ? 'deleted'
        : isLong
          ? `part ${String(first & 63)} of a long name`
          : `${text}, cluster ${String(start)}, ${String(record.u32(ENTRY.size))} bytes, ${changed}`;
    const help = isLong ? 'long name' : 'name, first cluster, size, last change';
    fields.push({ name: `${name}[${slot}]`, offsetBytes: at, lengthBytes: 32, value, help });
  }
  return fields;
}

/** Facts of the volume (null) or of an inode. */
export function* factsOf(
  state: FatState,
  namespace: Namespace,
  chains: Chains,
  inodeNumber: number | null,
): Task<Result<readonly NamedFact[]>> {
  if (inodeNumber === null) return succeed(yield* volumeFacts(state, namespace));
  const loaded = yield* namespace.load(inodeNumber);
  if (!loaded.ok) return loaded;
  const inode = loaded.value;
  const walked = yield* chains.walk(inode, Number.MAX_SAFE_INTEGER);
  if (walked < 0) return errnoResult(walked);
  const facts = [
    fact('kind', 'Kind', inode.kind),
    fact('size', 'Size', `${String(inode.sizeBytes)} bytes`),
    fact('start', 'First cluster', String(inode.startCluster)),
    fact('clusters', 'Clusters', String(inode.walkedClusters)),
    fact('runs', 'Runs of clusters', String(inode.runs.length / 3)),
  ];
  if (inode.entryByte < 0) return succeed(facts);
  const { sectorBytes } = state.geometry;
  const buffer = yield* state.cache.load(Math.floor(inode.entryByte / sectorBytes));
  if (typeof buffer === 'number') return errnoResult(buffer);
  const record = new FatRecord('entry', 0, slotRecordBytes(buffer, inode.entryByte).slice());
  state.cache.release(buffer);
  const time = (date: number, clock: number): string =>
    timeText(record.u16(date), record.u16(clock));
  facts.push(
    fact('attributes', 'Attributes', attributesText(record.u8(ENTRY.attributes))),
    fact('short-name', 'Short name', shortNameText(record.bytes, 0)),
    fact('entry', 'Entry', `byte ${String(inode.entryByte)} of the image`),
    fact('created', 'Created', time(ENTRY.createDate, ENTRY.createTime)),
    fact('modified', 'Modified', time(ENTRY.modifyDate, ENTRY.modifyTime)),
  );
  return succeed(facts);
}

function fact(id: string, title: string, value: string): NamedFact {
  return { id, title, value };
}

function attributesText(attributes: number): string {
  const names = Object.entries(ATTRIBUTE)
    .filter(([name, bit]) => name !== 'longName' && (attributes & bit) !== 0)
    .map(([name]) => name);
  return names.length === 0 ? 'none' : names.join(', ');
}

function* volumeFacts(state: FatState, namespace: Namespace): Task<NamedFact[]> {
  const { geometry, boot } = state;
  const serial = boot.serial.toString(16).padStart(8, '0').toUpperCase();
  const label = yield* labelOf(state, namespace);
  return [
    fact('type', 'Type', `FAT${String(geometry.fatBits)}`),
    fact('label', 'Label', label === '' ? 'none' : label),
    fact('serial', 'Serial number', `${serial.slice(0, 4)}-${serial.slice(4)}`),
    fact('oem', 'Formatted by', boot.oemName),
    fact('sector-size', 'Sector size', `${String(geometry.sectorBytes)} bytes`),
    fact('cluster-size', 'Cluster size', `${String(geometry.clusterBytes)} bytes`),
    fact('clusters', 'Clusters', String(geometry.clusterCount)),
    fact('free', 'Free clusters', String(state.freeClusters + state.pendingFreeClusters)),
    fact('reserved', 'Reserved sectors', String(geometry.reservedSectors)),
    fact(
      'fats',
      'Copies of the FAT',
      `${String(geometry.fatCount)} of ${String(geometry.fatSectors)} sectors`,
    ),
    fact(
      'root',
      'Root directory',
      geometry.fatBits === 32
        ? `cluster ${String(geometry.rootCluster)}`
        : `${String(geometry.rootEntries)} entries`,
    ),
    fact('state', 'State at mount', state.wasClean ? 'clean' : 'not left cleanly'),
  ];
}

/** The label is an entry of the root directory; the boot sector's is a copy that may be old. */
export function* labelOf(state: FatState, namespace: Namespace): Task<string> {
  const root = yield* namespace.load(ROOT_INODE);
  const index = root.ok ? yield* namespace.directories.open(root.value) : root;
  if (!index.ok) return state.boot.label;
  const entry = inOrder(index.value).find(({ isLabel }) => isLabel);
  return entry === undefined ? state.boot.label : String.fromCharCode(...entry.alias).trimEnd();
}
