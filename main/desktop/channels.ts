// SPDX-License-Identifier: GPL-2.0-only
/** Names of the channels between the page's preload and the main process. */
export const CHANNEL = {
  requestPort: 'diolab:request-port',
  openImage: 'diolab:open-image',
  /** From the main process to the page: its port. */
  port: 'diolab:port',
} as const;
