// SPDX-License-Identifier: GPL-2.0-only
/** Facts of the superblock and of an inode, in words, for `stat` and the image's page. */
import type { NamedFact } from '../../vfs/index.ts';
import { INODE, INODE3 } from './layout.ts';
import type { InodeRecord } from './inode.ts';
import { uuidText, type Field } from './record.ts';
import type { Superblock } from './superblock.ts';
import { timeText } from './values.ts';

const fact = (id: string, title: string, value: string): NamedFact => ({ id, title, value });
const bytes = (count: number): string => `${String(count)} bytes`;
const formats = ['device', 'local: inside the inode', 'extent list', 'B+tree of extents'];

export function volumeFacts(superblock: Superblock): NamedFact[] {
  const { geometry, label } = superblock;
  return [
    fact('version', 'Version', `XFS ${String(geometry.version)}`),
    fact('label', 'Label', label),
    fact('uuid', 'UUID', uuidText(geometry.uuid)),
    fact('block-size', 'Block size', bytes(geometry.blockBytes)),
    fact('sector-size', 'Sector size', bytes(geometry.sectorBytes)),
    fact('blocks', 'Blocks', String(geometry.blocksCount)),
    fact('free-blocks', 'Free blocks', String(superblock.freeBlocks)),
    fact('groups', 'Allocation groups', String(geometry.groupCount)),
    fact('group-blocks', 'Blocks a group', String(geometry.groupBlocks)),
    fact('inode-size', 'Inode size', bytes(geometry.inodeBytes)),
    fact('inodes', 'Inodes', String(superblock.inodesCount)),
    fact('free-inodes', 'Free inodes', String(superblock.freeInodes)),
    fact('directory-block-size', 'Directory block size', bytes(geometry.directoryBlockBytes)),
    fact(
      'log',
      'Log',
      `${String(geometry.logBlocks)} blocks from block ${String(geometry.logStart)}, clean`,
    ),
    fact('features', 'Features', geometry.features.join(', ')),
  ];
}

/** `link`: where a symbolic link points. */
export function inodeFacts(inode: InodeRecord, link: string | null): NamedFact[] {
  const { record } = inode;
  const time = (field: Field): string => timeText(record.slice(field.at, 8), inode.isBigTime);
  const mode = (inode.mode & 0o7777).toString(8).padStart(4, '0');
  return [
    fact('inode', 'Inode', String(inode.inodeNumber)),
    fact('kind', 'Kind', inode.kind),
    fact('mode', 'Mode', mode),
    fact('links', 'Links', String(inode.linkCount)),
    fact(
      'owner',
      'Owner',
      `${String(record.number(INODE.uid))}:${String(record.number(INODE.gid))}`,
    ),
    fact('size', 'Size', bytes(inode.sizeBytes)),
    fact('blocks', 'Blocks', String(inode.blocksCount)),
    fact('format', 'Map', formats[inode.data.format] ?? String(inode.data.format)),
    fact('extents', 'Extents', String(inode.data.extentsCount)),
    fact('attributes', 'Extended attributes', inode.attributes === null ? 'none' : 'present'),
    fact('access-time', 'Accessed', time(INODE.atime)),
    fact('modify-time', 'Modified', time(INODE.mtime)),
    fact('change-time', 'Changed', time(INODE.ctime)),
    ...(record.number(INODE.version) === 3
      ? [fact('birth-time', 'Made', time(INODE3.crtime))]
      : []),
    ...(link === null ? [] : [fact('link', 'Points at', link)]),
  ];
}
