// SPDX-License-Identifier: GPL-2.0-only
/**
 * Images that no module here opens, told by their signatures, so that the refusal can say what they are and which command makes of them
 * what the lab opens. The command has the names of the files in it, quoted for a shell.
 *
 * Rules: 1. The list is in the order of trust: long signatures at the start of the file before short ones, what a container says before
 * what may lie in it, and the two bytes 0x55 0xaa, which many things end their first sector with, last of all. 2. `ownModule` tells the
 * formats of modules that refused to mount: their own refusal says more than a signature. 3. At most `START_BYTES` and the last
 * `END_BYTES` are read.
 */
import { HostError, SECTOR_BYTES, type Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { readDeviceBytes, type Kernel } from '../vfs/index.ts';

interface Signature {
  /** `is ...` */
  readonly what: string;
  /** From the start; below 0: from the end. */
  readonly byte: number;
  readonly bytes: readonly number[] | string;
  /** `{image}` and `{raw}` stand for the files. */
  readonly hint: string;
  /** Looked for at so many places, `stepBytes` apart. */
  readonly places?: { readonly count: number; readonly stepBytes: number };
}

const convert = (format: string): string =>
  `Convert it: qemu-img convert -f ${format} -O raw {image} {raw}`;
const unpack = (command: string): string => `Unpack it: ${command}`;
const MAKE =
  'Copy the files to an image that the lab opens (diolab mkfs, diolab put), or use the file system raw.';
const RAID =
  'Assemble it (mdadm --assemble --readonly), and copy what is in it: dd if=/dev/mdN of={raw} bs=1M';
const LVM =
  'Attach it (losetup -P -f --show {image}; vgchange -ay), and copy a volume: dd if=/dev/GROUP/VOLUME of={raw} bs=1M';
const LUKS = 'Open it (cryptsetup open --readonly {image} plain), and copy what is in it: dd if=/dev/mapper/plain of={raw} bs=1M'; // prettier-ignore

/** md keeps it at the start (1.1), at 4 KiB (1.2), or in the last 64 KiB (1.0, and 0.90 where the size is whole 64 KiB). */
const MD_MAGIC = [0xfc, 0x4e, 0x2b, 0xa9];

const CONTAINERS: readonly Signature[] = [
  { what: 'a qcow2 disk', byte: 0, bytes: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], hint: convert('qcow2') },
  { what: 'a qcow2 disk', byte: 0, bytes: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 2], hint: convert('qcow2') },
  { what: 'a qcow disk', byte: 0, bytes: [0x51, 0x46, 0x49, 0xfb], hint: convert('qcow') },
  { what: 'a QED disk', byte: 0, bytes: [0x51, 0x45, 0x44, 0], hint: convert('qed') },
  { what: 'a VMware disk', byte: 0, bytes: 'KDMV', hint: convert('vmdk') },
  { what: 'a VMware disk of an old kind', byte: 0, bytes: 'COWD', hint: convert('vmdk') },
  { what: 'the descriptor of a VMware disk', byte: 0, bytes: '# Disk DescriptorFile', hint: convert('vmdk') },
  { what: 'a VirtualBox disk', byte: 0x40, bytes: [0x7f, 0x10, 0xda, 0xbe], hint: convert('vdi') },
  { what: 'a VHDX disk', byte: 0, bytes: 'vhdxfile', hint: convert('vhdx') },
  { what: 'a VHD disk', byte: 0, bytes: 'conectix', hint: convert('vpc') },
  { what: 'a Parallels disk', byte: 0, bytes: 'WithoutFreeSpace', hint: convert('parallels') },
  { what: 'a Parallels disk', byte: 0, bytes: 'WithouFreSpacExt', hint: convert('parallels') },
  { what: 'an Android sparse image', byte: 0, bytes: [0x3a, 0xff, 0x26, 0xed], hint: 'Convert it: simg2img {image} {raw}' },
  { what: 'compressed by xz', byte: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], hint: unpack('xz --decompress --keep --stdout {image} > {raw}') },
  { what: 'a 7z archive', byte: 0, bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], hint: unpack('7z x {image}') },
  { what: 'compressed by zstd', byte: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], hint: unpack('zstd --decompress {image} -o {raw}') },
  { what: 'compressed by lz4', byte: 0, bytes: [0x04, 0x22, 0x4d, 0x18], hint: unpack('lz4 -d {image} {raw}') },
  { what: 'compressed by lzip', byte: 0, bytes: 'LZIP', hint: unpack('lzip --decompress --keep --stdout {image} > {raw}') },
  { what: 'a zip archive', byte: 0, bytes: [0x50, 0x4b, 3, 4], hint: unpack('unzip {image}') },
  { what: 'compressed by bzip2', byte: 0, bytes: 'BZh', hint: unpack('bunzip2 --keep --stdout {image} > {raw}') },
  { what: 'compressed by gzip', byte: 0, bytes: [0x1f, 0x8b, 8], hint: unpack('gunzip --stdout {image} > {raw}') },
  { what: 'a tar archive', byte: 257, bytes: 'ustar', hint: unpack('tar -xf {image}') },
  { what: 'a VHD disk of fixed size', byte: -512, bytes: 'conectix', hint: convert('vpc') },
  { what: 'a macOS disk image', byte: -512, bytes: 'koly', hint: convert('dmg') },
]; // prettier-ignore

const VOLUMES: readonly Signature[] = [
  { what: 'an encrypted LUKS volume', byte: 0, bytes: [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe], hint: LUKS },
  { what: 'an encrypted BitLocker volume', byte: 3, bytes: '-FVE-FS-', hint: MAKE },
  { what: 'a physical volume of LVM', byte: 24, bytes: 'LVM2 001', hint: LVM, places: { count: 4, stepBytes: 512 } },
  { what: 'a member of a RAID array (md)', byte: 4096, bytes: MD_MAGIC, hint: RAID },
  { what: 'a member of a RAID array (md)', byte: 0, bytes: MD_MAGIC, hint: RAID },
  { what: 'a member of a RAID array (md)', byte: -65536, bytes: MD_MAGIC, hint: RAID, places: { count: 15, stepBytes: 4096 } },
  { what: 'a member of a ZFS pool', byte: 0x20000, bytes: [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0], hint: MAKE, places: { count: 128, stepBytes: 1024 } },
  { what: 'a swap area', byte: 4086, bytes: 'SWAPSPACE2', hint: 'It holds no files: use the file system raw.' },
  { what: 'a swap area', byte: 4086, bytes: 'SWAP-SPACE', hint: 'It holds no files: use the file system raw.' },
  { what: 'a bcache device', byte: 4120, bytes: [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81], hint: MAKE },
  { what: 'a bcachefs file system', byte: 4120, bytes: [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9], hint: MAKE },
  { what: 'a ReiserFS file system', byte: 0x10034, bytes: 'ReIsEr', hint: MAKE },
  { what: 'a CD image (ISO 9660)', byte: 0x8001, bytes: 'CD001', hint: MAKE },
  { what: 'a UDF file system', byte: 0x8001, bytes: 'BEA01', hint: MAKE },
  { what: 'a JFS file system', byte: 0x8000, bytes: 'JFS1', hint: MAKE },
  { what: 'a squashfs file system', byte: 0, bytes: 'hsqs', hint: 'Unpack it: unsquashfs {image}' },
  { what: 'a cramfs file system', byte: 0, bytes: [0x45, 0x3d, 0xcd, 0x28], hint: MAKE },
  { what: 'an APFS container', byte: 32, bytes: 'NXSB', hint: MAKE },
  { what: 'an NTFS file system', byte: 3, bytes: 'NTFS    ', hint: MAKE },
  { what: 'an exFAT file system', byte: 3, bytes: 'EXFAT   ', hint: MAKE },
  { what: 'an F2FS file system', byte: 1024, bytes: [0x10, 0x20, 0xf5, 0xf2], hint: MAKE },
  { what: 'an EROFS file system', byte: 1024, bytes: [0xe2, 0xe1, 0xf5, 0xe0], hint: MAKE },
  { what: 'an HFS+ file system', byte: 1024, bytes: [0x48, 0x2b, 0, 4], hint: MAKE },
  { what: 'an HFSX file system', byte: 1024, bytes: [0x48, 0x58, 0, 5], hint: MAKE },
  { what: 'a NILFS2 file system', byte: 1030, bytes: [0x34, 0x34], hint: MAKE },
  { what: 'a disk or a loader whose partition table is empty', byte: 510, bytes: [0x55, 0xaa], hint: 'Look at it with sfdisk --dump {image}; or use the file system raw.' },
]; // prettier-ignore

/** Formats of modules here. */
const OWN: readonly (Omit<Signature, 'hint' | 'what'> & { readonly moduleId: string })[] = [
  { moduleId: 'btrfs', byte: 0x10040, bytes: '_BHRfS_M' },
  { moduleId: 'xfs', byte: 0, bytes: 'XFSB' },
  { moduleId: 'fat', byte: 82, bytes: 'FAT32   ' },
  { moduleId: 'fat', byte: 54, bytes: 'FAT1' },
  { moduleId: 'ext4', byte: 0x438, bytes: [0x53, 0xef] },
];

const START_BYTES = 0x40000;
const END_BYTES = 65536;

interface Ends {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

function* readEnds(kernel: Kernel, device: BlockDevice): Task<Ends> {
  const unit = device.limits.logicalBlockBytes;
  const sizeBytes = Math.floor((device.capacitySectors * SECTOR_BYTES) / unit) * unit;
  const nothing = new Uint8Array(0);
  const start = yield* readDeviceBytes(kernel, device, 0, Math.min(START_BYTES, sizeBytes));
  const endBytes = Math.min(END_BYTES, sizeBytes);
  const end = yield* readDeviceBytes(kernel, device, sizeBytes - endBytes, endBytes);
  return {
    start: typeof start === 'number' ? nothing : start,
    end: typeof end === 'number' ? nothing : end,
  };
}

/** The module whose format it is, wherever it is damaged or has what the module refuses; null: none's. */
export function* ownModule(kernel: Kernel, device: BlockDevice): Task<string | null> {
  const ends = yield* readEnds(kernel, device);
  if (CONTAINERS.some((signature) => matches(ends, signature))) return null;
  return OWN.find((signature) => matches(ends, signature))?.moduleId ?? null;
}

/** A refusal for a device that no module knows. `path`: the image's file, for the command. */
export function* describeForeign(
  kernel: Kernel,
  device: BlockDevice,
  path: string = device.name,
): Task<HostError> {
  const ends = yield* readEnds(kernel, device);
  const found = [...CONTAINERS, ...VOLUMES].find((signature) => matches(ends, signature));
  const isEmpty = ends.start.every((byte) => byte === 0);
  return new HostError({
    code: 'image.unknown-file-system',
    message:
      found !== undefined
        ? `${device.name} is ${found.what}, which the lab does not open`
        : isEmpty
          ? `${device.name} holds no file system: it starts with zeros`
          : `${device.name} holds no file system that the lab knows`,
    where: device.name,
    hint: found === undefined ? 'Make an image with diolab mkfs, or use the file system raw.' : filled(found.hint, path),
    exitCode: 65,
  }); // prettier-ignore
}

function matches({ start, end }: Ends, signature: Omit<Signature, 'hint' | 'what'>): boolean {
  const { byte, bytes, places = { count: 1, stepBytes: 0 } } = signature;
  const wanted =
    typeof bytes === 'string' ? Array.from(bytes, (character) => character.charCodeAt(0)) : bytes;
  const within = byte < 0 ? end : start;
  const first = byte < 0 ? end.length + byte : byte;
  for (let place = 0; place < places.count; place++) {
    const at = first + place * places.stepBytes;
    if (at >= 0 && wanted.every((value, index) => within[at + index] === value)) return true;
  }
  return false;
}

/** The hint with the names of the files; the raw one lies beside the image and has its name without the endings of containers. */
function filled(hint: string, path: string): string {
  const endings = /\.(qcow2?|qed|vmdk|vdi|vhdx?|hdd|dmg|simg|img|raw|iso|bin|gz|bz2|xz|zst|lz4|lz|zip|7z)$/i;
  let stem = path;
  while (endings.test(stem)) stem = stem.replace(endings, '');
  const text = hint.replaceAll('{image}', quoted(path)).replaceAll('{raw}', quoted(`${stem}.raw.img`));
  // Behind a command a full stop would be taken for a part of it.
  return hint.includes('{') ? text : hint;
} // prettier-ignore

/** For a POSIX shell; as it is where no character means anything. */
function quoted(path: string): string {
  return /^[\w./:@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
