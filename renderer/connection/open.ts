// SPDX-License-Identifier: GPL-2.0-only
/**
 * The real connection: a MessagePort in the window, a WebSocket in a browser; opens itself again when it is lost.
 *
 *   connecting --hello--> open --closed--> lost --wait 0.5 to 5 s--> (again) ... ; token refused --> refused, for good
 *
 * Rules: 1. The token of the one-time link is taken out of the address before anything else reads it, and is never stored; the session
 * that it buys is kept for this tab. 2. `client` is the one of the newest connection: never keep it.
 */
import {
  connectMessagePort,
  connectWebSocket,
  hostErrorOf,
  tokenFromFragment,
  WEB_SOCKET_PATH,
  type LabClient,
  type LabConnection,
  type SocketLike,
} from '../../main/contract/client.ts';
import type { OpenedDocument, WindowBridge } from '../../main/contract/window.ts';
import { chooseExperiment } from './choose.ts';
import type { Connection, ConnectionState } from './connection.ts';

declare global {
  interface Window {
    readonly diolab?: WindowBridge;
  }
}

const SESSION_KEY = 'diolab.session';
const RETRY_MS = [500, 1000, 2000, 5000] as const;

function readSession(): string | null {
  try {
    return sessionStorage.getItem(SESSION_KEY);
  } catch {
    return null; // storage is forbidden: the session ends with the page
  }
}
function writeSession(session: string): void {
  try {
    sessionStorage.setItem(SESSION_KEY, session);
  } catch {
    // As above.
  }
}

/** The link's token, taken out of the address so that it is in no history entry; else this tab's session. */
function takeToken(): string | null {
  const token = tokenFromFragment(location.hash);
  if (token === null) return readSession();
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return token;
}

function portFromWindow(bridge: WindowBridge): Promise<MessagePort> {
  return new Promise((resolve) => {
    const onMessage = (event: MessageEvent): void => {
      if (event.source !== window || event.data !== 'diolab:port') return;
      const port = event.ports[0];
      if (port === undefined) return;
      window.removeEventListener('message', onMessage);
      resolve(port);
    };
    window.addEventListener('message', onMessage);
    bridge.requestPort();
  });
}

class HealingConnection implements Connection {
  private lab: LabConnection | null = null;
  private state: ConnectionState = 'connecting';
  private readonly listeners = new Set<(state: ConnectionState) => void>();
  private token = takeToken();
  private failures = 0;

  get client(): LabClient {
    if (this.lab === null) throw new Error('the connection to the lab is not open');
    return this.lab.client;
  }
  onState(listener: (state: ConnectionState) => void): () => void {
    this.listeners.add(listener);
    listener(this.state);
    return () => this.listeners.delete(listener);
  }
  fetchBulk(path: string, signal?: AbortSignal, content?: Blob): Promise<Response> {
    if (this.lab === null) return Promise.reject(new Error('the connection to the lab is closed'));
    return this.lab.fetchBulk(path, signal, content);
  }
  pathOfFile(file: File): string | null {
    return window.diolab?.pathOfFile(file) ?? null;
  }
  readonly openImage = window.diolab
    ? (): Promise<string | null> => window.diolab?.openImage() ?? Promise.resolve(null)
    : null;
  openExperiment(): Promise<OpenedDocument | null> {
    return window.diolab?.openExperiment() ?? chooseExperiment();
  }
  readonly outside = window.diolab ?? null;
  private tell(state: ConnectionState): void {
    this.state = state;
    for (const listener of this.listeners) listener(state);
  }
  private async connectOnce(): Promise<LabConnection> {
    if (window.diolab) {
      const port = await portFromWindow(window.diolab);
      port.start();
      return connectMessagePort({ port });
    }
    const url = new URL(WEB_SOCKET_PATH, location.href);
    url.protocol = 'ws:';
    url.hash = '';
    const socket = new WebSocket(url);
    const lab = await connectWebSocket({
      socket: socket as unknown as SocketLike,
      token: this.token ?? '',
    });
    if (lab.session !== null) {
      this.token = lab.session;
      writeSession(lab.session);
    }
    return lab;
  }
  /** Connects, and again whenever the connection is lost; ends only where the host refuses the token. */
  async keep(): Promise<void> {
    for (;;) {
      try {
        this.lab = await this.connectOnce();
        this.failures = 0;
        this.tell('open');
        await this.lab.closed;
        this.lab = null;
        this.tell('lost');
      } catch (thrown) {
        this.lab = null;
        if (hostErrorOf(thrown).code === 'web.token') {
          this.tell('refused');
          return;
        }
        this.tell('lost');
      }
      const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)] as number;
      this.failures += 1;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** Begins to connect at once. */
export function openConnection(): Connection {
  const connection = new HealingConnection();
  void connection.keep();
  return connection;
}
