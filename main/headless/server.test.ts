// SPDX-License-Identifier: GPL-2.0-only
/** The web host against hostile requests over real sockets, byte by byte, and the ways in that are right. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { makePage } from '../../test/support/engine/lab.ts';
import {
  connectWebSocket,
  hostErrorOf,
  tokenFromFragment,
  type HelloAnswer,
  type SocketLike,
} from '../contract/client.ts';
import { makeServices, pathsOf, type Services } from '../services/index.ts';
import { LIMITS } from './policy.ts';
import { startWebHost, type WebHost } from './server.ts';

const folder = mkdtempSync(join(tmpdir(), 'diolab-web-'));
const faults: string[] = [];
let services: Services;
let host: WebHost;
let pageFolder: string;
const open = new Set<{ destroy(): void }>();

beforeAll(async () => {
  pageFolder = makePage(folder);
  services = await makeServices({
    face: 'browser',
    version: '0.0.0',
    paths: pathsOf({ DIOLAB_DATA: join(folder, 'data') }),
    engineEntryPath: join(folder, 'no-engine.js'), // nothing here needs it
  });
  host = await startWebHost({
    services,
    version: '0.0.0',
    pageFolder,
    port: 0,
    log: (text) => faults.push(text),
  });
});
afterEach(() => {
  for (const socket of open) socket.destroy();
  open.clear();
});
afterAll(async () => {
  await host.close();
  await services.close();
  rmSync(folder, { recursive: true, force: true });
  expect(faults).toEqual([]);
});

const authority = (): string => `127.0.0.1:${String(host.port)}`;
const newToken = (): string => tokenFromFragment(new URL(host.newLink()).hash) ?? '';

/** What came back on a raw connection until the host closed it, or answered once. */
function exchange(bytes: string | Buffer, options: { keepOpen?: boolean } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect(host.port, '127.0.0.1');
    open.add(socket);
    let text = '';
    const done = (): void => {
      socket.destroy();
      open.delete(socket);
      resolve(text);
    };
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const [head = '', body] = text.split(/\r\n\r\n(.*)/s);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? NaN);
      if (body !== undefined && !(body.length < length) && options.keepOpen !== true) done();
    });
    socket.on('error', done);
    socket.on('close', done);
    socket.write(bytes);
  });
}
const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

/** A request with our Host and extra header lines. */
const get = (path: string, ...lines: string[]): string =>
  [`GET ${path} HTTP/1.1`, `Host: ${authority()}`, ...lines, '', ''].join('\r\n');
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const upgrade = (origin: string | null, ...lines: string[]): string =>
  [
    'GET /rpc HTTP/1.1', `Host: ${authority()}`, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', KEY,
    ...(origin === null ? [] : [`Origin: ${origin}`]), ...lines, '', '',
  ].join('\r\n'); // prettier-ignore

/** No answer to a hostile request may carry any of ours, or invite another origin. */
function expectHarmless(answer: string): void {
  expect(answer).not.toMatch(/access-control-/i);
  expect(answer).not.toContain('secret');
  expect(answer).not.toContain('<title>lab</title>');
  expect(answer).not.toMatch(/set-cookie/i);
}

type Hostile = readonly [name: string, request: () => string | Buffer, statuses: readonly number[]];
const ours = (): string => `http://${authority()}`;
const hostile: readonly Hostile[] = [
  // Host
  ['no Host', () => 'GET / HTTP/1.1\r\n\r\n', [421]],
  ['HTTP/1.0 without Host', () => 'GET / HTTP/1.0\r\n\r\n', [421]],
  ['empty Host', () => 'GET / HTTP/1.1\r\nHost:\r\n\r\n', [421]],
  ['Host without the port', () => 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', [421]],
  ['Host with another port', () => 'GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n', [421]],
  ['Host localhost', () => `GET / HTTP/1.1\r\nHost: localhost:${String(host.port)}\r\n\r\n`, [421]],
  ['a rebinding name', () => `GET / HTTP/1.1\r\nHost: rebind.example:${String(host.port)}\r\n\r\n`, [421]],
  ['a name that looks like ours', () => `GET / HTTP/1.1\r\nHost: ${authority()}.example\r\n\r\n`, [421]],
  ['the address in another notation', () => `GET / HTTP/1.1\r\nHost: 2130706433:${String(host.port)}\r\n\r\n`, [421]],
  ['the address with a final dot', () => `GET / HTTP/1.1\r\nHost: 127.0.0.1.:${String(host.port)}\r\n\r\n`, [421]],
  ['the IPv6 address', () => `GET / HTTP/1.1\r\nHost: [::1]:${String(host.port)}\r\n\r\n`, [421]],
  ['user info in Host', () => `GET / HTTP/1.1\r\nHost: a@${authority()}\r\n\r\n`, [421]],
  ['two Hosts', () => `GET / HTTP/1.1\r\nHost: ${authority()}\r\nHost: evil.example\r\n\r\n`, [421, 400]],
  ['two Hosts, the other way round', () => `GET / HTTP/1.1\r\nHost: evil.example\r\nHost: ${authority()}\r\n\r\n`, [421, 400]],
  ['X-Forwarded-Host instead', () => `GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: ${authority()}\r\n\r\n`, [421]],
  // Origin and site
  ['a foreign Origin', () => get('/', 'Origin: http://evil.example'), [403]],
  ['Origin null', () => get('/', 'Origin: null'), [403]],
  ['our Origin over https', () => get('/', `Origin: https://${authority()}`), [403]],
  ['a foreign page that embeds a file', () => get('/assets/app-1a2b.js', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors'), [403]],
  ['another port of this machine that fetches', () => get('/', 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: cors'), [403]],
  // Methods
  ...['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'].map(
    (method): Hostile => [method, () => `${method} / HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [405]],
  ),
  ['a CORS preflight', () => `OPTIONS /bulk/runs/x HTTP/1.1\r\nHost: ${authority()}\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true\r\n\r\n`, [403, 405]],
  ['an upload without the session', () => `POST /bulk/images/put?path=/x&file=/y&consent=true HTTP/1.1\r\nHost: ${authority()}\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc`, [401]],
  ['an upload as a form would send it', () => `POST /bulk/images/put?path=/x&file=/y&consent=true HTTP/1.1\r\nHost: ${authority()}\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc`, [415]],
  ['an upload from another site', () => `POST /bulk/images/put HTTP/1.1\r\nHost: ${authority()}\r\nOrigin: http://evil.example\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc`, [403]],
  ['an upload to another address', () => `POST /bulk/images/get HTTP/1.1\r\nHost: ${authority()}\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc`, [405]],
  ['CONNECT', () => `CONNECT ${authority()} HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [405]],
  ['an unknown method', () => `BREW / HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [400, 405]],
  // Targets
  ['an absolute target', () => `GET http://${authority()}/ HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [400]],
  ['an absolute foreign target', () => `GET http://evil.example/ HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [400]],
  ['target *', () => `GET * HTTP/1.1\r\nHost: ${authority()}\r\n\r\n`, [400]],
  ['a target that starts with two slashes', () => get('//evil.example/'), [400]],
  ['traversal', () => get('/../outside.txt'), [404]],
  ['traversal, encoded', () => get('/%2e%2e/outside.txt'), [404]],
  ['traversal, encoded twice', () => get('/%252e%252e%252foutside.txt'), [404]],
  ['traversal with an encoded slash', () => get('/assets/..%2f..%2foutside.txt'), [404]],
  ['traversal with a backslash', () => get('/..\\outside.txt'), [400]],
  ['traversal, overlong UTF-8', () => get('/%c0%ae%c0%ae/outside.txt'), [404]],
  ['a null byte', () => get('/index.html%00.txt'), [404]],
  ['a file that is there and not listed', () => get('/unlisted.txt'), [404]],
  ['the list itself', () => get('/files.json'), [404]],
  ['a folder', () => get('/assets/'), [404]],
  ['an absolute host path', () => get('/etc/passwd'), [404]],
  ['a prototype name', () => get('/__proto__'), [404]],
  // Tokens in wrong places
  ['bulk without a session', () => get('/bulk/runs/00000000-aa/requests'), [401]],
  ['bulk with a wrong session', () => get('/bulk/runs/00000000-aa/requests', `Authorization: Bearer ${'A'.repeat(43)}`), [401]],
  ['bulk with a link instead of a session', () => get('/bulk/runs/00000000-aa/requests', `Authorization: Bearer ${newToken()}`), [401]],
  ['bulk with the token in the query', () => get(`/bulk/runs/00000000-aa/requests?token=${newToken()}`), [401]],
  ['bulk with the token in a cookie', () => get('/bulk/runs/00000000-aa/requests', `Cookie: token=${newToken()}`), [401]],
  ['bulk with basic authorization', () => get('/bulk/runs/00000000-aa/requests', 'Authorization: Basic YTpi'), [401]],
  ['bulk with two authorizations', () => get('/bulk/runs/00000000-aa/requests', 'Authorization: Bearer a', 'Authorization: Bearer b'), [401, 400]],
  // Bodies and framing
  ['a body on GET', () => `${get('/', 'Content-Length: 5')}hello`, [413]],
  ['a chunked body on GET', () => `${get('/', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`, [413]],
  ['both lengths (smuggling)', () => `${get('/', 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`, [400, 413]],
  ['two different lengths', () => get('/', 'Content-Length: 0', 'Content-Length: 5'), [400]],
  ['Expect: 100-continue', () => get('/', 'Expect: 100-continue', 'Content-Length: 5'), [413]],
  ['another expectation', () => get('/', 'Expect: coffee'), [417]],
  ['huge headers', () => get('/', `X-Big: ${'x'.repeat(20_000)}`), [431]],
  ['a huge target', () => get(`/${'x'.repeat(20_000)}`), [431]],
  ['no HTTP at all', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
  ['HTTP/2 in the clear', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['a header without a colon', () => `GET / HTTP/1.1\r\nHost: ${authority()}\r\nnonsense\r\n\r\n`, [400]],
  ['a bare line feed in a header', () => `GET / HTTP/1.1\r\nHost: ${authority()}\nX: y\r\n\r\n`, [400]],
  // Upgrades
  ['an upgrade without Origin', () => upgrade(null), [403]],
  ['an upgrade with Origin null', () => upgrade('null'), [403]],
  ['an upgrade from a foreign page', () => upgrade('http://evil.example'), [403]],
  ['an upgrade from another port', () => upgrade('http://127.0.0.1:1'), [403]],
  ['an upgrade with two Origins', () => upgrade(ours(), 'Origin: http://evil.example'), [403]],
  ['an upgrade with a rebinding Host', () => upgrade(ours()).replace(`Host: ${authority()}`, 'Host: evil.example'), [421]],
  ['an upgrade without a key', () => upgrade(ours()).replace(`${KEY}\r\n`, ''), [400]],
  ['an upgrade with a short key', () => upgrade(ours()).replace(KEY, 'Sec-WebSocket-Key: abc'), [400]],
  ['an upgrade of another version', () => upgrade(ours()).replace('Version: 13', 'Version: 7'), [400]],
  ['an upgrade to another protocol', () => upgrade(ours()).replace('Upgrade: websocket', 'Upgrade: h2c'), [400]],
  ['an upgrade elsewhere', () => upgrade(ours()).replace('/rpc', '/rpc2'), [404]],
  ['an upgrade with the token in the query', () => upgrade(ours()).replace('/rpc', `/rpc?token=${newToken()}`), [404]],
  ['an upgrade by POST', () => upgrade(ours()).replace('GET', 'POST'), [400]],
  ['a WebSocket path without upgrade', () => get('/rpc'), [426]],
]; // prettier-ignore

describe('hostile requests', () => {
  it(`there are at least 40 of them`, () => {
    expect(hostile.length).toBeGreaterThanOrEqual(40);
    expect(new Set(hostile.map(([name]) => name)).size).toBe(hostile.length);
  });

  it.each(hostile)('%s', async (_name, request, statuses) => {
    const answer = await exchange(request());
    expect(statuses).toContain(statusOf(answer));
    expectHarmless(answer);
  });

  it('headers that never end are cut off', async () => {
    const answer = await exchange(`GET / HTTP/1.1\r\nHost: ${authority()}\r\nX-Slow: `, {
      keepOpen: true,
    });
    expect(statusOf(answer)).toBe(408);
  }, 20_000);

  it('a flood of connections is bounded, and passes', async () => {
    const sockets = Array.from({ length: LIMITS.connectionsMax + 40 }, () =>
      connect(host.port, '127.0.0.1'),
    );
    for (const socket of sockets) {
      open.add(socket);
      socket.on('error', () => undefined);
    }
    let closed = 0;
    await new Promise<void>((resolve) => {
      for (const socket of sockets) {
        socket.once('close', () => {
          closed++;
          if (closed === 40) resolve();
        });
      }
    });
    for (const socket of sockets) socket.destroy();
    for (;;) {
      if (statusOf(await exchange(get('/'))) === 200) break;
    }
    expect(closed).toBeGreaterThanOrEqual(40);
  });

  it('nothing is served on another address of this machine', async () => {
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((one) => one !== undefined && !one.internal && one.family === 'IPv4');
    for (const one of others) {
      const refused = await new Promise<boolean>((resolve) => {
        const socket = connect(host.port, one?.address);
        socket.once('connect', () => {
          socket.destroy();
          resolve(false);
        });
        socket.once('error', () => {
          resolve(true);
        });
      });
      expect(refused, one?.address).toBe(true);
    }
    expect(host.origin).toBe(`http://127.0.0.1:${String(host.port)}`);
  });
});

interface Ended {
  readonly code: number;
  readonly messages: string[];
}
/** Opens a WebSocket of ours, runs `act`, and tells what came until it was closed. */
function socketUntilClosed(act: (socket: WebSocket) => void): Promise<Ended> {
  const socket = new WebSocket(`ws://${authority()}/rpc`, { origin: ours() });
  open.add({
    destroy: () => {
      socket.terminate();
    },
  });
  const messages: string[] = [];
  return new Promise((resolve) => {
    socket.on('open', () => {
      act(socket);
    });
    socket.on('message', (data: Buffer) => messages.push(data.toString()));
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      resolve({ code, messages });
    });
  });
}
const hello = (token: unknown, v: unknown = 1): string => JSON.stringify({ v, token });
const CALL = JSON.stringify({ i: '1', p: { u: '/runs/list', b: { json: null } } });

describe('strangers on the WebSocket', () => {
  const cases: readonly (readonly [string, (socket: WebSocket) => void, number])[] = [
    ['a call before the token', (socket) => { socket.send(CALL); }, 4400],
    ['no JSON', (socket) => { socket.send('let me in'); }, 4400],
    ['JSON null', (socket) => { socket.send('null'); }, 4400],
    ['a hello of another version', (socket) => { socket.send(hello(newToken(), 2)); }, 4400],
    ['a token that is no text', (socket) => { socket.send(hello({ toString: 'x' })); }, 4400],
    ['a hello in binary', (socket) => { socket.send(Buffer.from(hello(newToken()))); }, 4400],
    ['a hello that is too long', (socket) => { socket.send(hello('x'.repeat(5000))); }, 4400],
    ['a wrong token', (socket) => { socket.send(hello('A'.repeat(43))); }, 4401],
    ['an empty token', (socket) => { socket.send(hello('')); }, 4401],
    ['a frame beyond the limit', (socket) => { socket.send('x'.repeat(LIMITS.messageBytesMax + 1)); }, 1009],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, act, code) => {
    const ended = await socketUntilClosed(act);
    expect(ended.code).toBe(code);
    for (const message of ended.messages)
      expect((JSON.parse(message) as HelloAnswer).ok).toBe(false);
  });

  it('a wrong token and calls right behind it: nothing is answered but the refusal', async () => {
    const ended = await socketUntilClosed((socket) => {
      socket.send(hello('A'.repeat(43)));
      for (let call = 0; call < 10; call++) socket.send(CALL);
    });
    expect(ended.messages.length).toBe(1);
    expect(JSON.parse(ended.messages[0] ?? '')).toMatchObject({
      ok: false,
      error: { code: 'web.token' },
    });
  });

  it('who says nothing is sent away', async () => {
    const ended = await socketUntilClosed(() => undefined);
    expect([4408, 1006]).toContain(ended.code);
    expect(ended.messages).toEqual([]);
  }, 20_000);

  it('only so many may stand at the door', async () => {
    const waiting = Array.from({ length: LIMITS.strangersMax }, () => {
      const socket = new WebSocket(`ws://${authority()}/rpc`, { origin: ours() });
      open.add({
        destroy: () => {
          socket.terminate();
        },
      });
      return new Promise((resolve) => socket.once('open', resolve));
    });
    await Promise.all(waiting);
    expect(statusOf(await exchange(upgrade(ours())))).toBe(503);
  });
});

async function enter(token: string): Promise<{
  session: string;
  socket: WebSocket;
  connection: Awaited<ReturnType<typeof connectWebSocket>>;
}> {
  const socket = new WebSocket(`ws://${authority()}/rpc`, { origin: ours() });
  open.add({
    destroy: () => {
      socket.terminate();
    },
  });
  const connection = await connectWebSocket({
    socket: socket as unknown as SocketLike,
    token,
    origin: ours(),
  });
  return { session: connection.session ?? '', socket, connection };
}

describe('tokens', () => {
  it('a link works once, its session again and again, also for bulk data', async () => {
    const token = newToken();
    const { session, connection } = await enter(token);
    expect(await connection.client.runs.list()).toEqual([]);
    await expect(enter(token)).rejects.toMatchObject({ code: 'web.token', exitCode: 77 });
    connection.close();
    expect((await connection.closed).code).toBe(1000);
    const again = await enter(session);
    expect(again.session).toBe(session);
    expect(await again.connection.client.runs.list()).toEqual([]);
    const path = '/bulk/runs/00000000-aa/requests';
    expect(statusOf(await exchange(get(path, `Authorization: Bearer ${session}`)))).toBe(404);
    await expect(again.connection.fetchBulk(path)).rejects.toMatchObject({ code: 'run.unknown' });
  });

  it('every link is another one, and old ones that nobody used go', async () => {
    const first = newToken();
    const tokens = new Set(Array.from({ length: 20 }, newToken));
    expect(tokens.size).toBe(20);
    await expect(enter(first)).rejects.toMatchObject({ code: 'web.token' });
    expect([...tokens].every((token) => /^[A-Za-z0-9_-]{43}$/.test(token))).toBe(true);
  });

  it('the link carries its token in the fragment, which no request sends', () => {
    const link = new URL(host.newLink());
    expect(link.origin).toBe(host.origin);
    expect(link.search).toBe('');
    expect(tokenFromFragment(link.hash)).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  it('who floods with messages is cut off; calls of others go on', async () => {
    const calm = await enter(newToken());
    const { socket, connection } = await enter(newToken());
    for (let call = 0; call < 2 * LIMITS.messagesBurst; call++) socket.send(CALL);
    expect([4429, 1006]).toContain((await connection.closed).code);
    expect(await calm.connection.client.runs.list()).toEqual([]);
  });

  it.each([
    '{}', 'null', '[]', 'x', '{"i":1,"p":{"u":"/runs/list"}}', '{"i":"1"}', '{"i":"1","p":null}',
    '{"i":"1","p":{"u":"http://evil.example/x"}}', '{"i":"1","t":9,"p":{}}',
  ])('what is no call ends the connection: %s', async (text) => {
    const { socket, connection } = await enter(newToken());
    socket.send(text);
    expect((await connection.closed).code).toBe(4400);
  }); // prettier-ignore

  it('calls of nothing are answered with a refusal', async () => {
    const { socket, connection } = await enter(newToken());
    const answers: string[] = [];
    socket.on('message', (data: Buffer) => answers.push(data.toString()));
    for (const path of [
      '/../../etc/passwd',
      '/__proto__/constructor',
      '/runs',
      '/runs/list/x',
      '/',
    ]) {
      socket.send(JSON.stringify({ i: `x${path}`, p: { u: path } }));
    }
    expect(await connection.client.runs.list()).toEqual([]);
    for (const answer of answers.filter((one) => one.includes('"x/')))
      expect(answer).toContain('404');
  });

  it('a call in flight when the connection is lost fails in words', async () => {
    const { socket, connection } = await enter(newToken());
    const call = connection.client.runs.list();
    socket.terminate();
    const refused = await call.then(
      () => null,
      (error: unknown) => hostErrorOf(error),
    );
    // It may have been answered in time; else it says what happened.
    expect([undefined, 'connection.lost', 'call.aborted']).toContain(refused?.code);
    expect((await connection.closed).code).toBe(1006);
  });
});

describe('the page', () => {
  it('is served with its headers', async () => {
    for (const path of ['/', '/index.html', '/?x=1']) {
      const answer = await exchange(get(path));
      expect(statusOf(answer)).toBe(200);
      expect(answer).toContain('<title>lab</title>');
      expect(answer).toMatch(/content-security-policy: default-src 'none'; script-src 'self'/i);
      expect(answer).toMatch(/x-content-type-options: nosniff/i);
      expect(answer).toMatch(/cross-origin-resource-policy: same-origin/i);
      expect(answer).not.toMatch(/access-control-|set-cookie|x-powered-by/i);
    }
    expect(
      statusOf(
        await exchange(
          get('/assets/app-1a2b.js', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: no-cors'),
        ),
      ),
    ).toBe(200);
    expect(
      statusOf(await exchange(get('/', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate'))),
    ).toBe(200);
    const head = await exchange(get('/').replace('GET', 'HEAD'), { keepOpen: true });
    expect(statusOf(head)).toBe(200);
    expect(head).not.toContain('<title>');
  }, 20_000);

  it('is refused where it changed since the build', async () => {
    const log: string[] = [];
    const changed = makePage(mkdtempSync(join(folder, 'changed-')));
    writeFileSync(join(changed, 'index.html'), '<script>evil</script>');
    const other = await startWebHost({
      services,
      version: '0.0.0',
      pageFolder: changed,
      port: 0,
      log: (text) => log.push(text),
    });
    const response = await fetch(other.origin);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('evil');
    expect(log[0]).toContain('is not the file that was built');
    await other.close();
  });
});

describe('starting', () => {
  it('names a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const options = { services, version: '0.0.0', pageFolder, port, log: () => undefined };
    await expect(startWebHost(options)).rejects.toMatchObject({
      code: 'web.port-in-use',
      where: `127.0.0.1:${String(port)}`,
      exitCode: 73,
    });
    taken.close();
  });

  it('names a page that is not built', async () => {
    const options = {
      services,
      version: '0.0.0',
      pageFolder: join(folder, 'none'),
      port: 0,
      log: () => undefined,
    };
    await expect(startWebHost(options)).rejects.toMatchObject({
      code: 'web.no-page',
      exitCode: 78,
    });
  });
});
