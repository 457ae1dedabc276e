// SPDX-License-Identifier: GPL-2.0-only
/** The request rows of a run, fetched as columns when its result is there. */
import { onBeforeUnmount, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import {
  bulkRequestsPath, decodeRequestColumns, type RequestColumns,
} from '../../../main/contract/bulk.ts'; // prettier-ignore
import type { HostErrorData, RunResult } from '../../../main/contract/index.ts';
import { asHostError } from '../../connection/connection.ts';
import { useConnectionStore } from '../../stores/connection.ts';

export function useRequests(
  runId: () => string | null,
  result: () => RunResult | null,
): { columns: ShallowRef<RequestColumns | null>; error: Ref<HostErrorData | null> } {
  const connection = useConnectionStore();
  const columns = shallowRef<RequestColumns | null>(null);
  const error = ref<HostErrorData | null>(null);
  let abort: AbortController | null = null;

  async function load(id: string): Promise<void> {
    const mine = new AbortController();
    abort = mine;
    try {
      const answer = await connection.connection?.fetchBulk(bulkRequestsPath(id), mine.signal);
      if (answer === undefined || mine.signal.aborted) return;
      const decoded = decodeRequestColumns(await answer.arrayBuffer());
      if (!mine.signal.aborted) columns.value = decoded;
    } catch (thrown) {
      if (!mine.signal.aborted) error.value = asHostError(thrown);
    }
  }
  watch(
    [runId, result],
    ([id, found]) => {
      abort?.abort();
      columns.value = null;
      error.value = null;
      if (id !== null && found !== null) void load(id);
    },
    { immediate: true },
  );
  onBeforeUnmount(() => abort?.abort());
  return { columns, error };
}
