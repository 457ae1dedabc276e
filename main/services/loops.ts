// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loop devices that a diolab keeps for a person. A process of its own holds them (main/host/native/held-loops.ts), so that a password
 * prompt holds nothing else up; a small file for each tells other diolabs of it.
 *
 *   STATE/loops/ID.json          the device, its image, and the process whose services keep it
 *   STATE/loops/ID.ask.json      another diolab asks for it to be detached
 *   STATE/loops/ID.answer.json   how that went
 *
 *   attach --> note on disk --detach, asked here or by a note--> detached, note removed
 *                  | killed: the helper ends, the kernel clears the device with its last user
 *                  v
 *              leftover: found by the dead owner, offered for removal
 *
 * Rules: 1. A device that no note of ours names is never touched. 2. A process is known by its id, its start and the boot
 * (durable.ts); only then is it asked for anything. 3. What the kernel says counts, not the note.
 */
import { randomBytes } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError, type HostErrorData } from '../../engine/base/index.ts';
import type { Leftover, LoopDeviceInfo } from '../contract/grounds.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { failureData } from '../host/failure.ts';
import type { HeldLoop, HeldLoopAsk } from '../host/messages.ts';
// Not by the folder's index: that brings the system call table, which only the engine process needs.
import { loopState } from '../host/native/loop-state.ts';
import { PLAIN_FILE_PREFIX } from '../host/native/plain-file-name.ts';
import { isAlive, makeFolder, readJson, thisProcess, writeJson, type Owner } from './durable.ts';
import { Signal } from './signal.ts';

/** How often notes of other processes are looked at while a device is kept or the list is watched. */
const POLL_MS = 300;
/** The helper waits two seconds for the kernel; the rest is a busy machine. */
const ANSWER_MS_MAX = 15_000;
/** A plain file that a run is still filling is younger than this. */
const PLAIN_FILE_IDLE_MS = 60_000;
const PLAIN_FILE = new RegExp(`^${PLAIN_FILE_PREFIX.replaceAll('.', '\\.')}[0-9a-f]{12}$`);
const NOTE = /^([0-9a-f]{12})\.json$/;

interface Note {
  readonly version: 1;
  readonly owner: Owner;
  readonly device: string;
  readonly imagePath: string;
  /** The image as sysfs names it, which may be by another path: what the note is checked by. */
  readonly backingFile: string;
}
interface Found {
  readonly id: string;
  readonly note: Note;
}
interface Answer {
  readonly version: 1;
  readonly failure: HostErrorData | null;
}

export interface LoopsParts {
  /** Of the notes. */
  readonly folder: string;
  /** The process that holds the devices: no other work is done in it that would make a detach wait. */
  readonly holder: EngineHost;
  /** Folders in which images lie, where runs may have left plain files. */
  readonly imageFolders: () => Promise<readonly string[]>;
  /** True while some process has the file locked. */
  readonly isLocked: (path: string) => Promise<boolean>;
}

export class Loops {
  /** Devices of this process, by the id of their note. */
  private readonly own = new Map<string, HeldLoop>();
  private readonly changed = new Signal();
  private poll: NodeJS.Timeout | null = null;
  private isClosing = false;

  constructor(private readonly parts: LoopsParts) {}

  async attach(ask: HeldLoopAsk): Promise<LoopDeviceInfo> {
    if (!isAbsolute(ask.path)) throw notAbsolute(ask.path);
    const held = await this.parts.holder.call('loop-attach', ask);
    const id = randomBytes(6).toString('hex');
    const { device, imagePath } = held;
    const backingFile = loopState(device)?.backingFile ?? imagePath;
    const note: Note = { version: 1, owner: thisProcess(), device, imagePath, backingFile };
    try {
      await makeFolder(this.parts.folder);
      await writeJson(this.pathOf(id), note);
    } catch (error) {
      await this.parts.holder.call('loop-detach', { device });
      throw error;
    }
    this.own.set(id, held);
    this.listenForNotes();
    this.changed.raise();
    return { ...held, owner: 'here', pid: process.pid };
  }

  async list(): Promise<LoopDeviceInfo[]> {
    await this.forgetLost();
    const here = [...this.own.values()].map((held) => ({
      ...held,
      owner: 'here' as const,
      pid: process.pid,
    }));
    const others = (await this.notes())
      .filter(({ id }) => !this.own.has(id))
      .map(({ note }) => infoOf(note))
      .filter((info) => info !== null);
    return [...here, ...others].sort((a, b) => numberOf(a.device) - numberOf(b.device));
  }

  /** The list now, and again whenever it has changed, here or in another process. */
  async *watch(signal?: AbortSignal): AsyncGenerator<LoopDeviceInfo[]> {
    let last = '';
    while (signal?.aborted !== true && !this.isClosing) {
      const seen = this.changed.count;
      const list = await this.list();
      const text = JSON.stringify(list);
      if (text !== last) yield list;
      last = text;
      const stop = new AbortController();
      const pause = setTimeout(() => {
        stop.abort();
      }, POLL_MS);
      const either = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
      await this.changed.wait(seen, either);
      clearTimeout(pause);
    }
  }

  /** Throws 'loop.not-ours' for a device of anybody else, 'helper.busy' where somebody uses it. */
  async detach(device: string): Promise<{ detached: boolean }> {
    for (const [id, held] of this.own) {
      if (held.device === device) return this.detachOwn(id, device);
    }
    const found = (await this.notes()).find(
      ({ note }) => note.device === device && infoOf(note) !== null,
    );
    if (found === undefined) throw notOurs(device);
    if (!isAlive(found.note.owner)) throw leftBehind(found.note);
    return this.askOwner(found);
  }

  /** What is on the disk of diolabs and runs that are gone. */
  async leftovers(): Promise<Leftover[]> {
    const found: Leftover[] = [];
    for (const { id, note } of await this.notes()) {
      if (isAlive(note.owner)) continue;
      const isThere = infoOf(note) !== null;
      const text = isThere
        ? `${note.device} is still behind ${note.imagePath}: somebody uses it, and the kernel clears it when they stop.`
        : `A diolab that is gone kept ${note.device} over ${note.imagePath}; the kernel has cleared it.`;
      const { size } = await lstat(this.pathOf(id));
      found.push({ path: this.pathOf(id), kind: 'loop-note', sizeBytes: size, text });
    }
    for (const folder of new Set(await this.parts.imageFolders())) {
      found.push(...(await this.plainFilesIn(folder)));
    }
    return found;
  }

  /** Removes what `leftovers` lists at this moment; throws 'leftover.unknown' for anything else. */
  async removeLeftover(path: string): Promise<{ removed: boolean }> {
    if (!(await this.leftovers()).some((leftover) => leftover.path === path)) {
      throw new HostError({
        code: 'leftover.unknown',
        message: `${path} is nothing that a run has left behind`,
        where: path,
        hint: 'The list of leftovers shows what there is.',
        exitCode: 66,
      });
    }
    await rm(path);
    this.changed.raise();
    return { removed: true };
  }

  /** Detaches what is kept here. A device that somebody uses goes when they stop. */
  async close(): Promise<void> {
    this.isClosing = true;
    if (this.poll !== null) clearInterval(this.poll);
    this.poll = null;
    for (const [id, { device }] of this.own) {
      // Busy: the helper ends with the holder, and the kernel clears the device with its last user. The note is then a leftover.
      await this.detachOwn(id, device).catch(() => undefined);
    }
    this.changed.raise();
  }

  private pathOf(id: string): string {
    return join(this.parts.folder, `${id}.json`);
  }
  private askPath(id: string): string {
    return join(this.parts.folder, `${id}.ask.json`);
  }
  private answerPath(id: string): string {
    return join(this.parts.folder, `${id}.answer.json`);
  }

  private async names(): Promise<string[]> {
    return readdir(this.parts.folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
  }

  private async notes(): Promise<Found[]> {
    const found: Found[] = [];
    for (const name of await this.names()) {
      const id = NOTE.exec(name)?.[1];
      if (id === undefined) continue;
      const note = (await readJson(this.pathOf(id))) as Note | null;
      if (note?.version === 1) found.push({ id, note });
    }
    return found;
  }

  private async detachOwn(id: string, device: string): Promise<{ detached: boolean }> {
    const detached = await this.parts.holder.call('loop-detach', { device });
    await this.forget(id);
    return { detached };
  }

  private async forget(id: string): Promise<void> {
    this.own.delete(id);
    for (const path of [this.pathOf(id), this.askPath(id)]) await rm(path, { force: true });
    if (this.own.size === 0 && this.poll !== null) {
      clearInterval(this.poll);
      this.poll = null;
    }
    this.changed.raise();
  }

  /** Devices whose holder or helper was ended from outside. */
  private async forgetLost(): Promise<void> {
    if (this.own.size === 0) return;
    const held = await this.parts.holder.call('loops-held', {});
    const devices = new Set(held.map(({ device }) => device));
    for (const [id, { device }] of this.own) {
      if (!devices.has(device)) await this.forget(id);
    }
    for (const now of held) {
      for (const [id, { device }] of this.own) if (device === now.device) this.own.set(id, now);
    }
  }

  /** Looks for requests of other diolabs for as long as something is kept here. */
  private listenForNotes(): void {
    let isLooking = false;
    this.poll ??= setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      void this.answerRequests().finally(() => {
        isLooking = false;
      });
    }, POLL_MS).unref();
  }

  private async answerRequests(): Promise<void> {
    for (const [id, { device }] of [...this.own]) {
      const asked = await readJson(this.askPath(id)).catch(() => null);
      if (asked === null) continue;
      let failure: HostErrorData | null = null;
      try {
        await this.detachOwn(id, device);
      } catch (error) {
        failure = failureData(error);
        await rm(this.askPath(id), { force: true });
      }
      const answer: Answer = { version: 1, failure };
      // A disk that takes no answer: the other side sees by the kernel that the device is gone, or gives up.
      await writeJson(this.answerPath(id), answer).catch(() => undefined);
    }
    await this.forgetLost().catch(() => undefined);
  }

  /** Asks the process that keeps the device, and waits for what it says. */
  private async askOwner({ id, note }: Found): Promise<{ detached: boolean }> {
    await rm(this.answerPath(id), { force: true });
    await writeJson(this.askPath(id), { version: 1, from: thisProcess() });
    try {
      for (let waitedMs = 0; waitedMs < ANSWER_MS_MAX; waitedMs += POLL_MS / 3) {
        const answer = (await readJson(this.answerPath(id))) as Answer | null;
        if (answer !== null && answer.failure !== null) throw HostError.fromJSON(answer.failure);
        if (answer !== null) return { detached: true };
        if (!isAlive(note.owner)) return { detached: infoOf(note) === null };
        await sleep(POLL_MS / 3);
      }
    } finally {
      await rm(this.askPath(id), { force: true });
      await rm(this.answerPath(id), { force: true });
    }
    throw new HostError({
      code: 'loop.no-answer',
      message: `The diolab that keeps ${note.device} (process ${String(note.owner.pid)}) did not answer`,
      where: note.device,
      hint: 'It may be stopped. Detach the device there, or end that process.',
      exitCode: 74,
    });
  }

  private async plainFilesIn(folder: string): Promise<Leftover[]> {
    const found: Leftover[] = [];
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((each) => PLAIN_FILE.test(each))) {
      const path = join(folder, name);
      const stats = await lstat(path).catch(() => null);
      if (stats?.isFile() !== true || stats.uid !== process.geteuid?.()) continue;
      const isIdle = Date.now() - stats.mtimeMs > PLAIN_FILE_IDLE_MS;
      if (!isIdle || (await this.parts.isLocked(path))) continue;
      const text = 'The plain file of a run without the engine that was killed.';
      found.push({ path, kind: 'plain-file', sizeBytes: stats.size, text });
    }
    return found;
  }
}

const numberOf = (device: string): number => Number(/\d+$/.exec(device)?.[0] ?? 0);

/** A device that a note names, as the kernel shows it; null where it is gone or somebody else's by now. */
function infoOf({ device, imagePath, backingFile, owner }: Note): LoopDeviceInfo | null {
  const state = loopState(device);
  if (state === null || state.backingFile.replace(/ \(deleted\)$/, '') !== backingFile) return null;
  const { sectorBytes, hasDirectIo, isReadOnly, sizeBytes } = state;
  return {
    device,
    imagePath,
    sectorBytes,
    hasDirectIo,
    isReadOnly,
    sizeBytes,
    owner: isAlive(owner) ? 'elsewhere' : 'leftover',
    pid: isAlive(owner) ? owner.pid : null,
  };
}

const notOurs = (device: string): HostError =>
  new HostError({
    code: 'loop.not-ours',
    message: `${device} was not attached by diolab, and is left alone`,
    where: device,
    hint: 'diolab loop list shows those that were; losetup lists all.',
    exitCode: 77,
  });

const leftBehind = ({ device }: Note): HostError =>
  new HostError({
    code: 'loop.left-behind',
    message: `The diolab that attached ${device} is gone, and somebody still uses the device`,
    where: device,
    hint: 'Unmount or close it: the kernel clears it with its last user.',
    exitCode: 77,
  });

const notAbsolute = (path: string): HostError =>
  new HostError({
    code: 'image.bad-path',
    message: `${JSON.stringify(path)} is not an absolute path`,
    where: path,
    hint: 'Give the whole path, from /.',
    exitCode: 64,
  });
