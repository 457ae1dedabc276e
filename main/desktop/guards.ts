// SPDX-License-Identifier: GPL-2.0-only
/** Guards of the session and of every page. They are on the app and the session, so that nothing is ever made without them. */
import type * as Electron from 'electron';
import { saveDialog } from './dialogs.ts';
import { APP_SCHEME, isOwnUrl } from './options.ts';

/** Nothing is permitted, nothing but our own origin is loaded [1, 5]; the page may save what it made, through the system's dialog. */
export function guardSession(
  session: Electron.Session,
  onSaved: (path: string) => void = () => undefined,
): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => {
    answer(false);
  });
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest((details, answer) => {
    const isLocal = /^(blob|data|devtools):/.test(details.url);
    answer({ cancel: !isLocal && !isOwnUrl(details.url) });
  });
  session.on('will-download', (event, item) => {
    // The page saves exports as blobs; everything else is not ours.
    if (!item.getURL().startsWith(`blob:${APP_SCHEME}:`) && !isOwnUrl(item.getURL())) {
      event.preventDefault();
      return;
    }
    item.setSaveDialogOptions(saveDialog(item.getFilename()));
    item.once('done', (_event, state) => {
      if (state === 'completed') onSaved(item.getSavePath());
    });
  });
}

/** No page of this app goes elsewhere, opens a window or embeds another page [11 to 14]. */
export function guardContents(contents: Electron.WebContents): void {
  const refuseForeign = (event: { preventDefault(): void }, address: string): void => {
    if (!isOwnUrl(address)) event.preventDefault();
  };
  contents.on('will-navigate', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-redirect', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-frame-navigate', (event) => {
    refuseForeign(event, event.url);
  });
  contents.on('will-attach-webview', (event) => {
    event.preventDefault();
  });
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
}
