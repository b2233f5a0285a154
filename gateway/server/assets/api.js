// What the page asks of REST: instruments once or by search, the status each second.

const TIMEOUT_MS = 4_000;

/** JSON at `path`; `null` while the gateway has no lane to answer from (503). */
async function get(path, signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  if (response.status === 503) return null;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** Instruments whose symbol contains `search` (all for an empty text), at most `limit`: `[{symbol, venue}]`. */
export async function instruments(search, limit, signal) {
  const query = new URLSearchParams({ limit });
  if (search) query.set('search', search);
  const found = await get(`/api/v1/instruments?${query}`, signal);
  return found?.instruments ?? [];
}

/** The program's own state: lanes, feeds, counters, hops. */
export const status = () => get('/status');
