// SPDX-License-Identifier: GPL-2.0-only
/** The list of device modules. A device is one folder here and one line in `DEVICES`; docs/adding/device.md says what it brings. */
import { HostError, resolveOptions, type OptionSchema } from '../base/index.ts';
import type { DeviceModule, DevicePorts, OpenDevice } from './contract.ts';
import { faultyDevice } from './faulty/index.ts';
import { imageFileDevice } from './image-file/index.ts';
import { loopDevice } from './loop/index.ts';
import { memoryDevice } from './memory/index.ts';
import { modelDevice } from './model/index.ts';
import { recorderDevice } from './recorder/index.ts';

export type * from './contract.ts';

export const DEVICES: readonly DeviceModule[] = [
  faultyDevice,
  imageFileDevice,
  loopDevice,
  memoryDevice,
  modelDevice,
  recorderDevice,
];

/** The module of that id; an unknown one is a `HostError` that lists those there are. */
export function deviceModule(id: string): DeviceModule {
  const found = DEVICES.find((module) => module.id === id);
  if (found !== undefined) return found;
  throw new HostError({
    code: 'device.unknown',
    message: `there is no device ${JSON.stringify(id)}`,
    where: 'target.device.id',
    hint: `Devices are ${DEVICES.map((module) => module.id).join(', ')}.`,
    exitCode: 65,
  });
}

/** Checks the options, and that the host brings what the module needs, and opens the device. Throws `HostError`. */
export function openDevice(
  id: string,
  given: Readonly<Record<string, unknown>>,
  ports: DevicePorts,
): OpenDevice {
  const module: DeviceModule<OptionSchema> = deviceModule(id);
  const options = resolveOptions(module.options, given, `device ${id}`);
  for (const need of module.needs) {
    if (ports[need] !== undefined) continue;
    throw new HostError({
      code: 'device.needs-port',
      message: `device ${id} needs ${need}, which this host does not bring`,
      where: 'target.device.id',
      hint: 'Choose the memory or model device, or run where files can be opened.',
      exitCode: 77,
    });
  }
  if (module.below === undefined) return module.open(ports, options);
  const lower = module.below(options);
  const below = openDevice(lower.id, lower.options, ports);
  try {
    return module.open({ ...ports, below }, options);
  } catch (error) {
    below.device.close();
    throw error;
  }
}

/** True where the data lies on the host: the device, or the one that it stands on, opens an image file. */
export function isOnHost(id: string, given: Readonly<Record<string, unknown>>): boolean {
  const module: DeviceModule<OptionSchema> = deviceModule(id);
  if (module.needs.includes('imageFiles')) return true;
  if (module.below === undefined) return false;
  const lower = module.below(resolveOptions(module.options, given, `device ${id}`));
  return isOnHost(lower.id, lower.options);
}
