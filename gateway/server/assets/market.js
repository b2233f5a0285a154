// What is known of each instrument, as the frames say it. No document here.

import { decimalsOf } from './format.js';

const TRADES_MAX = 200;

/** One instrument's newest values. */
export class Instrument {
  quote = null;
  status = null;
  quality = null;
  /** Decimals that show every price seen so far; never fewer than two, and they never shrink: columns stay aligned. */
  decimals = 2;
  /** Direction of the last change of the last price since the page opened: `up`, `down` or `null`. */
  direction = null;
  /** Why the gateway does not serve it, or `null`. */
  refused = null;

  constructor(symbol) {
    this.symbol = symbol;
    this.venue = '';
  }

  /** Takes a quote in; returns the direction if the last price has moved. */
  take(quote) {
    const before = this.quote?.last?.price ?? null;
    const last = quote.last?.price ?? null;
    this.quote = quote;
    this.refused = null;
    this.widen(last, quote.bid?.price ?? null, quote.ask?.price ?? null, quote.previous_close);
    if (before === null || last === null || last === before) return null;
    return (this.direction = last > before ? 'up' : 'down');
  }

  /** Makes room for the decimals of `prices`. */
  widen(...prices) {
    for (const price of prices) this.decimals = Math.max(this.decimals, decimalsOf(price));
  }

  /** Change against the previous close, else the open: `{value, ratio}`, or `null` without either or a last price. */
  get change() {
    const last = this.quote?.last?.price ?? null;
    const base = this.quote?.previous_close ?? this.quote?.open ?? null;
    if (last === null || !base) return null;
    return { value: last - base, ratio: (last - base) / base };
  }

  /** What the status column says: `{text, tone}`. A quality that makes the values doubtful goes before the status. */
  get state() {
    if (this.refused) return { text: this.refused, tone: 'warn' };
    if (this.quality in QUALITY_TONE) return { text: this.quality, tone: QUALITY_TONE[this.quality] };
    if (!this.status) return { text: '', tone: 'off' };
    return { text: this.status, tone: STATUS_TONE[this.status] ?? 'off' };
  }
}

const QUALITY_TONE = { stale: 'warn', gapped: 'bad', recovering: 'warn', auth_expired: 'bad' };
const STATUS_TONE = {
  trading: 'good',
  pre_open: 'calm',
  quote_only: 'calm',
  halted: 'bad',
  paused: 'warn',
  post_close: 'calm',
};

/** The best levels of one book: arrays of `[price, quantity, orders]`, best first. */
export class Book {
  bids = [];
  asks = [];

  /** Replaces everything. */
  reset(data) {
    this.bids = data.bids;
    this.asks = data.asks;
  }

  /** Applies changes `[side, price, quantity, orders]`; quantity 0 takes the level out. */
  change(changes) {
    for (const [side, price, quantity, orders] of changes) {
      const levels = side === 'bid' ? this.bids : this.asks;
      const behind = side === 'bid' ? (level) => level[0] <= price : (level) => level[0] >= price;
      const found = levels.findIndex(behind);
      const at = found < 0 ? levels.length : found;
      const present = levels[at]?.[0] === price ? 1 : 0;
      if (quantity > 0) levels.splice(at, present, [price, quantity, orders]);
      else levels.splice(at, present);
    }
  }
}

/** The newest trades of one instrument and the places where some are missing, newest first, at most `TRADES_MAX`. */
export class Tape {
  rows = [];
  /** Rows put in front since the last `drain`, at most `TRADES_MAX`. */
  #fresh = 0;
  #whole = true;

  /** Starts anew with a snapshot's trades, oldest first. */
  reset(trades) {
    this.rows = trades.slice(-TRADES_MAX).reverse();
    this.#whole = true;
  }

  /** A trade, or `{missing: text}`. */
  push(row) {
    this.rows.unshift(row);
    this.rows.length = Math.min(this.rows.length, TRADES_MAX);
    this.#fresh += 1;
  }

  /** Marks the trade of that match id as revoked. */
  revoke(id) {
    const trade = this.rows.find((row) => row.match_id === id);
    if (trade) trade.broken = true;
    this.#whole = true;
  }

  /** What a painter has to do: the rows in front that are new, or everything. */
  drain() {
    const all = this.#whole || this.#fresh >= this.rows.length;
    const drained = { all, fresh: all ? this.rows : this.rows.slice(0, this.#fresh) };
    this.#fresh = 0;
    this.#whole = false;
    return drained;
  }

  /** Most rows there can be. */
  static get max() {
    return TRADES_MAX;
  }
}
