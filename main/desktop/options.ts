// SPDX-License-Identifier: GPL-2.0-only
/**
 * Everything that makes the window safe, as pure functions and data: what the page may load, where it may go and who may call. Tested
 * without the runtime; app.ts only hands these to Electron. Numbers in brackets are items of Electron's security checklist.
 */
import type { BrowserWindowConstructorOptions, CustomScheme } from 'electron';
import type { WindowState } from './window-state.ts';

/** The page's own origin: a custom protocol instead of file:// [18]. */
export const APP_SCHEME = 'app';
export const APP_HOST = 'lab';
export const APP_ORIGIN = `${APP_SCHEME}://${APP_HOST}`;
export const APP_START_URL = `${APP_ORIGIN}/index.html`;

/** What the page may load [7]: its own files, and nothing inline; no frames, no plug-ins, no WebAssembly. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/** Headers of every response, whatever its status. */
export const responseHeaders = (type: string): Record<string, string> => ({
  'content-type': type,
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
});

/** Privileges of the scheme: a real, secure origin that fetch works on; no way around the CSP, no service workers, no CORS. */
export const customScheme = (): CustomScheme => ({
  scheme: APP_SCHEME,
  privileges: {
    standard: true,
    secure: true,
    supportFetchAPI: true,
    stream: true,
    bypassCSP: false,
    allowServiceWorkers: false,
    corsEnabled: false,
  },
});

/** True for addresses of the page's own origin: the only ones that may navigate [13] or call [17]. */
export function isOwnUrl(address: string): boolean {
  try {
    const url = new URL(address);
    // `origin` of a custom scheme is 'null' in Node: compare the parts that make it.
    return (
      url.protocol === `${APP_SCHEME}:` &&
      url.host === APP_HOST &&
      url.username === '' &&
      url.password === ''
    );
  } catch {
    return false; // not an address at all
  }
}

/** The window: its page has no Node [2], a world of its own [3] and a sandbox [4]; nothing of the web's safety is off [6, 8, 9, 10]. */
export function windowOptions(
  preloadPath: string,
  state: WindowState,
  isPackaged: boolean,
): BrowserWindowConstructorOptions {
  return {
    width: state.width,
    height: state.height,
    ...(state.x !== null && state.y !== null && { x: state.x, y: state.y }),
    minWidth: 900,
    minHeight: 600,
    show: false,
    title: 'diolab',
    backgroundColor: '#14171a',
    webPreferences: {
      preload: preloadPath,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      contextIsolation: true,
      sandbox: true,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      safeDialogs: true,
      spellcheck: false,
      devTools: !isPackaged,
    },
  };
}
