// SPDX-License-Identifier: GPL-2.0-only
/** Names of the channels between the page's preload and the main process. */
export const CHANNEL = {
  requestPort: 'diolab:request-port',
  openImage: 'diolab:open-image',
  openExperiment: 'diolab:open-experiment',
  /** From the preload: the path of a file that was dropped on the page. */
  dropped: 'diolab:dropped',
  /** From the preload: the page listens to documents and commands from now on. */
  listening: 'diolab:listening',
  /** From the main process to the page: its port. */
  port: 'diolab:port',
  /** From the main process: a document that was opened from outside. */
  document: 'diolab:document',
  /** From the main process: the id of a command of the page. */
  command: 'diolab:command',
} as const;
