// SPDX-License-Identifier: GPL-2.0-only
import { expect, it } from 'vitest';
import { FileSystemLab } from '../../test/support/file-system-lab.ts';
import { describeForeign, ownModule } from './foreign.ts';

const SIZE = 512 * 1024;
type Put = readonly [number, readonly number[] | string];

function refusal(
  puts: readonly Put[],
  path = '/images/disk.img',
): { message: string; hint: string } {
  const lab = new FileSystemLab(new Uint8Array(SIZE));
  for (const [at, bytes] of puts) {
    const from = at < 0 ? SIZE + at : at;
    lab.disk.bytes.set(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, from);
  }
  const error = lab.run(describeForeign(lab.kernel, lab.disk, path));
  expect(lab.pagesInUse).toBe(0);
  return { message: error.message, hint: error.hint ?? '' };
}

const CASES: readonly (readonly [string, Put, string, string])[] = [
  ['qcow2 3', [0, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]], 'a qcow2 disk', 'qemu-img convert -f qcow2 -O raw /images/disk.img /images/disk.raw.img'],
  ['qcow2 2', [0, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 2]], 'a qcow2 disk', '-f qcow2'],
  ['qcow 1', [0, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1]], 'a qcow disk', '-f qcow '],
  ['qed', [0, 'QED\0'], 'a QED disk', '-f qed'],
  ['vmdk', [0, 'KDMV'], 'a VMware disk', '-f vmdk'],
  ['vmdk 3', [0, 'COWD'], 'a VMware disk of an old kind', '-f vmdk'],
  ['vmdk text', [0, '# Disk DescriptorFile\nversion=1'], 'the descriptor of a VMware disk', '-f vmdk'],
  ['vdi', [0x40, [0x7f, 0x10, 0xda, 0xbe]], 'a VirtualBox disk', '-f vdi'],
  ['vhdx', [0, 'vhdxfile'], 'a VHDX disk', '-f vhdx'],
  ['vhd', [0, 'conectix'], 'a VHD disk', '-f vpc'],
  ['vhd fixed', [-512, 'conectix'], 'a VHD disk of fixed size', '-f vpc'],
  ['parallels', [0, 'WithoutFreeSpace'], 'a Parallels disk', '-f parallels'],
  ['parallels 2', [0, 'WithouFreSpacExt'], 'a Parallels disk', '-f parallels'],
  ['android', [0, [0x3a, 0xff, 0x26, 0xed]], 'an Android sparse image', 'simg2img /images/disk.img'],
  ['dmg', [-512, 'koly'], 'a macOS disk image', '-f dmg'],
  ['xz', [0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]], 'compressed by xz', 'xz --decompress'],
  ['7z', [0, [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]], 'a 7z archive', '7z x /images/disk.img'],
  ['zstd', [0, [0x28, 0xb5, 0x2f, 0xfd]], 'compressed by zstd', 'zstd --decompress'],
  ['lz4', [0, [4, 0x22, 0x4d, 0x18]], 'compressed by lz4', 'lz4 -d'],
  ['lzip', [0, 'LZIP'], 'compressed by lzip', 'lzip'],
  ['zip', [0, 'PK\x03\x04'], 'a zip archive', 'unzip'],
  ['bzip2', [0, 'BZh9'], 'compressed by bzip2', 'bunzip2'],
  ['gzip', [0, [0x1f, 0x8b, 8]], 'compressed by gzip', 'gunzip --stdout /images/disk.img > /images/disk.raw.img'],
  ['tar', [257, 'ustar'], 'a tar archive', 'tar -xf'],
  ['luks', [0, 'LUKS\xba\xbe'], 'an encrypted LUKS volume', 'cryptsetup open'],
  ['bitlocker', [3, '-FVE-FS-'], 'an encrypted BitLocker volume', 'diolab mkfs'],
  ['lvm', [536, 'LVM2 001'], 'a physical volume of LVM', 'vgchange'],
  ['md 1.2', [4096, [0xfc, 0x4e, 0x2b, 0xa9]], 'a member of a RAID array', 'mdadm'],
  ['md 1.1', [0, [0xfc, 0x4e, 0x2b, 0xa9]], 'a member of a RAID array', 'mdadm'],
  ['md 1.0', [-8192, [0xfc, 0x4e, 0x2b, 0xa9]], 'a member of a RAID array', 'mdadm'],
  ['md 0.90', [-65536, [0xfc, 0x4e, 0x2b, 0xa9]], 'a member of a RAID array', 'mdadm'],
  ['zfs', [0x20000 + 37 * 1024, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]], 'a member of a ZFS pool', 'diolab mkfs'],
  ['swap', [4086, 'SWAPSPACE2'], 'a swap area', 'raw'],
  ['bcache', [4120, [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81]], 'a bcache device', 'diolab mkfs'],
  ['bcachefs', [4120, [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9]], 'a bcachefs file system', 'diolab mkfs'],
  ['reiserfs', [0x10034, 'ReIsEr2Fs'], 'a ReiserFS file system', 'diolab mkfs'],
  ['iso', [0x8001, 'CD001'], 'a CD image', 'diolab mkfs'],
  ['udf', [0x8001, 'BEA01'], 'a UDF file system', 'diolab mkfs'],
  ['jfs', [0x8000, 'JFS1'], 'a JFS file system', 'diolab mkfs'],
  ['squashfs', [0, 'hsqs'], 'a squashfs file system', 'unsquashfs /images/disk.img'],
  ['cramfs', [0, [0x45, 0x3d, 0xcd, 0x28]], 'a cramfs file system', 'diolab mkfs'],
  ['apfs', [32, 'NXSB'], 'an APFS container', 'diolab mkfs'],
  ['ntfs', [3, 'NTFS    '], 'an NTFS file system', 'diolab mkfs'],
  ['exfat', [3, 'EXFAT   '], 'an exFAT file system', 'diolab mkfs'],
  ['f2fs', [1024, [0x10, 0x20, 0xf5, 0xf2]], 'an F2FS file system', 'diolab mkfs'],
  ['erofs', [1024, [0xe2, 0xe1, 0xf5, 0xe0]], 'an EROFS file system', 'diolab mkfs'],
  ['hfs+', [1024, [0x48, 0x2b, 0, 4]], 'an HFS+ file system', 'diolab mkfs'],
  ['hfsx', [1024, [0x48, 0x58, 0, 5]], 'an HFSX file system', 'diolab mkfs'],
  ['nilfs2', [1030, [0x34, 0x34]], 'a NILFS2 file system', 'diolab mkfs'],
  ['boot sector', [510, [0x55, 0xaa]], 'a disk or a loader whose partition table is empty', 'sfdisk --dump'],
]; // prettier-ignore

for (const [name, put, what, hint] of CASES) {
  it(`${name} is told, with the command`, () => {
    const told = refusal([put, [510, [0x55, 0xaa]]]);
    expect(told.message).toContain(`is ${what}`);
    expect(told.hint).toContain(hint);
  });
}

it('names are quoted for a shell, and lose the endings of containers', () => {
  const { hint } = refusal([[0, 'KDMV']], "/my images/it's.img.vmdk");
  expect(hint).toBe(
    `Convert it: qemu-img convert -f vmdk -O raw '/my images/it'\\''s.img.vmdk' '/my images/it'\\''s.raw.img'`,
  );
});

it('zeros and noise are no format', () => {
  expect(refusal([]).message).toContain('it starts with zeros');
  expect(refusal([[100, 'noise']]).message).toContain('no file system that the lab knows');
});

it('formats of modules here are left to their own refusals', () => {
  const of = (puts: readonly Put[]): string | null => {
    const lab = new FileSystemLab(new Uint8Array(SIZE));
    for (const [at, bytes] of puts) {
      lab.disk.bytes.set(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, at);
    }
    return lab.run(ownModule(lab.kernel, lab.disk));
  };
  expect(of([[0x10040, '_BHRfS_M']])).toBe('btrfs');
  expect(of([[0, 'XFSB']])).toBe('xfs');
  expect(of([[82, 'FAT32   '], [510, [0x55, 0xaa]]])).toBe('fat');
  expect(of([[54, 'FAT16   '], [510, [0x55, 0xaa]]])).toBe('fat');
  expect(of([[0x438, [0x53, 0xef]]])).toBe('ext4');
  // What lies in a container is the container's.
  expect(of([[0, 'KDMV'], [0x438, [0x53, 0xef]]])).toBeNull();
  expect(of([[510, [0x55, 0xaa]]])).toBeNull();
}); // prettier-ignore
