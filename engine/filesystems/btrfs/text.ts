// SPDX-License-Identifier: GPL-2.0-only
/** Names: bytes on disk, text in the lab, as every file system here has them (bytes that are no UTF-8 become lone surrogates). */
export { decodeName as decodeText, encodeName as encodeText } from '../_ext/text.ts';
