// SPDX-License-Identifier: GPL-2.0-only
import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { GroundsEvent, GroundsRequest, LoopDeviceInfo } from '../../main/contract/index.ts';
import { experiment } from '../../test/support/fake-lab/data.ts';
import { groundsOf } from '../../test/support/fake-lab/grounds.ts';
import type { Connection, ConnectionState } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useGroundsStore } from './grounds.ts';
import { differencesOf, useLoopsStore, type LoopAsk } from './loops.ts';
import { useToastsStore } from './toasts.ts';

function connect(client: object): void {
  useConnectionStore().use({
    client,
    onState: (listener: (state: ConnectionState) => void) => {
      listener('open');
      return () => undefined;
    },
  } as unknown as Connection);
}
beforeEach(() => {
  setActivePinia(createPinia());
});
const over = groundsOf('over', 1, experiment('earlier'), 2);
const live = { ...over, id: 'live', startedAtUnixMs: 2, state: 'running' as const };
const request = { experiment: live.experiment, grounds: ['engine'], rounds: 2, seed: 1, secondsPerRun: null } as unknown as GroundsRequest; // prettier-ignore

describe('measurements', () => {
  it('are started, followed to their end and put into the list', async () => {
    let next: (event: GroundsEvent | null) => void = () => undefined;
    const watch = async function* (): AsyncGenerator<GroundsEvent> {
      for (;;) {
        const event = await new Promise<GroundsEvent | null>((resolve) => (next = resolve));
        if (event === null) return;
        yield event;
      }
    };
    connect({ grounds: { start: async () => ({ id: 'live' }), get: async () => live, watch: async () => watch() } });
    const store = useGroundsStore();
    store.put(over);
    expect(await store.start(request)).toBe('live');
    expect([store.live?.id, store.results?.map((each) => each.id)]).toEqual(['live', ['live', 'over']]);
    expect(await store.start(request)).toBeNull();
    await vi.waitFor(() => { next({ kind: 'progress', text: 'Round 1', fraction: 0.5 }); expect(store.progress).toMatchObject({ fraction: 0.5 }); });
    await vi.waitFor(() => { next({ kind: 'result', result: { ...live, state: 'finished' } }); expect(store.live).toBeNull(); });
    await vi.waitFor(() => { next(null); expect(store.progress).toBeNull(); });
    expect(store.byId('live')?.state).toBe('finished');
  }); // prettier-ignore
  it('that go on already are followed when the list shows them', async () => {
    const watch = vi.fn(async () => (async function* () { yield { kind: 'progress', text: 'Round 2', fraction: 0.2 }; await new Promise(() => undefined); })());
    connect({ grounds: { results: async () => [live, over], watch } });
    const store = useGroundsStore();
    await store.load();
    await vi.waitFor(() => { expect(store.progress?.text).toBe('Round 2'); });
    expect(watch).toHaveBeenCalledWith({ id: 'live' });
  }); // prettier-ignore
  it('tell a refusal, and leave the list as it is', async () => {
    const refuse = async (): Promise<never> => { throw new Error('not now'); };
    connect({ grounds: { start: refuse, remove: refuse, cancel: refuse, results: refuse } });
    const store = useGroundsStore();
    store.put(over);
    expect([await store.start(request), await store.remove('over')]).toEqual([null, false]);
    store.put(live);
    await store.cancel();
    expect([store.isStarting, store.isStopping, store.results?.length]).toEqual([false, false, 2]);
    expect(useToastsStore().toasts).toHaveLength(3);
    await store.load();
    expect(store.error?.message).toContain('not now');
  }); // prettier-ignore
});

describe('loop devices', () => {
  const device: LoopDeviceInfo = {
    device: '/dev/loop9', imagePath: '/a.img', sectorBytes: 512, hasDirectIo: false, isReadOnly: true, sizeBytes: 1, owner: 'here', pid: 1,
  }; // prettier-ignore
  const asked: LoopAsk = { path: '/a.img', sectorBytes: 4096, directIo: true, readOnly: true };
  it('differ from what was asked in words', () => {
    expect(differencesOf(asked, device)).toEqual([
      'sectors of 512 B instead of 4096 B',
      'direct-io is off, on was asked for',
    ]);
    expect(differencesOf({ ...asked, sectorBytes: 512, directIo: false }, device)).toEqual([]);
  });
  it('are listed, attached, detached, and what is left is removed', async () => {
    const left = { path: '/left', kind: 'plain-file', sizeBytes: 1, text: 'left' };
    connect({
      loops: {
        list: async () => [], leftovers: async () => [left], watch: async () => (async function* () { await new Promise(() => undefined); yield []; })(),
        attach: async () => device, detach: async () => ({ detached: true }), removeLeftover: async () => ({ removed: true }),
      },
    });
    const store = useLoopsStore();
    void store.follow();
    await vi.waitFor(() => { expect(store.devices).toEqual([]); });
    await store.attach(asked);
    expect(store.devices).toEqual([device]);
    expect(await store.detach(device)).toBe(true);
    expect(store.devices).toEqual([]);
    await vi.waitFor(() => { expect(store.leftovers).toHaveLength(1); });
    await store.removeLeftover(left as never);
    expect(store.leftovers).toEqual([]);
    store.unfollow();
  }); // prettier-ignore
});
