// SPDX-License-Identifier: GPL-2.0-only
/** A disk that is a regular file of the host, opened and locked by the image-file port. `_host-file` moves the data. */
import { assert, HostError, SECTOR_BYTES, type OptionsOf } from '../../base/index.ts';
import { openHostFile } from '../_host-file/index.ts';
import type { DeviceModule, DevicePorts, OpenDevice, OpenImage } from '../contract.ts';

const options = {
  path: {
    type: 'path',
    title: 'Image',
    help: 'A regular file on this host. It is locked while it is open.',
    default: '',
  },
  logicalBlockBytes: {
    type: 'choice',
    title: 'Logical block',
    help: 'Smallest unit of the disk in bytes; "auto" is the smallest that the host takes for this file.',
    choices: ['auto', '512', '1024', '2048', '4096'],
    default: 'auto',
  },
} as const;

function chooseLogicalBlock(image: OpenImage, chosen: string): number {
  const hostBytes = image.isDirect ? image.offsetAlignBytes : SECTOR_BYTES;
  if (chosen === 'auto') return Math.max(SECTOR_BYTES, hostBytes);
  const askedBytes = Number(chosen);
  if (askedBytes % hostBytes === 0) return askedBytes;
  throw new HostError({
    code: 'image.logical-block',
    message: `logical blocks of ${chosen} bytes are smaller than what the host takes with O_DIRECT here: ${String(hostBytes)} bytes`,
    where: image.path,
    hint: `Choose "auto" or ${String(hostBytes)}, or put the image on a disk with smaller blocks.`,
    exitCode: 65,
  });
}

function openImageFile(ports: DevicePorts, chosen: OptionsOf<typeof options>): OpenDevice {
  const { imageFiles, io } = ports;
  assert(imageFiles !== undefined, 'image-file needs its ports');
  if (chosen.path === '') {
    throw new HostError({
      code: 'image.no-path',
      message: 'no image file is named',
      where: 'target.device.options.path',
      hint: 'Give the path of a regular file.',
      exitCode: 65,
    });
  }
  const image = imageFiles.open(chosen.path, { readOnly: io.readOnly, direct: io.direct });
  let logicalBlockBytes: number;
  try {
    logicalBlockBytes = chooseLogicalBlock(image, chosen.logicalBlockBytes);
  } catch (error) {
    image.close();
    throw error;
  }
  return openHostFile(ports, image, logicalBlockBytes);
}

export const imageFileDevice: DeviceModule<typeof options> = {
  id: 'image-file',
  title: 'Image file',
  help: 'A regular file as a disk, with O_DIRECT where its file system has it.',
  options,
  needs: ['imageFiles', 'executors'],
  virtualTime: false,
  open: openImageFile,
};
