// The selected instrument: its name, last price and day, the ladder and the tape.

import { byId, el, flash, setData, setText } from './dom.js';
import { compact, NONE, percent, price, quantity, signed, words } from './format.js';
import { Ladder } from './ladder.js';
import { TapeView } from './tape.js';
import { signOf } from './watch.js';

const STATS = ['Open', 'High', 'Low', 'Prev close', 'Volume', 'Turnover', 'Trades', 'VWAP'];

export class InstrumentView {
  #title = byId('instrument-title');
  #venue = byId('instrument-venue');
  #state = byId('instrument-state');
  #last = byId('instrument-last');
  #change = byId('instrument-change');
  #stats = STATS.map(addStat);
  #ladder = new Ladder();
  #tape = new TapeView();
  #painter;
  #shown = null; // {instrument, book, tape, known}
  #moved = null;

  constructor(painter) {
    this.#painter = painter;
  }

  /** Shows another instrument. */
  show(shown) {
    this.#shown = shown;
    this.#moved = null;
    delete this.#last.dataset.flash;
    this.quoteChanged(null);
    this.bookChanged();
    this.tapeChanged();
  }

  /** The quote or the state has changed; `moved`: direction of the last price if that has. */
  quoteChanged(moved) {
    this.#moved = moved ?? this.#moved;
    this.#painter.ask(this.#paintQuote);
  }

  bookChanged() {
    this.#painter.ask(this.#paintBook);
  }

  tapeChanged() {
    this.#painter.ask(this.#paintTape);
  }

  #paintQuote = () => {
    const { instrument } = this.#shown;
    const { quote, decimals, change, state } = instrument;
    setText(this.#title, instrument.symbol);
    setText(this.#venue, instrument.venue);
    setText(this.#state, state.text ? words(state.text) : NONE);
    setData(this.#state, 'tone', state.tone);
    const last = price(quote?.last?.price ?? null, decimals);
    setText(this.#last, last);
    setText(this.#change, change ? `${signed(change.value, decimals)}  ${percent(change.ratio)}` : '');
    setData(this.#change, 'sign', signOf(change));
    setData(this.#last, 'sign', instrument.direction);
    if (this.#moved) flash(this.#last, this.#moved);
    this.#moved = null;
    const vwap = quote?.volume ? quote.turnover / quote.volume : null;
    const values = quote
      ? [
          price(quote.open, decimals),
          price(quote.high, decimals),
          price(quote.low, decimals),
          price(quote.previous_close, decimals),
          compact(quote.volume),
          compact(quote.turnover),
          quantity(quote.trades),
          price(vwap, decimals),
        ]
      : STATS.map(() => NONE);
    values.forEach((value, at) => setText(this.#stats[at], value));
    document.title = quote?.last ? `${last} ${instrument.symbol} · Ticklane` : `${instrument.symbol} · Ticklane`;
  };

  #paintBook = () => this.#ladder.paint(this.#shown.book, this.#shown.instrument.decimals);

  #paintTape = () => this.#tape.paint(this.#shown.tape, this.#shown.instrument.decimals, this.#shown.known);
}

function addStat(name) {
  const value = el('dd', {}, NONE);
  byId('stats').append(el('div', {}, el('dt', {}, name), value));
  return value;
}
