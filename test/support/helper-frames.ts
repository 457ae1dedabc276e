// SPDX-License-Identifier: GPL-2.0-only
/**
 * The helper's protocol, byte by byte, for tests that do not keep to it: any bytes, any descriptors, any peer.
 *
 *   const session = FrameSession.start(path, { uid });      // PKEXEC_UID and a socketpair that this user made
 *   session.ask(VERB.attach, { words: [512n], fds: [fd] })  // -> { status, values, fd }
 *
 * Only the thread changes its user for the moment of making a pair (a raw system call does not tell the other threads).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { Arena } from '../../engine/base/index.ts';
import { makeNativeArena } from '../../main/host/native/arena.ts';
import { requireSyscalls } from '../../main/host/native/syscalls.ts';

export const VERB = {
  hello: 1, attach: 2, detach: 3, verifyMount: 4, unmount: 5, traceStart: 6, traceStop: 7, status: 8, bye: 9,
} as const; // prettier-ignore
export const FLAG = { readOnly: 1, directIo: 2 } as const;
/** As in the helper's source; rules R1 to R12 are 101 to 112, and host errors 1000 and more. */
export const STATUS = {
  ok: 0, frame: 1, version: 2, verb: 3, flags: 4, reserved: 5, fds: 6, order: 7, id: 8, rate: 9, argument: 10, handle: 11,
  busy: 12, directIo: 13, missing: 15,
} as const; // prettier-ignore
export const rule = (number: number): number => 100 + number;

const X64 = {
  sendmsg: 46, recvmsg: 47, socketpair: 53, setsockopt: 54, shutdown: 48, socket: 41, setresuid: 117, eventfd: 290,
  epoll: 291, memfd: 319, pidfd: 434, fcntl: 72, ioctl: 16,
} as const; // prettier-ignore
const ARM64 = {
  sendmsg: 211, recvmsg: 212, socketpair: 199, setsockopt: 208, shutdown: 210, socket: 198, setresuid: 147, eventfd: 19,
  epoll: 20, memfd: 279, pidfd: 434, fcntl: 25, ioctl: 29,
} as const; // prettier-ignore
const numbers = process.arch === 'arm64' ? ARM64 : X64;
type Name = keyof typeof X64;

const FRAME_BYTES = 64;
const AF_UNIX = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const AT = { message: 0, vector: 64, small: 128, control: 4096, data: 8192 } as const;

let memory: Arena | null = null;
function arena(): Arena {
  memory ??= makeNativeArena(2 + 300);
  return memory;
}

/** A system call by name; minus an errno where it failed. */
export function raw(name: Name, ...words: number[]): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = words;
  return requireSyscalls().table.call(numbers[name], a, b, c, d, e, f);
}

/** The address of small data (up to 3968 bytes), until the next call. */
export function lend(data: Uint8Array): number {
  const { bytes, baseAddress } = arena();
  bytes.set(data, AT.small);
  return baseAddress + AT.small;
}

/** An OFD lock on the whole file; minus an errno. `kind`: 0 for reading, 1 for writing, 2 for none. */
export function lockFile(fd: number, kind: 0 | 1 | 2 = 1, lengthBytes = 0): number {
  const flock = new DataView(new ArrayBuffer(32));
  flock.setInt16(0, kind, true);
  flock.setBigInt64(16, BigInt(lengthBytes), true);
  return raw('fcntl', fd, 37, lend(new Uint8Array(flock.buffer)));
}

/** A pair of sockets whose maker, to SO_PEERCRED, is this user. */
export function makePairOf(uid: number, type = 5): readonly [number, number] {
  const { words, baseAddress } = arena();
  if (uid !== 0) raw('setresuid', -1, uid, -1);
  const made = raw('socketpair', AF_UNIX, type | SOCK_CLOEXEC, 0, baseAddress + AT.small);
  if (uid !== 0) raw('setresuid', -1, 0, -1);
  if (made < 0) throw new Error(`socketpair: ${String(made)}`);
  const [own = -1, others = -1] = words.subarray(AT.small / 4, AT.small / 4 + 2);
  return [own, others];
}

export interface Frame {
  readonly magic?: number;
  readonly version?: number;
  readonly flags?: number;
  readonly id?: number;
  readonly words?: readonly bigint[];
  readonly reserved?: readonly bigint[];
  readonly fds?: readonly number[];
}
export interface Answer {
  readonly status: number;
  readonly verb: number;
  readonly id: number;
  readonly values: readonly bigint[];
  readonly fd: number;
}

export class FrameSession {
  private nextId = 1;
  private isOpen = true;
  readonly exited: Promise<number | null>;
  private constructor(
    readonly socket: number,
    readonly child: ChildProcess,
  ) {
    this.exited = once(child, 'exit').then(([code]) => code as number | null);
    // Answers that do not come are a failure of the test, not a hang.
    const time = new DataView(new ArrayBuffer(16));
    time.setBigInt64(0, 20n, true);
    raw('setsockopt', socket, SOL_SOCKET, SO_RCVTIMEO, lend(new Uint8Array(time.buffer)), 16);
  }

  /** Starts the helper on behalf of a user, without a HELLO. `through`: a program and its words before it. */
  static start(
    path: string,
    { uid = 0, through = [] as readonly string[], environment = {} } = {},
  ): FrameSession {
    const [own, others] = makePairOf(uid);
    const [command = path, ...words] = [...through, path];
    const child = spawn(command, words, {
      stdio: [others, 'ignore', 'ignore'],
      cwd: '/',
      env: { ...(uid !== 0 && { PKEXEC_UID: String(uid) }), ...environment },
    });
    closeSync(others);
    return new FrameSession(own, child);
  }

  /** Starts it and says HELLO. */
  static open(path: string, options: Parameters<typeof FrameSession.start>[1] = {}): FrameSession {
    const session = FrameSession.start(path, options);
    const { status } = session.ask(VERB.hello, { words: [1n] });
    if (status !== STATUS.ok) throw new Error(`HELLO: ${String(status)}`);
    return session;
  }

  frame(verb: number, ask: Frame = {}): Uint8Array {
    const view = new DataView(new ArrayBuffer(FRAME_BYTES));
    view.setUint32(0, ask.magic ?? 0x4c4f4944, true);
    view.setUint16(4, ask.version ?? 1, true);
    view.setUint16(6, verb, true);
    view.setUint32(8, ask.flags ?? 0, true);
    view.setUint32(12, ask.id ?? this.nextId++, true);
    for (const [index, word] of (ask.words ?? []).entries())
      view.setBigUint64(16 + 8 * index, word, true);
    for (const [index, word] of (ask.reserved ?? []).entries())
      view.setBigUint64(48 + 8 * index, word, true);
    return new Uint8Array(view.buffer);
  }

  /** Bytes as they are, and descriptors; minus an errno where the kernel does not take them. */
  send(data: Uint8Array, fds: readonly number[] = []): number {
    const { bytes, baseAddress } = arena();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    bytes.fill(0, 0, AT.small);
    bytes.set(data, AT.data);
    view.setBigUint64(AT.vector, BigInt(baseAddress + AT.data), true);
    view.setBigUint64(AT.vector + 8, BigInt(data.length), true);
    view.setBigUint64(AT.message + 16, BigInt(baseAddress + AT.vector), true);
    view.setBigUint64(AT.message + 24, 1n, true);
    if (fds.length > 0) {
      const lengthBytes = 16 + 4 * fds.length;
      view.setBigUint64(AT.message + 32, BigInt(baseAddress + AT.control), true);
      view.setBigUint64(AT.message + 40, BigInt(8 * Math.ceil(lengthBytes / 8)), true);
      view.setBigUint64(AT.control, BigInt(lengthBytes), true);
      view.setInt32(AT.control + 8, SOL_SOCKET, true);
      view.setInt32(AT.control + 12, 1, true);
      for (const [index, fd] of fds.entries()) view.setInt32(AT.control + 16 + 4 * index, fd, true);
    }
    return raw('sendmsg', this.socket, baseAddress + AT.message, MSG_NOSIGNAL);
  }

  /** The next answer, or null at the end of the session. */
  receive({ wait = true } = {}): Answer | null {
    const { bytes, baseAddress } = arena();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    bytes.fill(0, 0, AT.small);
    bytes.fill(0, AT.control, AT.control + 24);
    view.setBigUint64(AT.vector, BigInt(baseAddress + AT.data), true);
    view.setBigUint64(AT.vector + 8, BigInt(FRAME_BYTES), true);
    view.setBigUint64(AT.message + 16, BigInt(baseAddress + AT.vector), true);
    view.setBigUint64(AT.message + 24, 1n, true);
    view.setBigUint64(AT.message + 32, BigInt(baseAddress + AT.control), true);
    view.setBigUint64(AT.message + 40, 24n, true);
    const flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
    const count = raw('recvmsg', this.socket, baseAddress + AT.message, flags);
    if (count === -11 && wait) throw new Error('the helper did not answer in 20 s');
    if (count <= 0) return null;
    const hasFd = view.getUint32(AT.control, true) === 20;
    return {
      verb: view.getUint16(AT.data + 6, true),
      id: view.getUint32(AT.data + 8, true),
      status: view.getInt32(AT.data + 12, true),
      values: [0, 1, 2, 3, 4, 5].map((index) => view.getBigUint64(AT.data + 16 + 8 * index, true)),
      fd: hasFd ? view.getInt32(AT.control + 16, true) : -1,
    };
  }

  exchange(data: Uint8Array, fds: readonly number[] = []): Answer {
    const sent = this.send(data, fds);
    if (sent < 0) throw new Error(`sendmsg: ${String(sent)}`);
    const answer = this.receive();
    if (answer === null) throw new Error('the session ended');
    return answer;
  }
  ask(verb: number, ask: Frame = {}): Answer {
    return this.exchange(this.frame(verb, ask), ask.fds);
  }

  /** Makes room for datagrams that no ordinary user could send. */
  widen(): void {
    const size = new Uint8Array(new Int32Array([8 << 20]).buffer);
    raw('setsockopt', this.socket, SOL_SOCKET, SO_SNDBUFFORCE, lend(size), 4);
  }
  /** No more requests; answers can still come. */
  halfClose(): number {
    return raw('shutdown', this.socket, 1);
  }
  close(): void {
    if (this.isOpen) closeSync(this.socket);
    this.isOpen = false;
  }
  /** Closes our end and waits for the helper's exit. */
  async end(): Promise<number | null> {
    this.close();
    return this.exited;
  }
}
