// SPDX-License-Identifier: GPL-2.0-only
/** The kinds of trace rows with the names of their columns: what a face needs to show `TraceRow.values`. */
export { TRACE_KINDS } from '../../engine/base/index.ts';
