// SPDX-License-Identifier: GPL-2.0-only
/**
 * The image workbench as a service (contract/workbench.ts): what is inside an image is done by the tools process, what concerns the
 * image as a file (snapshots, checkers of the host) here.
 *
 * Rules: 1. Reading changes nothing. 2. What changes an image that the lab did not make takes consent. 3. An image that somebody uses
 * is left alone.
 */
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { HostError } from '../../../engine/base/index.ts';
import type { LayoutRecipe, Place } from '../../../engine/lab/workbench.ts';
import type {
  BlockView,
  FilePreview,
  Fragmentation,
  FsckResult,
  ImageLayout,
  ImageUse,
  PartitionTable,
  PlaceFacts,
  SnapshotInfo,
  TransferEvent,
} from '../../contract/workbench.ts';
import type { EngineHost } from '../../host/engine-host.ts';
import type { Images } from '../images.ts';
import type { MadeImages } from '../made-images.ts';
import type { Paths } from '../paths.ts';
import { runFsck } from './fsck.ts';
import { Snapshots } from './snapshots.ts';
import { asEvents, getWork, layOutWork, putWork } from './transfers.ts';

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** Control characters that no text has: all but tab, line feed, form feed and carriage return. */
const CONTROLS = /[\u0000-\u0008\u000b\u000e-\u001f\u007f]/;

/** True where the bytes are printable UTF-8; a character cut at the end does not count. */
export function isText(bytes: Uint8Array, isWhole: boolean): boolean {
  try {
    return !CONTROLS.test(
      new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: !isWhole }),
    );
  } catch {
    return false; // not UTF-8
  }
}

export class Workbench {
  readonly snapshots: Snapshots;

  constructor(
    private readonly paths: Paths,
    private readonly images: Images,
    made: MadeImages,
    private readonly engine: EngineHost,
  ) {
    this.snapshots = new Snapshots({
      folder: paths.snapshots,
      made,
      assertFree: (path) => this.assertFree(path),
    });
  }

  stat(place: Place & { readonly file: string | null }): Promise<PlaceFacts> {
    refuseRelative(place);
    return this.engine.call('stat', place);
  }

  layout(place: Place, signal?: AbortSignal): Promise<ImageLayout> {
    refuseRelative(place);
    return this.engine.call('layout', place, signal);
  }

  fragmentation(place: Place, signal?: AbortSignal): Promise<Fragmentation> {
    refuseRelative(place);
    return this.engine.call('fragmentation', place, signal);
  }

  async block(place: Place & { readonly block: number }): Promise<BlockView> {
    refuseRelative(place);
    const { bytes, ...rest } = await this.engine.call('block', place);
    return { ...rest, bytesBase64: base64(bytes) };
  }

  async preview(
    ask: Place & {
      readonly file: string;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
    },
  ): Promise<FilePreview> {
    refuseRelative(ask);
    const { bytes, ...rest } = await this.engine.call('preview', ask);
    const isWhole = rest.offsetBytes + bytes.length >= rest.sizeBytes;
    return { ...rest, bytesBase64: base64(bytes), isText: isText(bytes, isWhole) };
  }

  async makeFolder(
    ask: Place & { readonly folder: string; readonly consent: boolean },
  ): Promise<{ path: string }> {
    const { consent, ...call } = ask;
    await this.assertMayWrite(ask.path, consent);
    await this.engine.call('make-folder', call);
    return { path: ask.folder };
  }

  async removeEntry(
    ask: Place & { readonly file: string; readonly consent: boolean },
  ): Promise<{ removed: number }> {
    const { consent, ...call } = ask;
    await this.assertMayWrite(ask.path, consent);
    return { removed: await this.engine.call('remove', call) };
  }

  async renameEntry(
    ask: Place & { readonly from: string; readonly to: string; readonly consent: boolean },
  ): Promise<{ path: string }> {
    const { consent, ...call } = ask;
    await this.assertMayWrite(ask.path, consent);
    await this.engine.call('rename', call);
    return { path: ask.to };
  }

  /** Copies a file or folder of the host into the image. */
  async *putFromHost(
    ask: Place & { readonly hostPath: string; readonly file: string; readonly consent: boolean },
    signal?: AbortSignal,
  ): AsyncGenerator<TransferEvent> {
    await this.assertMayWrite(ask.path, ask.consent);
    refuseRelative({ path: ask.hostPath });
    yield* asEvents(putWork(this.engine, placeOf(ask), ask.hostPath, ask.file), signal);
  }

  /** Copies a file or folder out of the image. */
  async *getToHost(
    ask: Place & { readonly file: string; readonly hostPath: string; readonly replace: boolean },
    signal?: AbortSignal,
  ): AsyncGenerator<TransferEvent> {
    refuseRelative(ask);
    refuseRelative({ path: ask.hostPath });
    const { file, hostPath, replace } = ask;
    yield* asEvents(getWork(this.engine, placeOf(ask), file, hostPath, replace), signal);
  }

  /** Lays files out in the image. */
  async *layOut(
    ask: Place & { readonly recipe: LayoutRecipe; readonly consent: boolean },
    signal?: AbortSignal,
  ): AsyncGenerator<TransferEvent> {
    await this.assertMayWrite(ask.path, ask.consent);
    yield* asEvents(layOutWork(this.engine, placeOf(ask), ask.recipe), signal);
  }

  async partitions(path: string): Promise<PartitionTable> {
    refuseRelative({ path });
    return this.engine.call('partitions', { path });
  }

  /** Who else uses the image. */
  async usedBy(path: string): Promise<readonly ImageUse[]> {
    refuseRelative({ path });
    return this.engine.call('used-by', { path });
  }

  /** Runs the file system's own checker; a repair takes a snapshot first. */
  async fsck(
    ask: Place & { readonly repair: boolean; readonly consent: boolean },
    signal?: AbortSignal,
  ): Promise<FsckResult> {
    const { path, repair } = ask;
    refuseRelative(ask);
    if (repair) await this.assertMayWrite(path, ask.consent);
    await this.assertFree(path);
    const { fileSystemId, range } = await this.rangeOf(ask);
    return runFsck(
      {
        path,
        range,
        fileSystemId,
        repair,
        scratchFolder: this.paths.cache,
        beforeRepair: async () =>
          (await this.snapshots.take(path, 'Before the repair by fsck', signal)).id,
      },
      signal,
    );
  }

  async snapshot(path: string, note: string, signal?: AbortSignal): Promise<SnapshotInfo> {
    refuseRelative({ path });
    return this.snapshots.take(path, note, signal);
  }

  async restoreSnapshot(id: string, consent: boolean, signal?: AbortSignal): Promise<SnapshotInfo> {
    const found = (await this.snapshots.list(null)).find((one) => one.id === id);
    if (found !== undefined && (await isThere(found.imagePath))) {
      await this.assertMayWrite(found.imagePath, consent);
    }
    const kept = await this.snapshots.restore(id, signal);
    return kept ?? (found as SnapshotInfo);
  }

  /** Leaves the list; a file that the lab made is also taken away where asked, and can be had back as a snapshot for a day. */
  async forget(
    path: string,
    alsoDelete: boolean,
  ): Promise<{ deleted: boolean; snapshotId: string | null }> {
    refuseRelative({ path });
    let kept: SnapshotInfo | null = null;
    if (alsoDelete) {
      await this.images.assertOurs(path);
      kept = await this.snapshots.takeAway(path);
    }
    await this.images.forget(path);
    return { deleted: kept !== null, snapshotId: kept?.id ?? null };
  }

  private async assertMayWrite(path: string, consent: boolean): Promise<void> {
    refuseRelative({ path });
    if (!consent) await this.images.assertOurs(path);
  }

  /** Throws where the image cannot be used now: somebody else has it, or it is no regular file. */
  private async assertFree(path: string): Promise<void> {
    const { refusal } = await this.images.probe(path);
    if (refusal !== null && refusal.code !== 'image.damaged') throw HostError.fromJSON(refusal);
  }

  /** What is in the place, and where it lies in the image. */
  async rangeOf(place: Place): Promise<{
    fileSystemId: string;
    range: { startBytes: number; sizeBytes: number } | null;
  }> {
    const { path, partition } = place;
    if (partition === null) {
      const { fileSystemId } = await this.images.probe(path);
      return { fileSystemId, range: null };
    }
    const { partitions } = await this.partitions(path);
    const found = partitions.find(({ number }) => number === partition);
    if (found === undefined || found.problem !== null) {
      throw new HostError({
        code: 'image.no-partition',
        message: `There is no partition ${String(partition)} that could be opened`,
        where: path,
        hint: 'diolab partitions lists those there are.',
        exitCode: 65,
      });
    }
    const { startBytes, sizeBytes } = found;
    return { fileSystemId: found.fileSystemId ?? 'unknown', range: { startBytes, sizeBytes } };
  }
}

const placeOf = ({ path, partition }: Place): Place => ({ path, partition });

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

function refuseRelative({ path }: { readonly path: string }): void {
  if (isAbsolute(path) && !path.includes('\0')) return;
  throw new HostError({
    code: 'image.bad-path',
    message: `${JSON.stringify(path)} is not an absolute path`,
    where: path,
    hint: 'Give the whole path, from /.',
    exitCode: 64,
  });
}
