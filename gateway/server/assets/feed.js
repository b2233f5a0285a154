// The native WebSocket protocol, version 1, as a browser speaks it: connect, subscribe, check every number, come back.
//
// The feed holds what is wanted; the connection is made to agree with it, now and after every reconnect. It hands
// frames on only in an unbroken order per topic, and tells of everything that was missing on the way.

import { Clock, now } from './clock.js';

const BATCH = 500; // Symbols of one command; `hello` may allow fewer.
const BACK_OFF_FIRST_MS = 200;
const BACK_OFF_MAX_MS = 5_000;
const HELLO_MS = 5_000; // A gateway that has not said hello by then is no gateway.
const PING_MS = 5_000;
const FIRST_PINGS_MS = 1_000; // Until the clocks are compared: the first pings meet a page that is busy loading.
const ANSWER_MS = 7_000; // Nothing came for so long after a ping: the line is dead.
const RETRY_REFUSED_MS = 2_000; // Symbols may appear later: an engine that starts, a listing during the day.
const CHECK_MS = 1_000;

const keyOf = (channel, symbol, levels) => `${channel} ${levels ?? ''} ${symbol}`;

/** One thing that can be subscribed, and what is known of its order. */
class Topic {
  /** Number of the last event; `null`: the next frame is taken whatever it says came before. */
  seq = null;
  /** Stream of the last event. */
  stream = 0;
  /** Text by which trades go on after a reconnect. */
  cursor = null;
  /** The gateway's reason not to serve it, e.g. `unknown_symbol`. */
  refused = null;
  /** Whether a snapshot has come on which changes can build. */
  whole = false;

  constructor(channel, symbol, levels) {
    Object.assign(this, { channel, symbol, levels });
  }
}

/**
 * A connection that comes back by itself.
 *
 * `handlers`: `state(name, until)` with `connecting`, `open` (hello was read) or `waiting` (`until`: page time of the
 * next attempt); `frame(frame)` for snapshots and updates of wanted topics; `missing(frame, topic)` for a gap in one
 * topic; `refused(topic, code)`; `lane(name, state)` on every change; `event(tone, kind, text)` for the event log;
 * `delay(ms)`: page time at which an update was read, less its stamp: its age, but for the difference of the clocks.
 */
export class Feed {
  #url;
  #on;
  #socket = null;
  #topics = new Map();
  #streams = new Map(); // stream -> {lane, epoch}; good as long as the gateway runs.
  #open = false;
  #batch = BATCH;
  #attempts = 0;
  #timer = 0;
  #startedAt = 0;
  #heardAt = 0;
  #pingedAt = 0;
  #retriedAt = 0;
  #id = 0;
  #clock = new Clock();

  constructor(url, handlers) {
    this.#url = url;
    this.#on = handlers;
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.#hurry());
    setInterval(() => this.#check(), CHECK_MS);
    this.#connect();
  }

  /** Round trip to the gateway and difference of the clocks, ms; `null` until measured. */
  get clock() {
    return this.#clock.estimate;
  }

  /** Wants topics. What is wanted already stays as it is. */
  want(channel, symbols, levels) {
    const fresh = symbols.filter((symbol) => !this.#topics.has(keyOf(channel, symbol, levels)));
    for (const symbol of fresh) this.#topics.set(keyOf(channel, symbol, levels), new Topic(channel, symbol, levels));
    if (this.#open) this.#subscribe(channel, fresh, levels);
  }

  /** Wants topics no more. */
  drop(channel, symbols, levels) {
    const held = symbols.filter((symbol) => this.#topics.delete(keyOf(channel, symbol, levels)));
    if (this.#open) this.#command('unsubscribe', channel, held, levels);
  }

  /** Asks again for what was refused: there may be more now. Done every two seconds anyway. */
  retry() {
    if (!this.#open) return;
    this.#retriedAt = now();
    this.#subscribeAll([...this.#topics.values()].filter((topic) => topic.refused));
  }

  // --- the connection

  #connect() {
    this.#on.state('connecting');
    this.#startedAt = now();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#read(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#lost(code, reason);
    };
  }

  #lost(code, reason) {
    const wasOpen = this.#open;
    this.#open = false;
    this.#socket = null;
    for (const topic of this.#topics.values()) this.#remember(topic);
    this.#streams.clear();
    if (wasOpen) this.#on.event('warn', 'connection', `Lost: ${closeText(code, reason)}`);
    // Jitter over the whole interval: pages that lost the same gateway do not come back at the same moment.
    const ceiling = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** this.#attempts);
    const wait = Math.max(BACK_OFF_FIRST_MS, Math.random() * ceiling);
    this.#attempts = Math.min(this.#attempts + 1, 16);
    this.#on.state('waiting', now() + wait);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  /** What `topic` knows, kept beyond the life of its stream number. */
  #remember(topic) {
    const stream = this.#streams.get(topic.stream);
    if (topic.channel === 'trades' && stream && topic.seq !== null) {
      topic.cursor = `${stream.lane}.${stream.epoch}.${topic.seq}`;
    }
    Object.assign(topic, { seq: null, stream: 0, whole: false });
  }

  #abandon(why) {
    const socket = this.#socket;
    if (!socket) return;
    this.#lost(0, why);
    socket.close();
  }

  #hurry() {
    if (this.#socket || !this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#connect();
  }

  #check() {
    if (!this.#socket) return;
    const time = now();
    if (!this.#open) {
      if (time - this.#startedAt > HELLO_MS) this.#abandon('no hello');
      return;
    }
    if (this.#pingedAt > this.#heardAt) {
      if (time - this.#pingedAt > ANSWER_MS) {
        this.#abandon('no answer');
        return;
      }
    } else if (time - this.#pingedAt > (this.#clock.settled ? PING_MS : FIRST_PINGS_MS)) {
      this.#pingedAt = time;
      this.#send({ op: 'ping', id: this.#clock.asked(time) });
    }
    if (time - this.#retriedAt > RETRY_REFUSED_MS) this.retry();
  }

  // --- commands

  #send(command) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  #command(op, channel, symbols, levels, more) {
    for (let at = 0; at < symbols.length; at += this.#batch) {
      const batch = symbols.slice(at, at + this.#batch);
      const depth = channel === 'depth' ? { levels } : {};
      this.#send({ op, id: `${op} ${(this.#id += 1)}`, channel, symbols: batch, ...depth, ...more });
    }
  }

  #subscribe(channel, symbols, levels) {
    const plain = [];
    for (const symbol of symbols) {
      const cursor = this.#topics.get(keyOf(channel, symbol, levels))?.cursor;
      if (cursor) this.#command('subscribe', channel, [symbol], levels, { cursor });
      else plain.push(symbol);
    }
    this.#command('subscribe', channel, plain, levels);
  }

  #subscribeAll(topics) {
    const groups = new Map();
    for (const { channel, symbol, levels } of topics) {
      const group = groups.get(`${channel} ${levels}`) ?? { channel, levels, symbols: [] };
      groups.set(`${channel} ${levels}`, group);
      group.symbols.push(symbol);
    }
    for (const { channel, levels, symbols } of groups.values()) this.#subscribe(channel, symbols, levels);
  }

  // --- frames

  #read(data) {
    this.#heardAt = now();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      this.#on.event('bad', 'protocol', 'A frame was not JSON');
      return;
    }
    switch (frame.type) {
      case 'update':
      case 'snapshot':
        return this.#data(frame);
      case 'hello':
        return this.#hello(frame);
      case 'ack':
        return this.#ack(frame);
      case 'gap':
        return this.#gap(frame);
      case 'restart':
        return this.#restart(frame);
      case 'lane':
        return this.#lane(frame);
      case 'pong':
        return this.#clock.answered(frame.id, this.#heardAt, frame.ts_gateway);
      case 'error':
        return this.#on.event(
          'bad',
          'refused',
          `${frame.code}: ${frame.field} = ${frame.value}, expected ${frame.expected}`,
        );
      default: // Of a newer gateway.
    }
  }

  #hello(frame) {
    this.#open = true;
    this.#attempts = 0;
    this.#pingedAt = 0;
    this.#clock = new Clock(); // Another gateway, or another day of this computer.
    this.#batch = Math.min(BATCH, frame.limits?.symbols ?? BATCH);
    this.#streams.clear();
    this.#on.event('info', 'connection', `Connected to ${frame.server}`);
    this.#on.state('open');
    for (const { lane, stream, epoch, state } of frame.lanes) {
      if (stream) this.#streams.set(stream, { lane, epoch });
      this.#on.lane(lane, state);
    }
    this.#retriedAt = now();
    this.#subscribeAll(this.#topics.values());
  }

  #ack(frame) {
    for (const { stream, lane, epoch } of frame.streams) this.#streams.set(stream, { lane, epoch });
    if (frame.op !== 'subscribe') return;
    for (const topic of this.#named(frame, frame.symbols)) topic.refused = null;
    const refused = new Map(frame.refused.map(({ symbol, code }) => [symbol, code]));
    for (const topic of this.#named(frame, [...refused.keys()])) {
      const before = topic.refused;
      topic.refused = refused.get(topic.symbol);
      if (topic.refused !== before) this.#on.refused(topic, topic.refused);
    }
  }

  /** Topics of these symbols that are wanted still. */
  #named({ channel, levels }, symbols) {
    return symbols.map((symbol) => this.#topics.get(keyOf(channel, symbol, levels))).filter(Boolean);
  }

  #data(frame) {
    const topic = this.#topics.get(keyOf(frame.channel, frame.symbol, frame.levels));
    if (!topic) return; // Was on its way when we unsubscribed.
    if (frame.type === 'update') {
      if (topic.seq !== null && frame.prev !== topic.seq) {
        this.#on.event(
          'bad',
          'hole',
          `${topic.symbol} ${topic.channel}: after ${topic.seq} came ${frame.seq}, whose predecessor is ${frame.prev}`,
        );
        this.#renew(topic);
        return;
      }
      if (topic.channel === 'depth' && !topic.whole) return; // A change of what we do not hold.
    }
    topic.seq = frame.seq;
    topic.stream = frame.stream;
    topic.whole = true;
    topic.refused = null;
    if (frame.merged) this.#on.event('warn', 'merged', 'Updates were merged: this page did not keep up');
    // A snapshot is as old as its instrument is quiet: only updates tell of the way here.
    const timed = frame.type === 'update' && frame.ts_gateway !== '0';
    if (timed) this.#on.delay(this.#heardAt - Number(frame.ts_gateway) / 1e6);
    this.#on.frame(frame);
  }

  /** Asks for the whole state again: of what is subscribed already, a state channel sends a fresh snapshot. */
  #renew(topic) {
    Object.assign(topic, { seq: null, whole: false, cursor: null });
    if (topic.channel === 'trades') this.#command('unsubscribe', topic.channel, [topic.symbol], topic.levels);
    this.#command('subscribe', topic.channel, [topic.symbol], topic.levels);
  }

  #gap(frame) {
    const numbers = frame.first === undefined ? '' : `, ${frame.first} to ${frame.last}`;
    if (frame.symbol) {
      const topic = this.#topics.get(keyOf(frame.channel, frame.symbol, frame.levels));
      if (!topic) return;
      // After a cursor that cannot be resumed comes a snapshot; otherwise the order goes on behind the gap.
      topic.seq = frame.last ?? null;
      if (frame.cursor) topic.cursor = null;
      this.#on.event(
        'warn',
        'gap',
        `${frame.symbol} ${frame.channel}: ${GAP_TEXT[frame.reason] ?? frame.reason}${numbers}`,
      );
      this.#on.missing(frame, topic);
      return;
    }
    const lane = this.#streams.get(frame.stream)?.lane ?? `stream ${frame.stream}`;
    this.#on.event(
      frame.reason === 'venue' ? 'bad' : 'warn',
      'gap',
      `${lane}: ${GAP_TEXT[frame.reason] ?? frame.reason}${numbers}`,
    );
    if (frame.reason === 'venue') return; // The ring's own numbers go on.
    for (const topic of this.#topics.values()) {
      if (topic.stream !== frame.stream) continue;
      Object.assign(topic, { seq: null, whole: false });
      if (topic.channel === 'trades') this.#on.missing(frame, topic);
    }
  }

  #restart(frame) {
    this.#streams.set(frame.stream, { lane: frame.lane, epoch: frame.epoch });
    const lost =
      frame.old_end !== null && frame.old_end > frame.drained_to
        ? `, ${frame.old_end - frame.drained_to} records lost`
        : '';
    this.#on.event('warn', 'restart', `${frame.lane}: ${RESTART_TEXT[frame.reason] ?? frame.reason}${lost}`);
    for (const topic of this.#topics.values()) {
      if (topic.stream !== frame.old_stream && topic.stream !== 0) continue;
      Object.assign(topic, { seq: null, whole: false, cursor: null });
    }
    this.retry();
  }

  #lane({ lane, state }) {
    this.#on.event(state === 'live' ? 'info' : 'warn', 'lane', `${lane} is ${state}`);
    this.#on.lane(lane, state);
  }
}

const GAP_TEXT = {
  slow: 'this page did not keep up',
  lapped: 'the gateway did not keep up',
  venue: 'the venue never delivered its messages',
  no_epoch: 'cannot go on, the cursor has no epoch',
  other_epoch: 'cannot go on, the engine has begun anew',
  too_old: 'cannot go on, too long ago',
  ahead: 'cannot go on, not reached yet',
};

const RESTART_TEXT = {
  engine: 'the engine began anew',
  unknown: 'the engine has started',
  session: 'the venue began a new session',
};

const CLOSE_TEXT = {
  1001: 'the gateway is shutting down',
  1006: 'the connection broke',
  1008: 'too many commands',
  1009: 'a message was too large',
  4408: 'this page did not keep up',
};

const closeText = (code, reason) => CLOSE_TEXT[code] ?? (reason || `code ${code}`);
