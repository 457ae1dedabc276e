// SPDX-License-Identifier: GPL-2.0-only
/** What can be done to files of an open image: each asks for consent where it has to, tells what went wrong, and has the image read again. */
import type { ImageInfo, Place, TransferEvent } from '../../../main/contract/index.ts';
import { useConnectionStore } from '../../stores/connection.ts';
import { useHostStore } from '../../stores/host.ts';
import { useToastsStore } from '../../stores/toasts.ts';
import { useTransfersStore } from '../../stores/transfers.ts';
import { useWorkbenchStore } from '../../stores/workbench.ts';
import { pathInText } from '../lab/dropped.ts';
import { downloadBlob } from '../run/download.ts';
import { bytesOfBase64 } from './hex.ts';
import { joinPath, nameOf } from './paths.ts';

export interface FileActions {
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  putHostPath(hostPath: string): Promise<void>;
  getToHost(path: string, hostPath: string): Promise<void>;
  download(path: string): Promise<void>;
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

/** Bytes asked for at a time: the most that a preview gives. */
const PART_BYTES = 65536;

type Client = ReturnType<ReturnType<typeof useConnectionStore>['client']>['images'];
type Change = (
  what: string,
  action: (place: Place, consent: boolean) => Promise<unknown>,
) => Promise<boolean>;

/** A file a part at a time, into `parts`, so that it is cancelled at once and its progress is known. */
async function* readParts(
  client: () => Client,
  place: Place,
  file: string,
  parts: Uint8Array<ArrayBuffer>[],
  signal: AbortSignal,
): AsyncGenerator<TransferEvent> {
  for (let offsetBytes = 0; ;) {
    const asked = { ...place, file, offsetBytes, lengthBytes: PART_BYTES };
    const part = await client().preview(asked, { signal });
    const bytes = bytesOfBase64(part.bytesBase64);
    if (bytes.length > 0) parts.push(bytes);
    offsetBytes += bytes.length;
    yield { kind: 'progress', file, doneBytes: offsetBytes, totalBytes: part.sizeBytes };
    if (bytes.length === 0 || offsetBytes >= part.sizeBytes) {
      yield { kind: 'done', files: 1, bytes: offsetBytes };
      return;
    }
  }
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
function copyActions(client: () => Client, opened: Opened, change: Change) {
  const transfers = useTransfersStore();
  return {
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
        Promise.resolve(readParts(client, place, path, parts, signal)),
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
  const copies = copyActions(client, opened, change);
  async function drop(data: DataTransfer, why: string | null): Promise<void> {
    if (why !== null) {
      toasts.show(`Nothing can be copied in: ${why}`, { tone: 'bad' });
      return;
    }
    const files = [...data.files];
    const paths =
      files.length > 0
        ? files.map((file) => connection.connection?.pathOfFile(file) ?? null)
        : [pathInText(data.getData('text/uri-list') || data.getData('text/plain'))];
    const known = paths.filter((path): path is string => path !== null && path !== '');
    if (known.length < paths.length) {
      toasts.show(`A browser does not tell where ${files[0]?.name ?? 'what was dropped'} lies`, {
        tone: 'bad',
        detail: 'Choose it with “Copy a file in”, or drop its path as text.',
      });
    }
    for (const path of known) await copies.putHostPath(path);
  }
  return {
    ...nameActions(client, opened, change),
    ...copies,
    drop,
    hostPathFor: (path) => joinPath(host.facts?.dataFolder ?? '/', nameOf(path)),
  };
}
