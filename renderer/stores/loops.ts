// SPDX-License-Identifier: GPL-2.0-only
/** Loop devices of diolabs and what gone ones left, kept true by the host's stream: two windows show the same. */
import { defineStore } from 'pinia';
import { markRaw, ref, shallowRef } from 'vue';
import type { Leftover, LoopDeviceInfo } from '../../main/contract/grounds.ts';
import type { HostErrorData } from '../../main/contract/index.ts';
import { asHostError, type LabClient } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useToastsStore } from './toasts.ts';

export type LoopAsk = Parameters<LabClient['loops']['attach']>[0];

/** In what the kernel's state of a device is not what was asked for, in words; empty: it is as asked. */
export function differencesOf(asked: LoopAsk, got: LoopDeviceInfo): string[] {
  const onOff = (value: boolean): string => (value ? 'on' : 'off');
  return [
    ...(asked.sectorBytes === got.sectorBytes
      ? []
      : [`sectors of ${String(got.sectorBytes)} B instead of ${String(asked.sectorBytes)} B`]),
    ...(asked.directIo === got.hasDirectIo
      ? []
      : [`direct-io is ${onOff(got.hasDirectIo)}, ${onOff(asked.directIo)} was asked for`]),
    ...(asked.readOnly === got.isReadOnly
      ? []
      : [got.isReadOnly ? 'it can only be read' : 'it can be written']),
  ];
}

export const useLoopsStore = defineStore('loops', () => {
  const connection = useConnectionStore();
  /** Null: not known yet. */
  const devices = shallowRef<readonly LoopDeviceInfo[] | null>(null);
  const leftovers = shallowRef<readonly Leftover[]>([]);
  const error = ref<HostErrorData | null>(null);
  let serial = 0;
  let stop = new AbortController();

  const takeDevices = (list: readonly LoopDeviceInfo[]): void => {
    devices.value = markRaw([...list]);
  };
  /** Lists, and follows until `unfollow` or the end of the connection. */
  async function follow(): Promise<void> {
    const mine = ++serial;
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    const client = connection.client().loops;
    try {
      const [list, left] = await Promise.all([client.list(), client.leftovers()]);
      if (mine !== serial) return;
      takeDevices(list);
      leftovers.value = markRaw([...left]);
      error.value = null;
      for await (const next of await client.watch(undefined, { signal })) {
        if (mine !== serial) return;
        takeDevices(next);
      }
    } catch (thrown) {
      if (mine === serial && !signal.aborted && connection.isOpen)
        error.value = asHostError(thrown);
    }
  }
  function unfollow(): void {
    serial += 1;
    stop.abort();
  }
  /** The device as the kernel made it; a refusal is thrown. */
  async function attach(asked: LoopAsk): Promise<LoopDeviceInfo> {
    const got = await connection.client().loops.attach(asked);
    takeDevices([...(devices.value ?? []).filter((each) => each.device !== got.device), got]);
    return got;
  }
  async function detach(device: LoopDeviceInfo): Promise<boolean> {
    try {
      await connection.client().loops.detach({ device: device.device });
      takeDevices((devices.value ?? []).filter((each) => each.device !== device.device));
      return true;
    } catch (thrown) {
      useToastsStore().showError(thrown);
      return false;
    }
  }
  async function removeLeftover(leftover: Leftover): Promise<void> {
    try {
      await connection.client().loops.removeLeftover({ path: leftover.path });
      leftovers.value = markRaw(leftovers.value.filter((each) => each.path !== leftover.path));
    } catch (thrown) {
      useToastsStore().showError(thrown);
    }
  }
  return { devices, leftovers, error, follow, unfollow, attach, detach, removeLeftover };
});
