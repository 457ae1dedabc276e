// SPDX-License-Identifier: GPL-2.0-only
/** What the hostile tests of the helper stand on: two ordinary users, image files of theirs, and a look at what the system has. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  chownSync, closeSync, constants, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync,
  writeFileSync,
} from 'node:fs'; // prettier-ignore
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { FrameSession, lockFile, STATUS, VERB, type Answer } from './helper-frames.ts';

export const MIB = 2 ** 20;
const SOURCE = join(import.meta.dirname, 'helper-companion.c');

const pauseMs = (timeMs: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeMs);
};

/** Numbers that no account of this machine has. */
function freeUsers(): readonly [number, number] {
  const taken = new Set(
    readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => Number(line.split(':')[2])),
  ); // prettier-ignore
  const free: number[] = [];
  for (let uid = 61_000; free.length < 2; uid++) if (!taken.has(uid)) free.push(uid);
  return [free[0] as number, free[1] as number];
}

export class HelperLab {
  readonly folder = mkdtempSync(join(tmpdir(), 'diolab-hostile-'));
  readonly users = freeUsers();
  private readonly fds: number[] = [];
  private readonly undo: (() => void)[] = [];
  private readonly sessions: FrameSession[] = [];
  private readonly companions: ChildProcess[] = [];
  private count = 0;

  constructor(
    /** The helper under test; the guards' check puts another one here. */
    public helper: string,
  ) {
    execFileSync('cc', ['-O1', '-o', this.companionPath, SOURCE]);
    execFileSync('cc', ['-shared', '-fPIC', '-DPRELOAD', '-o', join(this.folder, 'preload.so'), SOURCE]); // prettier-ignore
  }
  private get companionPath(): string {
    return join(this.folder, 'companion');
  }

  /** A sparse image of the first user's, unless told otherwise. */
  image(sizeBytes = MIB, uid = this.users[0], name = `image-${String(this.count++)}`): string {
    const path = join(this.folder, name);
    writeFileSync(path, '', { mode: 0o600 });
    truncateSync(path, sizeBytes);
    chownSync(path, uid, uid);
    return path;
  }
  /** An image with a file system. */
  formatted(program: readonly string[], sizeBytes: number): string {
    const path = this.image(sizeBytes);
    const [command = '', ...words] = program;
    execFileSync(command, [...words, path], { stdio: 'ignore' });
    return path;
  }

  /** Open until the end of the case. */
  open(path: string, flags: number = constants.O_RDWR): number {
    return this.keep(openSync(path, flags));
  }
  /** Open and locked, as the lab does it. */
  locked(path: string, flags: number = constants.O_RDWR): number {
    const fd = this.open(path, flags);
    expect(lockFile(fd, flags === constants.O_RDONLY ? 0 : 1)).toBe(0);
    return fd;
  }
  keep(fd: number): number {
    if (fd < 0) throw new Error(`no descriptor: ${String(fd)}`);
    this.fds.push(fd);
    return fd;
  }
  /** Closes one that was kept. */
  close(fd: number): void {
    const at = this.fds.indexOf(fd);
    if (at >= 0) this.fds.splice(at, 1);
    closeSync(fd);
  }
  later(work: () => void): void {
    this.undo.push(work);
  }

  session(options: Parameters<typeof FrameSession.open>[1] = {}): FrameSession {
    const session = FrameSession.open(this.helper, { uid: this.users[0], ...options });
    this.sessions.push(session);
    return session;
  }
  silentSession(options: Parameters<typeof FrameSession.open>[1] = {}): FrameSession {
    const session = FrameSession.start(this.helper, { uid: this.users[0], ...options });
    this.sessions.push(session);
    return session;
  }

  /** A program of helper-companion.c, ready; it ends with the case. */
  async companion(...words: readonly string[]): Promise<ChildProcess> {
    const child = spawn(this.companionPath, words, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.companions.push(child);
    let said = '';
    child.stderr.on('data', (data: Buffer) => { said += String(data); }); // prettier-ignore
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => {
        throw new Error(`companion ${words.join(' ')}: ${said}`);
      }),
    ]);
    return child;
  }

  /** Loop devices whose file is of this lab. */
  loops(): string[] {
    return readdirSync('/sys/block')
      .filter((name) => name.startsWith('loop'))
      .flatMap((name) => {
        const file = `/sys/block/${name}/loop/backing_file`;
        try {
          const path = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
          return path.includes(this.folder) || path.includes('diolab-memory')
            ? [`${name} ${path}`]
            : [];
        } catch {
          // Detached in between: not attached.
          return [];
        }
      });
  }
  /** All that a request could change, as text. */
  snapshot(session: FrameSession): unknown {
    const proc = `/proc/${String(session.child.pid)}`;
    // It closes its copy of what it sent after sending it: it is done when it waits for the next request.
    while (!/\) S /u.test(readFileSync(`${proc}/stat`, 'utf8'))) pauseMs(1);
    const mountsOf = (path: string): string[] =>
      readFileSync(path, 'utf8').split('\n').map((line) => line.replace(/^\d+ \d+ /u, '')); // prettier-ignore
    const hosts = new Set(mountsOf('/proc/self/mountinfo'));
    const instances = `${proc}/root/sys/kernel/tracing/instances`;
    return {
      loops: this.loops(),
      mounts: [...hosts].filter((line) => line.includes(this.folder)),
      mountsOfHelper: mountsOf(`${proc}/mountinfo`).filter((line) => line.includes('tracefs') || line.includes(this.folder)),
      traces: existsSync(instances)
        ? readdirSync(instances).filter((name) => name.startsWith(`diolab-${String(session.child.pid)}-`))
        : [],
      run: readdirSync('/run').filter((name) => /diolab|loop/u.test(name)),
      descriptors: readdirSync(`${proc}/fd`).map((fd) => readlinkSync(`${proc}/fd/${fd}`)).sort(),
    }; // prettier-ignore
  }

  /** One request that must be refused with this status, change nothing, and leave the session alive. */
  refuses(session: FrameSession, status: number | readonly number[], work: () => Answer): void {
    const before = this.snapshot(session);
    const answer = work();
    if (answer.fd >= 0) this.keep(answer.fd);
    expect(typeof status === 'number' ? [status] : status).toContain(answer.status);
    expect(answer.fd).toBe(-1);
    expect(this.snapshot(session)).toEqual(before);
  }
  /** The same for an ATTACH of this descriptor in a session of its own. */
  refusesFd(status: number | readonly number[], fd: number, ask: { flags?: number; sector?: bigint; session?: FrameSession } = {}): void {
    const session = ask.session ?? this.session();
    const frame = { words: [ask.sector ?? 512n], flags: ask.flags ?? 0, fds: [fd] };
    this.refuses(session, status, () => session.ask(VERB.attach, frame));
  } // prettier-ignore
  /** An ATTACH that works: its handle, number and the device's descriptor. */
  attached(session: FrameSession, fd: number, flags = 0): { handle: bigint; number: number; fd: number } {
    const answer = session.ask(VERB.attach, { words: [512n], flags, fds: [fd] });
    if (answer.fd >= 0) this.keep(answer.fd);
    expect(answer.status).toBe(STATUS.ok);
    return { handle: answer.values[0] ?? 0n, number: Number(answer.values[1]), fd: answer.fd };
  } // prettier-ignore

  /** Ends what a case left: sessions first, so that nothing keeps a device. */
  async clear(): Promise<void> {
    for (const session of this.sessions) session.close();
    for (const fd of this.fds.splice(0)) closeSync(fd);
    for (const child of this.companions.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.stdin?.end();
        await gone;
      }
    }
    for (const session of this.sessions.splice(0)) await session.exited;
    for (const work of this.undo.splice(0).reverse()) work();
  }
  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
