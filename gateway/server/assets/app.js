// The page: what the reader wants, what the feed brings, and the views between them.

import * as api from './api.js';
import { now } from './clock.js';
import { byId, Painter, setText } from './dom.js';
import { Feed } from './feed.js';
import { InstrumentView } from './instrument.js';
import { EventLog } from './log.js';
import { Book, Instrument, Tape } from './market.js';
import { load, save, WATCH_MAX } from './prefs.js';
import { Search } from './search.js';
import { SystemView } from './system.js';
import { WatchList } from './watch.js';

const FIRST_LIST = 20; // Symbols of the list that a new reader sees.
const SEARCHED = 200; // Matches that are ranked; the best of them are shown.
const LIST_RETRY_MS = 250;
const STATUS_MS = 1_000;
const LEVELS = [10, 5]; // The depth that is asked for, and where an instrument keeps fewer.

const painter = new Painter();
const log = new EventLog();
const system = new SystemView();
const view = new InstrumentView(painter);
const watch = new WatchList(painter, { select: (symbol) => select(symbol, true), remove });
const instruments = new Map(); // symbol -> Instrument, of the watch list and the selection
let selected = null; // {instrument, book, tape, known, levels}
let kept = false; // Whether the list is the reader's own: only then is it stored.

const connection = { name: 'connecting', until: 0, lanes: new Map() };
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const feed = new Feed(`${scheme}://${location.host}/ws/v1`, {
  state(name, until = 0) {
    Object.assign(connection, { name, until });
    if (name === 'open') connection.lanes.clear();
    paintConnection();
  },
  lane: setLane,
  event: (tone, kind, text) => log.add(tone, kind, text),
  delay: (ms) => system.delay(ms),
  frame: (frame) => TAKE[frame.channel]?.(frame),
  missing: takeMissing,
  refused: takeRefused,
});

// --- what the feed brings

const TAKE = {
  quotes(frame) {
    const instrument = instruments.get(frame.symbol);
    if (!instrument) return;
    if (frame.venue) instrument.venue = frame.venue;
    const moved = instrument.take(frame.data);
    watch.changed(instrument, moved);
    if (instrument === selected?.instrument) view.quoteChanged(moved);
  },
  status(frame) {
    const instrument = instruments.get(frame.symbol);
    if (!instrument) return;
    Object.assign(instrument, frame.data);
    stateChanged(instrument);
  },
  depth(frame) {
    if (frame.symbol !== selected?.instrument.symbol) return;
    selected.book ??= new Book();
    if (frame.type === 'snapshot') selected.book.reset(frame.data);
    else selected.book.change(frame.data.changes);
    for (const level of [...selected.book.bids, ...selected.book.asks]) selected.instrument.widen(level[0]);
    view.bookChanged();
  },
  trades(frame) {
    if (frame.symbol !== selected?.instrument.symbol) return;
    selected.known = true;
    if (frame.type === 'snapshot') selected.tape.reset(frame.data.trades);
    else if (frame.data.broken) selected.tape.revoke(frame.data.broken);
    else selected.tape.push({ ...frame.data, ts_event: frame.ts_event });
    view.tapeChanged();
  },
};

function takeMissing(frame, topic) {
  if (topic.channel !== 'trades' || topic.symbol !== selected?.instrument.symbol) return;
  const count =
    frame.merged === undefined
      ? 'Trades'
      : frame.merged === 1
        ? '1 trade'
        : `${frame.merged.toLocaleString('en-US')} trades`;
  selected.tape.push({ missing: `${count} not shown` });
  view.tapeChanged();
}

function takeRefused(topic, code) {
  const { channel, symbol, levels } = topic;
  if (channel === 'depth' && code === 'levels') {
    feed.drop('depth', [symbol], levels);
    const fewer = LEVELS[LEVELS.indexOf(levels) + 1];
    if (fewer && symbol === selected?.instrument.symbol) feed.want('depth', [symbol], (selected.levels = fewer));
    return;
  }
  if (code !== 'unavailable') log.add('warn', 'refused', `${symbol} ${channel}: ${code}`);
  const instrument = instruments.get(symbol);
  if (!instrument || channel !== 'quotes') return;
  instrument.refused = code;
  stateChanged(instrument);
}

function stateChanged(instrument) {
  watch.changed(instrument, null);
  if (instrument === selected?.instrument) view.quoteChanged(null);
}

// --- what the reader wants

function hold(symbols) {
  const fresh = symbols.filter((symbol) => !instruments.has(symbol));
  for (const symbol of fresh) instruments.set(symbol, new Instrument(symbol));
  feed.want('quotes', fresh);
  feed.want('status', fresh);
}

/** Forgets a symbol that is neither watched nor selected. */
function release(symbol) {
  if (watch.symbols.includes(symbol) || selected?.instrument.symbol === symbol) return;
  instruments.delete(symbol);
  feed.drop('quotes', [symbol]);
  feed.drop('status', [symbol]);
}

function add(symbol) {
  if (!watch.symbols.includes(symbol)) {
    if (watch.symbols.length >= WATCH_MAX) {
      log.add('warn', 'watch list', `The list holds ${WATCH_MAX} symbols; remove one first`);
      return;
    }
    hold([symbol]);
    watch.add(symbol);
    watch.changed(instruments.get(symbol), null);
  }
  kept = true;
  select(symbol, true);
}

function remove(symbol) {
  watch.remove(symbol);
  kept = true;
  if (symbol === selected?.instrument.symbol && watch.symbols.length) select(watch.symbols[0], false);
  release(symbol);
  store();
}

/** Selects a symbol; `led`: the reader asked for it, so a narrow screen goes to the book. */
function select(symbol, led) {
  if (led) show('instrument');
  if (symbol === selected?.instrument.symbol) return store();
  const before = selected;
  hold([symbol]);
  selected = { instrument: instruments.get(symbol), book: null, tape: new Tape(), known: false, levels: LEVELS[0] };
  if (before) {
    feed.drop('depth', [before.instrument.symbol], before.levels);
    feed.drop('trades', [before.instrument.symbol]);
    release(before.instrument.symbol);
  }
  feed.want('depth', [symbol], selected.levels);
  feed.want('trades', [symbol]);
  watch.select(symbol);
  view.show(selected);
  store();
}

function store() {
  if (kept) save(watch.symbols, selected?.instrument.symbol ?? null);
}

function fill(symbols, choice) {
  hold(symbols);
  for (const symbol of symbols) {
    watch.add(symbol);
    watch.changed(instruments.get(symbol), null);
  }
  select(symbols.includes(choice) ? choice : symbols[0], false);
}

/** The first list: the reader's own, else the gateway's first instruments, as soon as it has any. */
async function start() {
  const own = load();
  if (own) {
    kept = true;
    fill(own.symbols, own.selected);
    return;
  }
  for (; ; await new Promise((resolve) => setTimeout(resolve, LIST_RETRY_MS))) {
    if (connection.name !== 'open') watch.explain('Waiting for the gateway');
    else if (!attached()) watch.explain('Waiting for the engine');
    else {
      const first = await api.instruments('', FIRST_LIST).catch(() => []);
      if (watch.symbols.length) return; // The reader was faster.
      if (first.length)
        return fill(
          first.map(({ symbol }) => symbol),
          null,
        );
      watch.explain('The engine has no instruments yet');
    }
  }
}

// --- the connection, and the program's own state

/** Whether any lane has something to ask for. */
const attached = () => [...connection.lanes.values()].some((state) => state !== 'absent');

function paintConnection() {
  const { name, text } = describeConnection();
  document.body.dataset.connection = name;
  setText(byId('connection'), text);
}

function describeConnection() {
  if (connection.name === 'connecting') return { name: 'connecting', text: 'Connecting' };
  if (connection.name === 'waiting') {
    const seconds = Math.max(0, Math.ceil((connection.until - now()) / 1_000));
    return { name: 'waiting', text: `Reconnecting in ${seconds} s` };
  }
  const states = [...connection.lanes.values()];
  if (states.includes('live'))
    return { name: 'live', text: states.includes('silent') ? 'Live, a lane is silent' : 'Live' };
  if (states.includes('silent')) return { name: 'silent', text: 'Engine silent' };
  if (states.includes('closed')) return { name: 'closed', text: 'Engine ended' };
  return { name: 'absent', text: 'Waiting for the engine' };
}

/** Frames tell of a lane to those who subscribe to it, and `/status` to all, once a second. */
function setLane(name, state) {
  const before = connection.lanes.get(name) ?? 'absent';
  connection.lanes.set(name, state);
  if (before === 'absent' && state !== 'absent') feed.retry();
  system.lane(name, state);
  paintConnection();
}

async function poll() {
  const status = connection.name === 'open' && !document.hidden ? await api.status().catch(() => null) : null;
  if (status && connection.name === 'open') for (const { name, state } of status.lanes) setLane(name, state);
  if (!document.hidden) system.status(status, feed.clock);
  setTimeout(poll, STATUS_MS);
}

// --- narrow screens: one view at a time

function show(name) {
  document.body.dataset.view = name;
  for (const tab of document.querySelectorAll('.tabs button')) {
    if (tab.dataset.view === name) tab.setAttribute('aria-current', 'true');
    else tab.removeAttribute('aria-current');
  }
}

for (const tab of document.querySelectorAll('.tabs button')) {
  tab.addEventListener('click', () => {
    show(tab.dataset.view);
    scrollTo(0, 0);
  });
}

/** Matches for the search: the symbol itself first, then those that begin with the text, then the rest. */
async function find(text, limit, signal) {
  const wanted = text.toUpperCase();
  const rank = ({ symbol }) => (symbol.toUpperCase() === wanted ? 0 : symbol.toUpperCase().startsWith(wanted) ? 1 : 2);
  const found = await api.instruments(text, SEARCHED, signal);
  found.sort((a, b) => rank(a) - rank(b) || a.symbol.length - b.symbol.length || (a.symbol < b.symbol ? -1 : 1));
  return found
    .slice(0, limit)
    .map(({ symbol, venue }) => ({ symbol, note: watch.symbols.includes(symbol) ? 'in the list' : venue }));
}

new Search(find, add);

setInterval(() => connection.name === 'waiting' && paintConnection(), 250);
start();
poll();
