// SPDX-License-Identifier: GPL-2.0-only
/**
 * A session with the privileged helper (main/helper): starts it, sends it requests of 64 bytes, and takes the descriptors that come
 * back. The protocol and its rules are drawn in the helper's own source.
 *
 *   start: socketpair --spawn with one end as fd 0--> HELLO --answered--> open --close or end of this process--> the helper ends itself
 *
 *   a request: 0 magic u32, 4 version u16, 6 verb u16, 8 flags u32, 12 id u32, 16 arguments u64[4], 48 reserved u64[2]
 *   a reply:   0 magic u32, 4 version u16, 6 verb u16, 8 id u32, 12 status s32, 16 values u64[6]
 *
 * Rules: 1. Starting it forks: it is done before any I/O is in flight. 2. Calls block the thread, for as long as the helper may take.
 * 3. An unprivileged lab starts the installed helper through pkexec, a privileged one starts it directly; no other path is run as root.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errnoName, HostError } from '../../../engine/base/index.ts';
import { readU64, scratch } from './scratch.ts';
import { requireSyscalls, type NativeSyscalls } from './syscalls.ts';

const MAGIC = 0x4c4f4944;
const VERSION = 1;
const FRAME_BYTES = 64;

const VERB = {
  hello: 1, attach: 2, detach: 3, verifyMount: 4, unmount: 5, traceStart: 6, traceStop: 7, status: 8, bye: 9,
} as const; // prettier-ignore
const FLAG = { readOnly: 1, directIo: 2 } as const;
const CAN = { loop: 1, verifyMount: 2, trace: 4 } as const;

/** Where the package puts it, and the only path that pkexec's policy names. */
export const INSTALLED_HELPER = '/usr/lib/diolab/diolab-helper';
const PKEXEC = '/usr/bin/pkexec';
const POLICY = '/usr/share/polkit-1/actions/io.github.diolab.policy';

/** A person may have to find and type a password. */
const HELLO_SECONDS_MAX = 120;
/** The helper waits two seconds at most for the kernel; the rest is a busy machine. */
const REPLY_SECONDS_MAX = 15;
const POLL_MS = 200;
/** A request over the rate is asked again after a pause: the bucket fills by ten a second. */
const STATUS_RATE = 9;
const RATE_PAUSE_MS = 120;
const RATE_ATTEMPTS_MAX = 20;

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = -11;
const EINTR = -4;

/** Where things lie in the scratch memory, in bytes. struct msghdr is 56 bytes, a control message with one descriptor 24. */
const AT = { message: 0, vector: 64, control: 96, frame: 128, pair: 192, timeout: 200 } as const;
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;

export type VerifyFileSystem = 'ext4' | 'xfs' | 'btrfs';
const FILE_SYSTEM_NUMBER: Readonly<Record<VerifyFileSystem, number>> = {
  ext4: 1,
  xfs: 2,
  btrfs: 3,
};
export type TraceEvents = 'bio' | 'request' | 'all';
const EVENTS_NUMBER: Readonly<Record<TraceEvents, number>> = { bio: 1, request: 2, all: 3 };

/** What the kernel says of a device that was just attached: read back, not what was asked for. */
export interface AttachedLoop {
  readonly handle: bigint;
  /** The N of /dev/loopN, to show; the device is used through `fd` alone. */
  readonly number: number;
  /** Belongs to the caller. Exclusive: while it is open nobody can mount the device. */
  readonly fd: number;
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly isReadOnly: boolean;
  readonly isDirect: boolean;
}
export interface HelperLimits {
  readonly devicesMax: number;
  readonly mountsMax: number;
  readonly canAttach: boolean;
  readonly canVerifyMount: boolean;
  readonly canTrace: boolean;
}
export interface HelperCounters {
  readonly devices: number;
  readonly mounts: number;
  readonly isTracing: boolean;
  readonly requests: number;
  readonly refused: number;
}

/** Statuses of the helper, each with what it means for the person: the message, and what would be right. */
const STATUS_TEXT: Readonly<Record<number, readonly [code: string, message: string, hint: string]>> = {
  2: ['version', 'the helper speaks another version of the protocol', 'Install the lab and its helper from the same package.'],
  9: ['rate', 'the helper was asked too often', 'Wait a second: it takes ten requests a second.'],
  10: ['argument', 'the helper does not take that value', 'Sector sizes are 512, 1024, 2048 and 4096; a trace takes 1 to 600 seconds.'],
  11: ['handle', 'the device is not one of this session', 'Attach it first.'],
  12: ['busy', 'the device is still in use', 'Close what uses it (a run, a mount of it, a program that opened it), then try again.'],
  13: ['direct-io', 'the kernel did not make the loop device as asked: its direct I/O, sector size or size differ', 'Use sectors as large as the disk under the image wants, or turn direct I/O of the loop device off.'],
  15: ['missing', 'this kernel has no tracefs with block events', 'Mount tracefs, or use a kernel with CONFIG_BLK_DEV_IO_TRACE.'],
  101: ['r1', 'exactly one file goes with the request', 'This is a defect of the lab.'],
  102: ['r2', 'the image is not a regular file', 'An image is a regular file.'],
  103: ['r3', 'the image is open in a way that does not cover what was asked', 'Open it for reading and writing, or attach it read-only.'],
  104: ['r4', 'the image belongs to another user, or is setuid or setgid', 'Make a copy of your own and attach that.'],
  105: ['r5', 'the image has more than one name, or none', 'Make a copy: a file with other hard links is refused.'],
  106: ['r6', 'the image lies on a file system that the helper does not take', 'Keep it on ext4, XFS, btrfs or tmpfs.'],
  107: ['r7', 'the image has a size that the helper does not take', 'From 64 KiB to 64 GiB, and a multiple of the sector size.'],
  108: ['r8', 'the image is append-only, immutable, encrypted, sealed by verity, or swap', 'Take the attribute off (chattr), or make a copy.'],
  109: ['r9', 'the image is behind a loop device already', 'Detach it there first (losetup -j IMAGE names it).'],
  110: ['r10', 'the image is not locked by the one who asks', 'This is a defect of the lab.'],
  111: ['r11', 'the image lies on a loop device of this session', 'Copy it to an ordinary disk.'],
  112: ['r12', 'the session has all the devices, mounts or traces that it may have', 'Detach one first: 8 devices, 2 mounts and 1 trace at a time.'],
}; // prettier-ignore
const HOST_STEPS = [
  '',
  'configuring the loop device',
  'mounting',
  'mounting',
  'making the trace',
  'opening the trace',
];

const X64 = { socketpair: 53, setsockopt: 54, sendmsg: 46, recvmsg: 47 } as const;
const ARM64 = { socketpair: 199, setsockopt: 208, sendmsg: 211, recvmsg: 212 } as const;
const socketNumbers = process.arch === 'arm64' ? ARM64 : X64;

function refusal(code: string, message: string, hint: string, exitCode = 77): HostError {
  return new HostError({ code: `helper.${code}`, message, where: 'helper', hint, exitCode });
}

function statusError(status: number, step: number): HostError {
  if (status >= 1000) {
    const name = errnoName(-(status - 1000)) ?? `errno ${String(status - 1000)}`;
    const what = HOST_STEPS[step] ?? 'the kernel';
    return refusal('host', `${what}: ${name}`, 'The kernel log (dmesg) says more.', 74);
  }
  const text = STATUS_TEXT[status];
  if (text !== undefined) return refusal(...text);
  return refusal('protocol', `the helper refused the request (status ${String(status)})`, 'This is a defect of the lab.', 70); // prettier-ignore
}

/** How the helper is started here, or why it cannot be. */
export type HelperStart =
  | { readonly command: string; readonly words: readonly string[] }
  | { readonly missingWhy: string; readonly remedy: string };

/** The helper that `npm run build:helper` makes, beside the built engine. */
const builtHelper = (): string =>
  fileURLToPath(new URL('../helper/diolab-helper', import.meta.url));

/** Root's, and changed by nobody else: what runs as root has to be. */
const isTrusted = (path: string): boolean => {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.uid === 0 && (stats.mode & 0o022) === 0;
};

/**
 * Decides how to start the helper. Never asks the person anything. A privileged lab may be told another place by DIOLAB_HELPER; what
 * root does not own alone is not taken there either.
 */
export function helperStart(effectiveUid = process.geteuid?.() ?? -1): HelperStart {
  if (process.platform !== 'linux') {
    return {
      missingWhy: 'loop devices are Linux’s',
      remedy: 'Use image files or the model device.',
    };
  }
  if (effectiveUid === 0) {
    const told = process.env['DIOLAB_HELPER'];
    const places = [...(told === undefined ? [] : [told]), builtHelper(), INSTALLED_HELPER];
    const found = places.find(isTrusted);
    if (found !== undefined) return { command: found, words: [] };
    return {
      missingWhy: 'the helper is not built',
      remedy: 'npm run build:helper (it takes a C compiler: apt install gcc libc6-dev).',
    };
  }
  if (!existsSync(INSTALLED_HELPER) || !existsSync(POLICY)) {
    if (process.env['APPIMAGE'] !== undefined) {
      return {
        missingWhy: 'an AppImage cannot bring it: root cannot read what a person mounted',
        remedy: 'Install the .deb for loop devices; everything else works as it is.',
      };
    }
    return {
      missingWhy: 'the helper is not installed, and only the package installs it',
      remedy: 'Install the .deb; an AppImage or a checkout cannot bring it.',
    };
  }
  if (!isTrusted(INSTALLED_HELPER)) {
    return {
      missingWhy: `${INSTALLED_HELPER} is not root's alone, and is not run`,
      remedy: 'Install the package again.',
    };
  }
  if (!existsSync(PKEXEC)) {
    return { missingWhy: 'pkexec is not installed', remedy: 'apt install pkexec' };
  }
  return { command: PKEXEC, words: [INSTALLED_HELPER] };
}

export interface SessionOptions {
  /** Started instead of what `helperStart` finds. */
  readonly start?: HelperStart;
  /** Looked at while a person may be typing a password. */
  readonly isStopRequested?: () => boolean;
}

/** One helper process and its socket. Not shared between threads. */
export class HelperSession {
  readonly limits: HelperLimits;
  readonly pid: number | undefined;
  private nextId = 0;
  private isClosed = false;

  private constructor(
    private readonly native: NativeSyscalls,
    private readonly socket: number,
    pid: number | undefined,
    isStopRequested: () => boolean,
  ) {
    this.pid = pid;
    const { values } = this.call(VERB.hello, {
      words: [VERSION],
      secondsMax: HELLO_SECONDS_MAX,
      isStopRequested,
    });
    const can = values[3] ?? 0;
    this.limits = {
      devicesMax: values[1] ?? 0,
      mountsMax: values[2] ?? 0,
      canAttach: (can & CAN.loop) !== 0,
      canVerifyMount: (can & CAN.verifyMount) !== 0,
      canTrace: (can & CAN.trace) !== 0,
    };
  }

  /** Starts the helper and greets it. Throws `HostError` where there is none, or the person did not allow it. */
  static open(options: SessionOptions = {}): HelperSession {
    const start = options.start ?? helperStart();
    if ('missingWhy' in start) throw refusal('missing', start.missingWhy, start.remedy, 78);
    const native = requireSyscalls();
    const [own, others] = makePair(native);
    let session: HelperSession | null = null;
    try {
      const child = spawn(start.command, [...start.words], {
        stdio: [others, 'ignore', 'ignore'],
        env: {},
        cwd: '/',
      });
      // Told by the socket: a helper that cannot be started, or ends, closes its end.
      child.on('error', () => undefined);
      child.unref();
      closeSync(others);
      session = new HelperSession(native, own, child.pid, options.isStopRequested ?? (() => false));
      return session;
    } finally {
      if (session === null) closeSync(own);
    }
  }

  /**
   * Attaches an image that is open and locked (R1 to R12 of the helper). What the kernel made is read back; where it differs from what
   * was asked, nothing stays attached and the error is 'helper.direct-io'.
   */
  attach(
    imageFd: number,
    ask: { readonly sectorBytes: number; readonly readOnly: boolean; readonly directIo: boolean },
  ): AttachedLoop {
    const flags = (ask.readOnly ? FLAG.readOnly : 0) | (ask.directIo ? FLAG.directIo : 0);
    const reply = this.call(VERB.attach, { words: [ask.sectorBytes], flags, fd: imageFd });
    const [, number = 0, sizeBytes = 0, sectorBytes = 0, state = 0] = reply.values;
    return {
      handle: reply.handle,
      number,
      fd: reply.takeFd(),
      sizeBytes,
      sectorBytes,
      isReadOnly: (state & FLAG.readOnly) !== 0,
      isDirect: (state & FLAG.directIo) !== 0,
    };
  }

  /** Only after the descriptor of `attach` was closed; else 'helper.busy', and nothing is changed. */
  detach(handle: bigint): void {
    this.call(VERB.detach, { handle });
  }

  /** A read-only mount that hangs nowhere; the descriptor of its root is the caller's. Only while the device's own one is closed. */
  verifyMount(handle: bigint, fileSystem: VerifyFileSystem): number {
    const words = [0, FILE_SYSTEM_NUMBER[fileSystem]];
    return this.call(VERB.verifyMount, { handle, words }).takeFd();
  }
  unmount(handle: bigint): void {
    this.call(VERB.unmount, { handle });
  }

  /** Block events of one or two devices of this session as text (trace_pipe); the descriptor is the caller's, and never blocks. */
  traceStart(
    handles: readonly [bigint, bigint?],
    events: TraceEvents,
    seconds: number,
    kib: number,
  ): number {
    const words = [0, EVENTS_NUMBER[events] + seconds * 2 ** 32, kib];
    return this.call(VERB.traceStart, {
      handle: handles[0],
      words,
      second: handles[1] ?? 0n,
    }).takeFd();
  }
  /** Only after the descriptor of `traceStart` was closed. */
  traceStop(): void {
    this.call(VERB.traceStop, {});
  }

  status(): HelperCounters {
    const [devices = 0, mounts = 0, tracing = 0, requests = 0, refused = 0] = this.call(
      VERB.status,
      {},
    ).values;
    return { devices, mounts, isTracing: tracing !== 0, requests, refused };
  }

  /** The helper lets everything go that nobody holds, and ends. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    closeSync(this.socket);
  }

  private call(
    verb: number,
    ask: {
      readonly words?: readonly number[];
      readonly handle?: bigint;
      readonly second?: bigint;
      readonly flags?: number;
      readonly fd?: number;
      readonly secondsMax?: number;
      readonly isStopRequested?: () => boolean;
    },
  ): Reply {
    this.nextId += 1;
    const arguments_ = [0n, 0n, 0n, 0n].map((_, index) => BigInt(ask.words?.[index] ?? 0));
    if (ask.handle !== undefined) arguments_[0] = ask.handle;
    if (ask.second !== undefined) arguments_[3] = ask.second;
    for (let attempt = 0; ; attempt++) {
      this.send(verb, ask.flags ?? 0, arguments_, ask.fd ?? -1);
      const reply = this.receive(ask.secondsMax ?? REPLY_SECONDS_MAX, ask.isStopRequested);
      if (reply.status === 0) return reply;
      reply.drop();
      if (reply.status !== STATUS_RATE || attempt === RATE_ATTEMPTS_MAX)
        throw statusError(reply.status, reply.values[0] ?? 0);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RATE_PAUSE_MS);
    }
  }

  private send(verb: number, flags: number, arguments_: readonly bigint[], fd: number): void {
    const { bytes, baseAddress } = scratch();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    prepareMessage(view, baseAddress, fd >= 0);
    view.setUint32(AT.frame, MAGIC, true);
    view.setUint16(AT.frame + 4, VERSION, true);
    view.setUint16(AT.frame + 6, verb, true);
    view.setUint32(AT.frame + 8, flags, true);
    view.setUint32(AT.frame + 12, this.nextId, true);
    for (const [index, value] of arguments_.entries())
      view.setBigUint64(AT.frame + 16 + 8 * index, value, true);
    if (fd >= 0) {
      view.setUint32(AT.control, CONTROL_LENGTH, true);
      view.setInt32(AT.control + 8, SOL_SOCKET, true);
      view.setInt32(AT.control + 12, SCM_RIGHTS, true);
      view.setInt32(AT.control + 16, fd, true);
    }
    const { table } = this.native;
    const sent = table.call(
      socketNumbers.sendmsg, this.socket, baseAddress + AT.message, MSG_NOSIGNAL, 0, 0, 0,
    ); // prettier-ignore
    if (sent !== FRAME_BYTES) throw ended();
  }

  private receive(secondsMax: number, isStopRequested?: () => boolean): Reply {
    const { bytes, baseAddress, words } = scratch();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let waitedMs = 0; ; waitedMs += POLL_MS) {
      prepareMessage(view, baseAddress, true);
      const { table } = this.native;
      const count = table.call(
        socketNumbers.recvmsg, this.socket, baseAddress + AT.message, MSG_CMSG_CLOEXEC, 0, 0, 0,
      ); // prettier-ignore
      if (count === EAGAIN || count === EINTR) {
        if (isStopRequested?.() === true) {
          throw refusal('stopped', 'the request for the helper was given up', 'Run again.', 130);
        }
        if (waitedMs < secondsMax * 1000) continue;
        throw refusal('silent', `the helper did not answer in ${String(secondsMax)} s`, 'Try again; the system log may say more.', 74); // prettier-ignore
      }
      if (count !== FRAME_BYTES || view.getUint32(AT.frame, true) !== MAGIC) throw ended();
      const status = view.getInt32(AT.frame + 12, true);
      const id = view.getUint32(AT.frame + 8, true);
      const hasFd = view.getUint32(AT.control, true) === CONTROL_LENGTH;
      const fd = hasFd ? view.getInt32(AT.control + 16, true) : -1;
      // The answer to a question that was given up earlier: its descriptor, too, is nobody's.
      if (id !== 0 && id < this.nextId) {
        if (fd >= 0) closeSync(fd);
        continue;
      }
      const first = (AT.frame + 16) / 4;
      const values = Array.from({ length: 6 }, (_, index) => readU64(words, first + 2 * index));
      return new Reply(status, values, view.getBigUint64(AT.frame + 16, true), fd);
    }
  }
}

/** An answer, and the descriptor that came with it until somebody takes it. */
class Reply {
  constructor(
    readonly status: number,
    readonly values: readonly number[],
    readonly handle: bigint,
    private readonly fd: number,
  ) {}
  takeFd(): number {
    if (this.fd >= 0) return this.fd;
    throw refusal('protocol', 'the helper sent no descriptor', 'This is a defect of the lab.', 70);
  }
  drop(): void {
    if (this.fd >= 0) closeSync(this.fd);
  }
}

const ended = (): HostError =>
  refusal(
    'ended',
    'the helper ended or was not allowed to start',
    'Allow it where the system asks; the system log says more.',
  );

/** struct msghdr over one vector, with room for one descriptor where asked. */
function prepareMessage(view: DataView, baseAddress: number, withControl: boolean): void {
  for (let at = 0; at < AT.pair; at += 4) view.setUint32(at, 0, true);
  view.setBigUint64(AT.message + 16, BigInt(baseAddress + AT.vector), true);
  view.setBigUint64(AT.message + 24, 1n, true);
  if (withControl) {
    view.setBigUint64(AT.message + 32, BigInt(baseAddress + AT.control), true);
    view.setBigUint64(AT.message + 40, BigInt(CONTROL_BYTES), true);
  }
  view.setBigUint64(AT.vector, BigInt(baseAddress + AT.frame), true);
  view.setBigUint64(AT.vector + 8, BigInt(FRAME_BYTES), true);
}

/** Both ends of a socketpair; ours gives up waiting after a moment, so that a stop is noticed. */
function makePair(native: NativeSyscalls): readonly [number, number] {
  const { words, baseAddress } = scratch();
  const { table } = native;
  const type = SOCK_SEQPACKET | SOCK_CLOEXEC;
  const made = table.call(
    socketNumbers.socketpair, AF_UNIX, type, 0, baseAddress + AT.pair, 0, 0,
  ); // prettier-ignore
  if (made < 0) {
    throw refusal('socket', `no socketpair: ${errnoName(made) ?? String(made)}`, 'Raise the limit of open files.', 74); // prettier-ignore
  }
  const [own = -1, others = -1] = words.subarray(AT.pair / 4, AT.pair / 4 + 2);
  words.set([0, 0, POLL_MS * 1000, 0], AT.timeout / 4);
  table.call(
    socketNumbers.setsockopt, own, SOL_SOCKET, SO_RCVTIMEO, baseAddress + AT.timeout, 16, 0,
  ); // prettier-ignore
  return [own, others];
}
