// SPDX-License-Identifier: GPL-2.0-only
/**
 * The one way by which the page's calls come in. A call is answered only where it comes from the top frame of a window of ours, showing
 * our own page [17], and where its arguments are what the channel's schema says. A failure is answered as data, never as a stack.
 */
import type { IpcMainInvokeEvent, WebContents } from 'electron';
import type * as z from 'zod';
import { failureData } from '../host/failure.ts';
import type { HostErrorData } from '../contract/types.ts';
import { isOwnUrl } from './options.ts';

export type IpcAnswer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: HostErrorData };

interface IpcMainLike {
  handle(
    channel: string,
    listener: (event: IpcMainInvokeEvent, ...words: unknown[]) => unknown,
  ): void;
}

/** True where the call comes from the page that we loaded into a window that we made. */
export function isTrustedSender(event: IpcMainInvokeEvent, pages: readonly WebContents[]): boolean {
  const { sender, senderFrame: frame } = event;
  return (
    pages.includes(sender) && frame !== null && frame === sender.mainFrame && isOwnUrl(frame.url)
  );
}

const refused = (code: string, message: string): IpcAnswer<never> => ({
  ok: false,
  error: { code, message, exitCode: 77 },
});

/** Makes the `handle` of an app; `pages` gives the windows' contents at the time of a call. */
export function makeHandle(ipcMain: IpcMainLike, pages: () => readonly WebContents[]) {
  return <S extends z.ZodType, T>(
    channel: string,
    schema: S,
    run: (input: z.output<S>, event: IpcMainInvokeEvent) => Promise<T> | T,
  ): void => {
    ipcMain.handle(channel, async (event, ...words): Promise<IpcAnswer<T>> => {
      if (!isTrustedSender(event, pages())) {
        return refused('ipc.sender', `The call to ${channel} does not come from the app's page`);
      }
      const input = schema.safeParse(words);
      if (!input.success) {
        return refused('ipc.arguments', `The arguments of ${channel} are not what it takes`);
      }
      try {
        return { ok: true, value: await run(input.data, event) };
      } catch (error) {
        return { ok: false, error: failureData(error) };
      }
    });
  };
}
