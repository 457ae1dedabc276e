// SPDX-License-Identifier: GPL-2.0-only
import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TransferEvent } from '../../main/contract/index.ts';
import { image } from '../../test/support/fake-lab/data.ts';
import type { Connection, ConnectionState } from '../connection/connection.ts';
import { useConnectionStore } from './connection.ts';
import { useImagesStore } from './images.ts';
import { useToastsStore } from './toasts.ts';
import { useTransfersStore } from './transfers.ts';
import { useWorkbenchStore } from './workbench.ts';

function connect(images: object): void {
  useConnectionStore().use({
    client: { images },
    onState: (listener: (state: ConnectionState) => void) => {
      listener('open');
      return () => undefined;
    },
  } as unknown as Connection);
}
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
beforeEach(() => {
  setActivePinia(createPinia());
});

describe('consent', () => {
  const own = image('own.img');
  const foreign = image('foreign.img', { madeByLab: false });
  it('is not needed for what the lab made', async () => {
    const store = useWorkbenchStore();
    expect(await store.mayChangeNow(own, '')).toBe(true);
    expect(store.question).toBeNull();
  });
  it('is asked for once, and can be refused', async () => {
    const store = useWorkbenchStore();
    const refused = store.mayChangeNow(foreign, 'X is removed.');
    expect(store.question?.text).toContain('X is removed.');
    store.answer(false);
    expect([await refused, store.mayChange(foreign)]).toEqual([false, false]);
    const given = store.mayChangeNow(foreign, '');
    store.answer(true);
    expect([await given, await store.mayChangeNow(foreign, '')]).toEqual([true, true]);
    store.setConsent(foreign.path, false);
    expect(store.mayChange(foreign)).toBe(false);
  });
  it('answers the question before with no when another is asked', async () => {
    const store = useWorkbenchStore();
    const question = { title: '', text: '', action: '', isDanger: false };
    const first = store.ask(question);
    const second = store.ask({ ...question, title: 'second' });
    expect(await first).toBe(false);
    expect(store.question?.title).toBe('second');
    store.answer(true);
    expect(await second).toBe(true);
  });
});

describe('an image that leaves the list', () => {
  it('is deleted with a way back', async () => {
    const calls: unknown[] = [];
    let list = [image('a.img'), image('b.img')];
    connect({
      list: () => Promise.resolve(list),
      forget: (asked: object) => {
        calls.push(asked);
        list = list.slice(1);
        return Promise.resolve({ deleted: true, snapshotId: 'kept-1' });
      },
      restoreSnapshot: (asked: object) => {
        calls.push(asked);
        list = [image('a.img'), ...list];
        return Promise.resolve({});
      },
    });
    const store = useWorkbenchStore();
    await useImagesStore().load();
    const leaving = store.forget(image('a.img'), true);
    expect(store.shown?.map((each) => each.path)).toEqual([image('b.img').path]);
    await leaving;
    expect(store.shown).toHaveLength(1);
    useToastsStore().toasts[0]?.action?.run();
    await settled();
    await settled();
    expect(calls).toEqual([
      { path: image('a.img').path, alsoDelete: true },
      { id: 'kept-1', consent: true },
    ]);
    expect(store.shown).toHaveLength(2);
  });
  it('stays where the host refuses, and the refusal is told', async () => {
    connect({
      list: () => Promise.resolve([image('a.img')]),
      forget: () => Promise.reject(new Error('no right to delete')),
    });
    const store = useWorkbenchStore();
    await useImagesStore().load();
    await store.forget(image('a.img'), true);
    expect(store.shown).toHaveLength(1);
    expect(useToastsStore().toasts[0]).toMatchObject({ tone: 'bad', text: 'no right to delete' });
  });
  it('counts changes by image', () => {
    const store = useWorkbenchStore();
    store.changed('/a');
    store.changed('/a');
    expect([store.versionOf('/a'), store.versionOf('/b')]).toEqual([2, 0]);
  });
});

describe('copies', () => {
  async function* events(signal: AbortSignal, failing = false): AsyncGenerator<TransferEvent> {
    yield { kind: 'progress', file: '/f', doneBytes: 5, totalBytes: 10 };
    if (failing) throw new Error('the disk is full');
    await new Promise((resolve) => {
      if (signal.aborted) resolve(null);
      else signal.addEventListener('abort', resolve);
      setTimeout(resolve, 20);
    });
    yield { kind: 'done', files: 1, bytes: 10 };
  }
  it('tell how far they are, and end', async () => {
    const store = useTransfersStore();
    const done = store.run('Copying', (signal) => Promise.resolve(events(signal)));
    await settled();
    expect(store.transfers[0]).toMatchObject({ state: 'running', file: '/f', doneBytes: 5 });
    expect(await done).toBe(true);
    expect(store.transfers[0]).toMatchObject({ state: 'done', doneBytes: 10 });
  });
  it('can be cancelled', async () => {
    const store = useTransfersStore();
    const done = store.run('Copying', (signal) => Promise.resolve(events(signal)));
    await settled();
    store.cancel(store.transfers[0]?.id ?? 0);
    expect(store.transfers[0]?.state).toBe('cancelling');
    expect(await done).toBe(false);
    expect(store.transfers[0]?.state).toBe('cancelled');
  });
  it('keep a failure in sight until it is dismissed', async () => {
    const store = useTransfersStore();
    expect(await store.run('Copying', (signal) => Promise.resolve(events(signal, true)))).toBe(
      false,
    );
    expect(store.transfers[0]).toMatchObject({
      state: 'failed',
      error: { message: 'the disk is full' },
    });
    store.dismiss(store.transfers[0]?.id ?? 0);
    expect(store.transfers).toEqual([]);
  });
});
