// SPDX-License-Identifier: GPL-2.0-only
/**
 * The window's guards as data: every item of Electron's security checklist and every fuse, where it is held in the code, and the test
 * that fails without it. `node scripts/desktop-guards.mjs` takes each guard away in a copy of the tree and wants its test to fail;
 * `--write` writes docs/DESKTOP-SECURITY.md, `--check` only compares it. A test of the list itself is in desktop-guards.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';

const root = join(import.meta.dirname, '..');
const docPath = join(root, 'docs/DESKTOP-SECURITY.md');

/** Items of Electron's checklist, by its numbers. */
export const ITEMS = [
  'Only load secure content',
  'No Node.js integration for content',
  'Context isolation',
  'Process sandboxing',
  'Handle permission requests',
  'Do not disable webSecurity',
  'Define a Content Security Policy',
  'No insecure content',
  'No experimental features',
  'No enableBlinkFeatures',
  'No allowpopups for webviews',
  'Verify webviews before they are made',
  'Limit navigation',
  'Limit new windows',
  'No openExternal with foreign content',
  'A current version of Electron',
  'Validate the sender of every IPC message',
  'No file:// protocol',
  'Decide the fuses',
  'No Electron API for the page',
];
export const FUSES = [
  ['runAsNode', false],
  ['enableCookieEncryption', true],
  ['enableNodeOptionsEnvironmentVariable', false],
  ['enableNodeCliInspectArguments', false],
  ['enableEmbeddedAsarIntegrityValidation', true],
  ['onlyLoadAppFromAsar', true],
  ['loadBrowserProcessSpecificV8Snapshot', false],
  ['grantFileProtocolExtraPrivileges', false],
  ['wasmTrapHandlers', true],
];

const OPTIONS = 'main/desktop/options.ts';
const GUARDS = 'main/desktop/guards.ts';
const APP = 'main/desktop/app.ts';
const IPC = 'main/desktop/ipc.ts';
const PRELOAD = 'main/desktop/preload.ts';
const BUILDER = 'electron-builder.yml';

/** `from` stands once in the file; with `to` in its place the guard is gone. `test` begins the name of a test that then fails. */
const guard = (item, what, file, from, to, test) => ({ item, what, file, from, to, test });
const preference = (item, name, safe, test = '2, 3, 4') =>
  guard(item, `${name}: ${safe}`, OPTIONS, `${name}: ${safe},`, `${name}: ${!safe},`, test);

export const guards = [
  guard(1, 'every request but to our own origin is cancelled', GUARDS, '!isLocal && !isOwnUrl(details.url)', 'false', '1:'),
  preference(2, 'nodeIntegration', false),
  preference(2, 'nodeIntegrationInWorker', false),
  preference(2, 'nodeIntegrationInSubFrames', false),
  preference(3, 'contextIsolation', true),
  preference(4, 'sandbox', true),
  guard(4, 'the sandbox is on for every process', APP, '  app.enableSandbox();\n', '', '2, 3, 4'),
  guard(5, 'requests are denied', GUARDS, 'answer(false);', 'answer(true);', '5:'),
  guard(5, 'checks are denied', GUARDS, 'setPermissionCheckHandler(() => false)', 'setPermissionCheckHandler(() => true)', '5:'),
  guard(5, 'devices are denied', GUARDS, 'setDevicePermissionHandler(() => false)', 'setDevicePermissionHandler(() => true)', '5:'),
  preference(6, 'webSecurity', true),
  guard(7, 'nothing that is not named', OPTIONS, `  "default-src 'none'",\n`, '', '7:'),
  guard(7, 'scripts of our own only', OPTIONS, `"script-src 'self'"`, `"script-src 'self' 'unsafe-inline'"`, '7:'),
  guard(7, 'no text becomes a script', OPTIONS, `  "require-trusted-types-for 'script'",\n`, '', '7:'),
  guard(7, 'every response of ours carries it', OPTIONS, `  'content-security-policy': CONTENT_SECURITY_POLICY,\n`, '', '7:'),
  guard(7, 'answers of the services carry it', 'main/desktop/protocol.ts', 'return withHeaders(await bulk(request));', 'return bulk(request);', '7:'),
  preference(8, 'allowRunningInsecureContent', false),
  preference(9, 'experimentalFeatures', false),
  guard(10, 'no feature is named', OPTIONS, 'spellcheck: false,', "spellcheck: false,\n      enableBlinkFeatures: 'CSSVariables',", '10:'),
  guard(11, 'the page has none', 'renderer/index.html', '<body>', '<body><webview allowpopups></webview>', '11, 12:'),
  preference(12, 'webviewTag', false),
  guard(12, 'attaching is prevented', GUARDS, "contents.on('will-attach-webview', (event) => {\n    event.preventDefault();", "contents.on('will-attach-webview', () => {", '11, 12:'),
  guard(13, 'will-navigate', GUARDS, "contents.on('will-navigate', (event) => {\n    refuseForeign(event, event.url);", "contents.on('will-navigate', () => {", '13:'),
  guard(13, 'will-redirect', GUARDS, "contents.on('will-redirect', (event) => {\n    refuseForeign(event, event.url);", "contents.on('will-redirect', () => {", '13:'),
  guard(13, 'will-frame-navigate', GUARDS, "contents.on('will-frame-navigate', (event) => {\n    refuseForeign(event, event.url);", "contents.on('will-frame-navigate', () => {", '13:'),
  guard(13, 'downloads of our own only', GUARDS, 'event.preventDefault();\n      return;', 'return;', 'lets the page save'),
  guard(14, 'denied for every page', GUARDS, "{ action: 'deny' }", "{ action: 'allow' }", '14:'),
  guard(14, 'for pages made later too', APP, '    guardContents(contents);\n', '', '13, 14:'),
  guard(15, 'nothing calls it', APP, 'function report(error: unknown): void {', 'const shell = { openExternal: report };\nvoid shell;\nfunction report(error: unknown): void {', '15:'),
  guard(16, 'pinned, installed, and one that is still mended', 'package.json', '"electron": "', '"electron": "^', '16:'),
  guard(17, 'a window of ours', IPC, 'pages.includes(sender)', 'true', '17: a call'),
  guard(17, 'its top frame', IPC, 'frame === sender.mainFrame', 'true', '17: a call'),
  guard(17, 'showing our page', IPC, 'isOwnUrl(frame.url)', 'true', '17: a call'),
  guard(17, 'arguments by schema', IPC, '!input.success', 'input.success === undefined', '17: arguments'),
  guard(18, 'our own protocol, registered in time', APP, '  electron.protocol.registerSchemesAsPrivileged([customScheme()]);\n', '', '18:'),
  guard(18, 'which cannot go round the policy', OPTIONS, 'bypassCSP: false', 'bypassCSP: true', '18:'),
  guard(18, 'the page is loaded from it', OPTIONS, '`${APP_ORIGIN}/index.html`', "'file:///index.html'", '18:'),
  guard(18, 'files of the list only', 'main/desktop/protocol.ts', "if (type === undefined) return refusal(404, 'There is no such file');", "if (type === undefined) return new Response(await files.read(path));", 'serves what'),
  ...FUSES.slice(0, 8).map(([name, on]) => guard(19, `fuse ${name}: ${on ? 'on' : 'off'}`, BUILDER, `  ${name}: ${on}\n`, `  ${name}: ${!on}\n`, '19:')),
  guard(19, 'fuse wasmTrapHandlers: on', 'scripts/after-pack.mjs', "= '1'.charCodeAt(0)", "= '0'.charCodeAt(0)", '19:'),
  guard(19, 'a fuse that nobody decided is refused', 'scripts/after-pack.mjs', 'length > FUSES', 'length < 0', '19:'),
  guard(20, 'functions by name, no emitter', PRELOAD, "  requestPort: () => {", '  ...({ ipcRenderer } as object),\n  requestPort: () => {', '20:'),
  guard(20, 'channels are ours to choose', PRELOAD, 'openImage: () => call(CHANNEL.openImage)', 'openImage: (...words: string[]) => call(words[0] ?? CHANNEL.openImage)', '20:'),
  guard(20, 'no event is handed over', PRELOAD, '(_event, id: string) => {\n  takeCommand?.(id);', '(event, id: string) => {\n  (takeCommand as ((...w: unknown[]) => void) | null)?.(id, event);', '20:'),
]; // prettier-ignore

/** Guards whose text is not there exactly once: the list is stale. */
export const staleGuards = () =>
  guards.filter(
    ({ file, from }) => readFileSync(join(root, file), 'utf8').split(from).length !== 2,
  );

const cell = (text) => text.replaceAll('|', '\\|').trim();

/** The page of the documentation, made from the list. */
export async function documentText() {
  const rows = guards.map(
    ({ item, what, file, test }) =>
      `| ${item} ${ITEMS[item - 1]} | ${cell(what)} | \`${file}\` | “${cell(test.replace(/:$/, ''))} …” |`,
  );
  const text = `# The window's guards

The 20 items of Electron's security checklist and its 9 fuses: what holds each, where, and the test that fails without it. The table is
made from \`scripts/desktop-guards.mjs\` (\`node scripts/desktop-guards.mjs --write\`); the same script without a word takes every guard
away, one at a time in a copy of the tree, and wants its test to fail. Tests: \`main/desktop/*.test.ts\` and
\`scripts/after-pack.test.ts\`, without the runtime, against the recording stand-in \`test/support/electron-recorder.ts\`, whose types are Electron's own.

| item | what holds it | where | test |
| --- | --- | --- | --- |
${rows.join('\n')}

What the runtime itself does with these settings is Electron's; it was not run here.
`;
  return format(text, { ...(await resolveConfig(docPath)), filepath: docPath });
}

/** Takes the guards away, one at a time. Returns those whose test did not fail, each with the reason. */
export function mutate(chosen, log = () => {}) {
  const copy = mkdtempSync(join(tmpdir(), 'diolab-guards-'));
  const survivors = [];
  try {
    for (const name of ['main', 'renderer', 'test/support', 'scripts', 'package.json', BUILDER, 'vitest.config.ts', 'tsconfig.base.json']) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    } // prettier-ignore
    for (const name of ['node_modules', 'engine', 'assets'])
      symlinkSync(join(root, name), join(copy, name));
    const run = () =>
      spawnSync(
        process.execPath,
        [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', copy, '--project', 'unit', '--reporter', 'json', 'main/desktop', 'scripts/after-pack.test.ts'],
        { cwd: copy, encoding: 'utf8', maxBuffer: 1e8 },
      ); // prettier-ignore
    const before = run();
    if (before.status !== 0) throw new Error(`the tests fail with all guards: ${before.stderr}`);
    for (const { item, what, file, from, to, test } of chosen) {
      const path = join(copy, file);
      const whole = readFileSync(path, 'utf8');
      writeFileSync(
        path,
        whole.replace(from, () => to),
      );
      const { stdout } = run();
      writeFileSync(path, whole);
      const failed = (JSON.parse(stdout.slice(stdout.indexOf('{'))).testResults ?? [])
        .flatMap(({ assertionResults }) => assertionResults)
        .filter(({ status }) => status === 'failed')
        .map(({ title }) => title);
      const isHeld = failed.some((title) => title.startsWith(test));
      log(`${isHeld ? 'held' : 'NOT HELD'}  ${item} ${what}`);
      if (!isHeld) survivors.push({ item, what, failed });
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return survivors;
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const stale = staleGuards();
  for (const { item, what, file } of stale) console.error(`${file}: the guard of ${item} (${what}) is not there once`);
  if (stale.length > 0) process.exit(1);
  if (words.includes('--write')) writeFileSync(docPath, await documentText());
  else if (words.includes('--check')) {
    if (readFileSync(docPath, 'utf8') !== (await documentText())) {
      console.error('docs/DESKTOP-SECURITY.md is not what the list says: node scripts/desktop-guards.mjs --write');
      process.exit(1);
    }
  } else {
    const chosen = words.length === 0 ? guards : guards.filter(({ item }) => words.includes(String(item)));
    const survivors = mutate(chosen, console.log);
    console.log(`${chosen.length - survivors.length} of ${chosen.length} guards are held by a test`);
    for (const { item, what, failed } of survivors) console.error(`${item} ${what}: failed were ${failed.join(', ') || 'none'}`);
    process.exit(survivors.length === 0 ? 0 : 1);
  }
} // prettier-ignore
