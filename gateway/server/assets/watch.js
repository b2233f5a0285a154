// The watch list: one row for each symbol, painted only where something has changed.

import { byId, el, flash, setData, setText } from './dom.js';
import { compact, NONE, percent, price, quantity, words } from './format.js';

const CELLS = ['last', 'change', 'bid-size', 'bid', 'ask', 'ask-size', 'volume', 'state'];
const CELL_CLASS = {
  last: 'c-last tinted',
  change: 'c-change',
  'bid-size': 'c-size',
  bid: 'c-bid',
  ask: 'c-ask',
  'ask-size': 'c-size',
  volume: 'c-volume',
  state: 'c-state',
};

export class WatchList {
  #body = byId('watch');
  #empty = byId('watch-empty');
  #count = byId('watch-count');
  #rows = new Map(); // symbol -> {row, cells, button}
  #dirty = new Map(); // instrument -> direction of the last price, or null
  #selected = null;
  #painter;
  #on;

  /** `handlers`: `select(symbol)`, `remove(symbol)`. */
  constructor(painter, handlers) {
    this.#painter = painter;
    this.#on = handlers;
    this.#body.addEventListener('click', (event) => this.#click(event));
    this.#body.addEventListener('keydown', (event) => this.#key(event));
  }

  get symbols() {
    return [...this.#rows.keys()];
  }

  add(symbol) {
    if (this.#rows.has(symbol)) return;
    const button = el('button', { type: 'button', class: 'pick' }, symbol);
    const cells = Object.fromEntries(
      CELLS.map((name) => [
        name,
        el('span', { role: 'cell', class: CELL_CLASS[name], 'data-cell': name }, name === 'state' ? '' : NONE),
      ]),
    );
    const remove = el('button', { type: 'button', class: 'remove', 'aria-label': `Remove ${symbol}` }, '×');
    const row = el(
      'div',
      { role: 'row', class: 'row', 'data-symbol': symbol },
      el('span', { role: 'rowheader', class: 'c-symbol' }, button),
      ...CELLS.map((name) => cells[name]),
      el('span', { role: 'cell', class: 'c-remove' }, remove),
    );
    this.#rows.set(symbol, { row, cells, button });
    this.#body.append(row);
    this.#counted();
  }

  remove(symbol) {
    this.#rows.get(symbol)?.row.remove();
    this.#rows.delete(symbol);
    this.#counted();
  }

  /** Shows which symbol is selected. */
  select(symbol) {
    if (this.#selected !== null) this.#mark(this.#selected, false);
    this.#selected = symbol;
    this.#mark(symbol, true);
  }

  /** Tells what stands in place of rows. */
  explain(text) {
    setText(this.#empty, text);
  }

  /** `instrument` has changed; `moved`: direction of its last price if that has. */
  changed(instrument, moved) {
    this.#dirty.set(instrument, moved ?? this.#dirty.get(instrument) ?? null);
    this.#painter.ask(this.#paint);
  }

  #mark(symbol, selected) {
    const held = this.#rows.get(symbol);
    if (!held) return;
    held.row.classList.toggle('selected', selected);
    if (selected) held.button.setAttribute('aria-current', 'true');
    else held.button.removeAttribute('aria-current');
  }

  #counted() {
    this.#empty.hidden = this.#rows.size > 0;
    setText(this.#count, this.#rows.size ? String(this.#rows.size) : '');
  }

  #click(event) {
    const symbol = event.target.closest('.row')?.dataset.symbol;
    if (!symbol) return;
    if (event.target.closest('.remove')) this.#on.remove(symbol);
    else this.#on.select(symbol);
  }

  #key(event) {
    const row = event.target.closest('.row');
    if (!row) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling;
      next?.querySelector('.pick').focus();
      event.preventDefault();
    } else if (event.key === 'Delete') {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      this.#on.remove(row.dataset.symbol);
      next?.querySelector('.pick').focus();
    }
  }

  #paint = () => {
    for (const [instrument, moved] of this.#dirty) {
      const held = this.#rows.get(instrument.symbol);
      if (held) paintRow(held.cells, instrument, moved);
    }
    this.#dirty.clear();
  };
}

function paintRow(cells, instrument, moved) {
  const { quote, decimals } = instrument;
  const state = instrument.state;
  setText(cells.state, state.text ? words(state.text) : NONE);
  setData(cells.state, 'tone', state.tone);
  if (!quote) return;
  setText(cells.last, price(quote.last?.price ?? null, decimals));
  setText(cells.bid, price(quote.bid?.price ?? null, decimals));
  setText(cells.ask, price(quote.ask?.price ?? null, decimals));
  setText(cells['bid-size'], quantity(quote.bid?.quantity ?? null));
  setText(cells['ask-size'], quantity(quote.ask?.quantity ?? null));
  setText(cells.volume, compact(quote.volume));
  const change = instrument.change;
  setText(cells.change, percent(change?.ratio ?? null));
  setData(cells.change, 'sign', signOf(change));
  if (moved) flash(cells.last, moved);
}

/** `up`, `down` or `null` for a change as it is shown: what rounds to 0.00 % is neither. */
export function signOf(change) {
  if (!change || Math.abs(change.ratio) < 0.00005) return null;
  return change.ratio > 0 ? 'up' : 'down';
}
