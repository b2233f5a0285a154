// The system: lanes and feeds in the header, hop percentiles and counters in the latency panel.

import { byId, el, setData, setText } from './dom.js';
import { compact, duration, NONE, quantity, words } from './format.js';

// Field of `/status`, and how the column is called.
const PERCENTILES = [
  ['p50_ns', 'p50'],
  ['p90_ns', 'p90'],
  ['p99_ns', 'p99'],
  ['p99_9_ns', 'p99.9'],
  ['max_ns', 'max'],
];
const LANE_HOPS = [
  [
    'venue_to_receive',
    'Venue → receive',
    'From the venue’s stamp to the socket: two hosts’ clocks. A recorded day has none.',
  ],
  ['receive_to_publish', 'Receive → publish', 'From the socket to shared memory'],
  ['publish_to_gateway', 'Publish → gateway', 'From shared memory to the gateway’s read'],
];
const SHARED_HOPS = [
  ['socket', 'Gateway → write', 'From the gateway’s read to the socket, over all lanes; of its slowest shard'],
  ['page', 'Gateway → this page', 'From the gateway’s read to this page, over the last 1,024 updates'],
];
const COUNTERS = [
  ['received', 'Received', 'Venue messages taken in since the engine began'],
  ['published', 'Published', 'Of these, applied and published'],
  ['gaps', 'Gaps', 'Times that the venue’s messages were missing'],
  ['rejected', 'Anomalies', 'Messages that could not be applied; each is declared'],
];
const WARNING_COUNTERS = new Set(['gaps', 'rejected']);
const FEED_TONE = {
  live: 'good',
  connecting: 'calm',
  login_sent: 'calm',
  end_of_session: 'calm',
  closed: 'off',
  idle: 'off',
};
const LANE_TONE = { live: 'good', silent: 'warn', closed: 'calm', absent: 'off' };
const DELAYS_KEPT = 1_024;
// The strip is a logarithmic scale from 100 ns to 1 s: seven decades.
const STRIP_FROM_NS = 100;
const STRIP_DECADES = 7;

export class SystemView {
  #lanesList = byId('lanes');
  #panel = byId('latency');
  #clockNote = byId('clock-note');
  #lanes = new Map(); // lane name -> LaneBox
  #chips = new Map(); // `lane` or `lane/feed` -> chip
  #delays = new Float64Array(DELAYS_KEPT);
  #delayCount = 0;
  #shared = hopTable('Over all lanes', SHARED_HOPS, false);

  constructor() {
    this.#panel.append(this.#shared.node);
  }

  /** When this page read an update, less the gateway's stamp, ms: two clocks. */
  delay(ms) {
    this.#delays[this.#delayCount % DELAYS_KEPT] = ms;
    this.#delayCount += 1;
  }

  /** What a lane's engine is doing. */
  lane(name, state) {
    this.#chip(name, name, state, LANE_TONE);
  }

  /** The answer of `/status`, or `null` while there is none. `clock`: round trip and difference of the clocks, ms. */
  status(status, clock) {
    const shards = status?.shards ?? [];
    for (const lane of status?.lanes ?? []) this.#lane(lane, shards);
    const slowest = shards
      .map((shard) => shard.gateway_to_socket)
      .reduce((a, b) => (a && a.p99_ns >= b.p99_ns ? a : b), null);
    if (status) paintHop(this.#shared.rows.get('socket'), slowest);
    paintHop(this.#shared.rows.get('page'), clock && this.#delayPercentiles(clock.ahead));
    setText(
      this.#clockNote,
      status === null
        ? 'the gateway does not answer'
        : clock
          ? `round trip ${duration(clock.roundTrip * 1e6)} · clocks apart ${duration(Math.abs(clock.ahead) * 1e6)}`
          : '',
    );
  }

  #lane(lane, shards) {
    for (const feed of lane.feeds) this.#chip(`${lane.name}/${feed.name}`, feed.name, feed.state, FEED_TONE);
    let box = this.#lanes.get(lane.name);
    if (!box) {
      box = new LaneBox(lane.name);
      this.#lanes.set(lane.name, box);
      this.#panel.insertBefore(box.node, this.#panel.lastElementChild);
    }
    const lags = shards.flatMap((shard) => shard.lanes.filter(({ name }) => name === lane.name).map(({ lag }) => lag));
    box.paint(lane, lags.length ? Math.max(...lags) : null);
  }

  #chip(key, name, state, tones) {
    let chip = this.#chips.get(key);
    if (!chip) {
      chip = el(
        'li',
        { class: 'chip' },
        el('span', { class: 'dot', 'aria-hidden': 'true' }),
        el('b', {}, name),
        el('span', { class: 'word' }),
      );
      this.#chips.set(key, chip);
      this.#lanesList.append(chip);
    }
    setData(chip, 'tone', tones[state] ?? 'warn');
    setText(chip.lastElementChild, words(state));
  }

  /** Percentiles of the age of updates, given by how many ms the gateway's clock is ahead. */
  #delayPercentiles(ahead) {
    const count = Math.min(this.#delayCount, DELAYS_KEPT);
    const sorted = this.#delays.slice(0, count).sort();
    // Below zero is the error of the comparison: at most half its round trip.
    const at = (share) => Math.max(0, sorted[Math.min(count - 1, Math.floor(count * share))] + ahead) * 1e6;
    return {
      count,
      p50_ns: at(0.5),
      p90_ns: at(0.9),
      p99_ns: at(0.99),
      p99_9_ns: at(0.999),
      max_ns: at(1),
    };
  }
}

/** One lane: its counters and hops. */
class LaneBox {
  #cells = new Map();
  #table;
  #before = null; // {at, published}: for the rate

  constructor(name) {
    const line = el('dl', { class: 'counters', 'aria-label': `Counters of ${name}` });
    const entries = [
      ...COUNTERS,
      ['rate', 'Per second', 'Messages published in the last second'],
      ['lag', 'Lag', 'Records that the slowest shard of the gateway has not read yet'],
    ];
    for (const [counter, label, title] of entries) {
      const cell = el('dd', { 'data-counter': counter }, NONE);
      this.#cells.set(counter, cell);
      line.append(el('div', { title }, el('dt', {}, label), cell));
    }
    this.#table = hopTable(name, LANE_HOPS, true);
    this.node = el('div', { class: 'lane-box', 'data-lane': name }, line, this.#table.node);
  }

  paint(lane, lag) {
    for (const [counter] of COUNTERS) {
      const value = lane.counters[counter] ?? null;
      setText(this.#cells.get(counter), quantity(value));
      if (WARNING_COUNTERS.has(counter)) setData(this.#cells.get(counter), 'tone', value ? 'warn' : null);
    }
    setText(this.#cells.get('lag'), quantity(lag));
    setText(this.#cells.get('rate'), compact(this.#rate(lane.counters.published ?? null)));
    for (const [hop, row] of this.#table.rows) paintHop(row, lane.hops?.[hop]);
  }

  /** Messages published a second since the last look, or `null`. */
  #rate(published) {
    const before = this.#before;
    this.#before = published === null ? null : { at: performance.now(), published };
    if (!before || published === null || published < before.published) return null;
    return Math.round(((published - before.published) * 1_000) / (this.#before.at - before.at));
  }
}

/** A table of hops; `head`: whether its columns are named in sight, or only for screen readers. */
function hopTable(name, hops, head) {
  const rows = new Map();
  const body = el('tbody');
  for (const [hop, label, title] of hops) {
    const cells = PERCENTILES.map(() => el('td', {}, NONE));
    const strip = el('span', { class: 'strip' }, el('i'), el('b'));
    const why = el('span', { class: 'note' });
    body.append(
      el(
        'tr',
        { 'data-hop': hop },
        el('th', { scope: 'row' }, el('abbr', { title }, label)),
        ...cells,
        el('td', { class: 'c-strip', 'aria-hidden': 'true' }, strip, why),
      ),
    );
    rows.set(hop, { cells, strip, why });
  }
  const names = el(
    'tr',
    {},
    el('th', { scope: 'col' }, name),
    ...PERCENTILES.map(([, label]) => el('th', { scope: 'col' }, label)),
    el(
      'th',
      { class: 'c-strip', 'aria-hidden': 'true' },
      el('span', { class: 'scale' }, el('span', {}, '100 ns'), el('span', {}, '1 s')),
    ),
  );
  // Both tables share one grid, whichever of their rows are in sight.
  const columns = el(
    'colgroup',
    {},
    el('col', { class: 'c-hop' }),
    ...PERCENTILES.map(([field]) => el('col', { class: `c-${field}` })),
    el('col', { class: 'c-strip' }),
  );
  return {
    node: el(
      'table',
      { class: 'hops', 'aria-label': `Latency: ${name}` },
      columns,
      el('thead', head ? {} : { class: 'hidden' }, names),
      body,
    ),
    rows,
  };
}

/** `hop`: percentiles in ns, or nothing while there is no sample. */
function paintHop({ cells, strip, why }, hop) {
  const known = Boolean(hop?.count);
  PERCENTILES.forEach(([field], at) => setText(cells[at], known ? duration(hop[field]) : NONE));
  strip.hidden = !known;
  setText(why, !known && hop?.implausible ? 'stamps of another day' : '');
  if (!known) return;
  strip.style.setProperty('--from', place(hop.p50_ns));
  strip.style.setProperty('--to', place(hop.p99_ns));
  strip.style.setProperty('--max', place(hop.max_ns));
}

const place = (ns) => {
  const share = Math.log10(Math.max(ns, STRIP_FROM_NS) / STRIP_FROM_NS) / STRIP_DECADES;
  return `${(Math.min(share, 1) * 100).toFixed(1)}%`;
};
