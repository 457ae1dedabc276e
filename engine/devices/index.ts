// SPDX-License-Identifier: GPL-2.0-only
/** The list of device modules. A device is one folder here and one line in `DEVICES`; docs/adding/device.md says what it brings. */
import { HostError, resolveOptions, type OptionSchema } from '../base/index.ts';
import type { DeviceModule, DevicePorts, OpenDevice } from './contract.ts';
import { imageFileDevice } from './image-file/index.ts';
import { loopDevice } from './loop/index.ts';
import { memoryDevice } from './memory/index.ts';
import { modelDevice } from './model/index.ts';

export type * from './contract.ts';

export const DEVICES: readonly DeviceModule[] = [
  imageFileDevice,
  loopDevice,
  memoryDevice,
  modelDevice,
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
  return module.open(ports, options);
}
