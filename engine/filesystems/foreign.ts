// SPDX-License-Identifier: GPL-2.0-only
/**
 * Images that no module here opens, told by their signatures, so that the refusal can say what they are and what would be right.
 * A signature is looked for at one place; the list is in the order of how sure it is.
 */
import { HostError, PAGE_BYTES, SECTOR_BYTES, type Task } from '../base/index.ts';
import type { BlockDevice } from '../block/index.ts';
import { BioGroup, type Kernel } from '../vfs/index.ts';

interface Signature {
  readonly what: string;
  readonly byte: number;
  readonly bytes: readonly number[] | string;
  readonly hint: string;
}

const CONVERT = 'Convert it: qemu-img convert -O raw IMAGE RAW.';
const CHOOSE = 'Copy the partition out of it, or make an image with diolab mkfs.';
const MAKE = 'Make an image with diolab mkfs, or use the file system raw.';

const signatures: readonly Signature[] = [
  { what: 'a qcow2 disk', byte: 0, bytes: [0x51, 0x46, 0x49, 0xfb], hint: CONVERT },
  { what: 'a VMware disk', byte: 0, bytes: 'KDMV', hint: CONVERT },
  { what: 'a VirtualBox disk', byte: 0x40, bytes: [0x7f, 0x10, 0xda, 0xbe], hint: CONVERT },
  { what: 'a VHDX disk', byte: 0, bytes: 'vhdxfile', hint: CONVERT },
  { what: 'compressed by gzip', byte: 0, bytes: [0x1f, 0x8b], hint: 'Unpack it: gunzip IMAGE.' },
  { what: 'compressed by bzip2', byte: 0, bytes: 'BZh', hint: 'Unpack it: bunzip2 IMAGE.' },
  {
    what: 'compressed by xz',
    byte: 0,
    bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a],
    hint: 'Unpack it: unxz IMAGE.',
  },
  {
    what: 'compressed by zstd',
    byte: 0,
    bytes: [0x28, 0xb5, 0x2f, 0xfd],
    hint: 'Unpack it: unzstd IMAGE.',
  },
  { what: 'an encrypted LUKS volume', byte: 0, bytes: 'LUKS', hint: MAKE },
  { what: 'a squashfs file system', byte: 0, bytes: 'hsqs', hint: MAKE },
  { what: 'a btrfs file system', byte: 0x10040, bytes: '_BHRfS_M', hint: MAKE },
  { what: 'an NTFS file system', byte: 3, bytes: 'NTFS    ', hint: MAKE },
  { what: 'an exFAT file system', byte: 3, bytes: 'EXFAT   ', hint: MAKE },
  { what: 'a FAT file system', byte: 54, bytes: 'FAT', hint: MAKE },
  { what: 'a FAT32 file system', byte: 82, bytes: 'FAT32', hint: MAKE },
  { what: 'a CD image', byte: 0x8001, bytes: 'CD001', hint: MAKE },
  { what: 'a disk with GPT partitions', byte: 512, bytes: 'EFI PART', hint: CHOOSE },
  { what: 'a disk with an LVM volume', byte: 536, bytes: 'LVM2 001', hint: MAKE },
  { what: 'a disk with MBR partitions', byte: 510, bytes: [0x55, 0xaa], hint: CHOOSE },
];

const LOOK_BYTES = 0x11000;

/** A refusal for a device that no module knows. */
export function* describeForeign(kernel: Kernel, device: BlockDevice): Task<HostError> {
  const pages = Math.ceil(Math.min(LOOK_BYTES, device.capacitySectors * SECTOR_BYTES) / PAGE_BYTES);
  const first = kernel.memory.allocatePages(pages);
  const bytes = first < 0 ? new Uint8Array(0) : yield* readStart(kernel, device, first, pages);
  if (first >= 0) kernel.memory.freePages(first, pages);
  const found = signatures.find((signature) => matches(bytes, signature));
  const isEmpty = bytes.every((byte) => byte === 0);
  return new HostError({
    code: 'image.unknown-file-system',
    message:
      found !== undefined
        ? `${device.name} is ${found.what}, which the lab does not open`
        : isEmpty
          ? `${device.name} holds no file system: it starts with zeros`
          : `${device.name} holds no file system that the lab knows`,
    where: device.name,
    hint: found?.hint ?? MAKE,
    exitCode: 65,
  });
}

function* readStart(
  kernel: Kernel,
  device: BlockDevice,
  firstPage: number,
  pages: number,
): Task<Uint8Array> {
  const length = Math.min(pages * PAGE_BYTES, device.capacitySectors * SECTOR_BYTES);
  const group = new BioGroup(kernel, device, 'read', 0, 'signatures');
  for (let at = 0; at < length; at += PAGE_BYTES) {
    group.add(at, firstPage + at / PAGE_BYTES, 0, Math.min(PAGE_BYTES, length - at));
  }
  if ((yield* group.wait()) < 0) return new Uint8Array(0);
  const start = firstPage * PAGE_BYTES;
  return kernel.memory.bytes.slice(start, start + length);
}

function matches(bytes: Uint8Array, signature: Signature): boolean {
  const wanted =
    typeof signature.bytes === 'string'
      ? Array.from(signature.bytes, (character) => character.charCodeAt(0))
      : signature.bytes;
  return wanted.every((byte, index) => bytes[signature.byte + index] === byte);
}
