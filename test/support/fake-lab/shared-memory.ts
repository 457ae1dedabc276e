// SPDX-License-Identifier: GPL-2.0-only
/** A page that is not isolated has no shared memory, and the engine in it has nobody to share with: plain memory stands in. */
const page = globalThis as { SharedArrayBuffer?: unknown };
page.SharedArrayBuffer ??= class extends ArrayBuffer {};
