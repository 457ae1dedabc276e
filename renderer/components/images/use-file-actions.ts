// SPDX-License-Identifier: GPL-2.0-only
/** What can be done to files of an open image: each asks for consent where it has to, tells what went wrong, and has the image read again. */
import type { ImageInfo, Place, TransferEvent } from '../../../main/contract/index.ts';
import { bulkImageFilePath, bulkUploadPath } from '../../../main/contract/bulk.ts';
import { useConnectionStore } from '../../stores/connection.ts';
import { useHostStore } from '../../stores/host.ts';
import { useToastsStore } from '../../stores/toasts.ts';
import { useTransfersStore } from '../../stores/transfers.ts';
import { useWorkbenchStore } from '../../stores/workbench.ts';
import { pathInText } from '../lab/dropped.ts';
import { downloadBlob } from '../run/download.ts';
import { joinPath, nameOf } from './paths.ts';

export interface FileActions {
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  putHostPath(hostPath: string): Promise<void>;
  getToHost(path: string, hostPath: string): Promise<void>;
  download(path: string): Promise<void>;
  /** Sends the content of a file that the page was given. */
  upload(file: File): Promise<void>;
  drop(data: DataTransfer, why: string | null): Promise<void>;
  /** Where a copy would go on this machine, to begin with. */
  hostPathFor(path: string): string;
}
interface Opened {
  readonly info: () => ImageInfo | null;
  readonly place: () => Place | null;
  readonly folder: () => string;
  readonly file: () => string | null;
  readonly choose: (path: string | null) => void;
}

type Client = ReturnType<ReturnType<typeof useConnectionStore>['client']>['images'];
type Change = (
  what: string,
  action: (place: Place, consent: boolean) => Promise<unknown>,
) => Promise<boolean>;

type Fetch = (path: string, signal?: AbortSignal, content?: Blob) => Promise<Response>;

/** A file of the image as it arrives, into `parts`, so that it is cancelled at once and its progress is known. */
async function* readParts(
  fetchBulk: Fetch,
  place: Place,
  file: string,
  parts: Uint8Array<ArrayBuffer>[],
  signal: AbortSignal,
): AsyncGenerator<TransferEvent> {
  const answer = await fetchBulk(bulkImageFilePath(place, file), signal);
  const reader = answer.body?.getReader();
  let doneBytes = 0;
  for (;;) {
    const part = await reader?.read();
    if (part?.value === undefined) break;
    parts.push(part.value);
    doneBytes += part.value.length;
    yield { kind: 'progress', file, doneBytes, totalBytes: null };
  }
  yield { kind: 'done', files: 1, bytes: doneBytes };
}

/** A file of the page's machine on its way into the image. The browser does not tell how far it is. */
async function* sendFile(
  fetchBulk: Fetch,
  place: Place,
  path: string,
  content: File,
  consent: boolean,
  signal: AbortSignal,
): AsyncGenerator<TransferEvent> {
  yield { kind: 'progress', file: path, doneBytes: 0, totalBytes: content.size };
  await fetchBulk(bulkUploadPath(place, path, consent), signal, content);
  yield { kind: 'done', files: 1, bytes: content.size };
}

/** Changes of names: each asks the image to be read again. */
function nameActions(client: () => Client, opened: Opened, change: Change) {
  const workbench = useWorkbenchStore();
  const toasts = useToastsStore();
  return {
    async makeFolder(path: string): Promise<void> {
      await change(`The folder ${path} is made in it.`, (place, consent) =>
        client().makeFolder({ ...place, folder: path, consent }),
      );
    },
    async rename(from: string, to: string): Promise<void> {
      const done = await change(`${from} becomes ${to}.`, (place, consent) =>
        client().renameEntry({ ...place, from, to, consent }),
      );
      if (done) opened.choose(to);
    },
    async remove(path: string): Promise<void> {
      const yes = await workbench.ask({
        title: `Remove ${nameOf(path)}?`,
        text: `${path} is removed from the image, a folder with everything in it. Only a snapshot taken before brings it back.`,
        action: 'Remove',
        isDanger: true,
      });
      if (!yes) return;
      const done = await change(`${path} is removed from it.`, (place, consent) =>
        client().removeEntry({ ...place, file: path, consent }),
      );
      if (!done) return;
      opened.choose(null);
      toasts.show(`${nameOf(path)} is removed`);
    },
  };
}
/** Copies, with their progress in the list of transfers. */
function copyActions(client: () => Client, fetchBulk: Fetch, opened: Opened, change: Change) {
  const transfers = useTransfersStore();
  return {
    async upload(file: File): Promise<void> {
      const path = joinPath(opened.folder(), file.name);
      await change(`${path} is written into it.`, (place, consent) =>
        transfers.run(`Copying ${file.name} into ${nameOf(place.path)}`, (signal) =>
          Promise.resolve(sendFile(fetchBulk, place, path, file, consent, signal)),
        ),
      );
    },
    async putHostPath(hostPath: string): Promise<void> {
      const file = joinPath(opened.folder(), nameOf(hostPath.replace(/\/+$/, '')));
      await change(`${file} is written into it.`, (place, consent) =>
        transfers.run(`Copying ${nameOf(hostPath)} into ${nameOf(place.path)}`, (signal) =>
          client().putFromHost({ ...place, hostPath, file, consent }, { signal }),
        ),
      );
    },
    async getToHost(path: string, hostPath: string): Promise<void> {
      const place = opened.place();
      if (place === null) return;
      await transfers.run(`Copying ${nameOf(path)} to ${hostPath}`, (signal) =>
        client().getToHost({ ...place, file: path, hostPath, replace: false }, { signal }),
      );
    },
    async download(path: string): Promise<void> {
      const place = opened.place();
      if (place === null) return;
      const parts: Uint8Array<ArrayBuffer>[] = [];
      const done = await transfers.run(`Downloading ${nameOf(path)}`, (signal) =>
        Promise.resolve(readParts(fetchBulk, place, path, parts, signal)),
      );
      if (done) downloadBlob(new Blob(parts), nameOf(path));
    },
  };
}
export function useFileActions(opened: Opened): FileActions {
  const connection = useConnectionStore();
  const host = useHostStore();
  const toasts = useToastsStore();
  const workbench = useWorkbenchStore();
  const client = (): Client => connection.client().images;

  /** Runs a change with consent; false: it was not given, or the change failed (which is told). */
  const change: Change = async (what, action) => {
    const [info, place] = [opened.info(), opened.place()];
    if (info === null || place === null) return false;
    if (!(await workbench.mayChangeNow(info, what))) return false;
    try {
      return (await action(place, workbench.mayChange(info))) !== false;
    } catch (thrown) {
      toasts.showError(thrown);
      return false;
    } finally {
      workbench.changed(info.path);
    }
  };
  const fetchBulk: Fetch = (path, signal, content) =>
    connection.connection?.fetchBulk(path, signal, content) ??
    Promise.reject(new Error('the connection to the lab is closed'));
  const copies = copyActions(client, fetchBulk, opened, change);
  async function drop(data: DataTransfer, why: string | null): Promise<void> {
    if (why !== null) {
      toasts.show(`Nothing can be copied in: ${why}`, { tone: 'bad' });
      return;
    }
    const files = [...data.files];
    if (files.length === 0) {
      const path = pathInText(data.getData('text/uri-list') || data.getData('text/plain'));
      if (path !== null && path !== '') await copies.putHostPath(path);
      return;
    }
    for (const file of files) {
      // A window knows where it lies, so that the lab reads it by itself; a browser only has its content.
      const path = connection.connection?.pathOfFile(file) ?? null;
      await (path === null ? copies.upload(file) : copies.putHostPath(path));
    }
  }
  return {
    ...nameActions(client, opened, change),
    ...copies,
    drop,
    hostPathFor: (path) => joinPath(host.facts?.dataFolder ?? '/', nameOf(path)),
  };
}
