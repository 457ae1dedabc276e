// SPDX-License-Identifier: GPL-2.0-only
/**
 * A real loop device of the host over an image file. The privileged helper attaches it, the lab uses it through the descriptor that comes
 * back, and it is gone when the run is over. The kernel decides about its blocks: what is not a multiple of the sector size is
 * refused with EINVAL, as on a disk with such sectors.
 */
import { assert, HostError, type OptionsOf } from '../../base/index.ts';
import { openHostFile } from '../_host-file/index.ts';
import type { DeviceModule, DevicePorts, OpenDevice } from '../contract.ts';

const options = {
  path: {
    type: 'path',
    title: 'Image',
    help: 'A regular file of yours on this host. It is locked while it is attached.',
    default: '',
  },
  sectorBytes: {
    type: 'choice',
    title: 'Sector size',
    help: 'Logical block size of the loop device in bytes. Direct I/O goes by it.',
    choices: ['512', '1024', '2048', '4096'],
    default: '512',
  },
  directIo: {
    type: 'flag',
    title: 'Loop direct I/O',
    help: 'Off: the loop driver goes through the page cache of the file system under the image, so that its numbers measure memory.',
    default: true,
  },
} as const;

function openLoop(ports: DevicePorts, chosen: OptionsOf<typeof options>): OpenDevice {
  const { loops, io } = ports;
  assert(loops !== undefined, 'loop needs its port');
  if (chosen.path === '') {
    throw new HostError({
      code: 'image.no-path',
      message: 'no image file is named',
      where: 'target.device.options.path',
      hint: 'Give the path of a regular file.',
      exitCode: 65,
    });
  }
  const loop = loops.attach(chosen.path, {
    sectorBytes: Number(chosen.sectorBytes),
    readOnly: io.readOnly,
    directIo: chosen.directIo,
    direct: io.direct,
    traced: io.traced ?? false,
  });
  const opened = openHostFile(ports, loop.image, loop.sectorBytes);
  const { takeKernelEvents } = loop;
  return takeKernelEvents === undefined ? opened : { ...opened, takeKernelEvents };
}

export const loopDevice: DeviceModule<typeof options> = {
  id: 'loop',
  title: 'Loop device',
  help: 'A real /dev/loopN over an image file, attached by the privileged helper.',
  options,
  needs: ['imageFiles', 'loops', 'executors'],
  virtualTime: false,
  open: openLoop,
};
