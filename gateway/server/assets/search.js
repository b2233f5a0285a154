// Search over the gateway's instruments: a combobox whose matches are added to the watch list.

import { byId, el } from './dom.js';

const MATCHES = 8;
const PAUSE_MS = 120; // Typing faster than this is one search.

export class Search {
  #input = byId('search');
  #list = byId('matches');
  #find;
  #choose;
  #matches = [];
  #active = -1;
  #timer = 0;
  #abort = null;

  /** `find(text, limit, signal)` gives instruments `{symbol, ...}`; `choose(symbol)` is called with the one chosen. */
  constructor(find, choose) {
    this.#find = find;
    this.#choose = choose;
    this.#input.addEventListener('input', () => this.#typed());
    this.#input.addEventListener('focus', () => this.#input.value.trim() && this.#typed());
    this.#input.addEventListener('blur', () => this.#close());
    this.#input.addEventListener('keydown', (event) => this.#key(event));
    // `mousedown`, not `click`: the input's blur comes between the two.
    this.#list.addEventListener('mousedown', (event) => {
      event.preventDefault();
      const symbol = event.target.closest('li')?.dataset.symbol;
      if (symbol) this.#take(symbol);
    });
    document.addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.target.matches('input, textarea')) return;
      event.preventDefault();
      this.#input.focus();
    });
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const text = this.#input.value.trim();
    if (!text) {
      this.#close();
      return;
    }
    this.#timer = setTimeout(() => this.#search(text), PAUSE_MS);
  }

  async #search(text) {
    this.#abort = new AbortController();
    try {
      this.#show(await this.#find(text, MATCHES, this.#abort.signal), `Nothing matches ${text}`);
    } catch (error) {
      if (error.name !== 'AbortError') this.#show([], 'The gateway does not answer');
    }
  }

  #show(matches, otherwise) {
    this.#matches = matches;
    const rows = matches.map((match, at) =>
      el(
        'li',
        { role: 'option', id: `match-${at}`, 'data-symbol': match.symbol, 'aria-selected': 'false' },
        el('span', { class: 'symbol' }, match.symbol),
        el('span', { class: 'note' }, match.note ?? ''),
      ),
    );
    this.#list.replaceChildren(
      ...(rows.length ? rows : [el('li', { class: 'none', role: 'presentation' }, otherwise)]),
    );
    this.#list.hidden = document.activeElement !== this.#input;
    this.#input.setAttribute('aria-expanded', String(!this.#list.hidden));
    this.#activate(matches.length ? 0 : -1);
  }

  #activate(at) {
    this.#list.children[this.#active]?.setAttribute('aria-selected', 'false');
    this.#active = at;
    const row = at >= 0 ? this.#list.children[at] : null;
    row?.setAttribute('aria-selected', 'true');
    row?.scrollIntoView({ block: 'nearest' });
    if (row) this.#input.setAttribute('aria-activedescendant', row.id);
    else this.#input.removeAttribute('aria-activedescendant');
  }

  #key(event) {
    const count = this.#matches.length;
    if (event.key === 'Escape') {
      this.#input.value = '';
      this.#close();
    } else if (event.key === 'Enter' && this.#active >= 0 && !this.#list.hidden) {
      this.#take(this.#matches[this.#active].symbol);
    } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && count) {
      event.preventDefault();
      this.#activate((this.#active + (event.key === 'ArrowDown' ? 1 : count - 1)) % count);
    }
  }

  #take(symbol) {
    this.#input.value = '';
    this.#close();
    this.#choose(symbol);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#list.hidden = true;
    this.#input.setAttribute('aria-expanded', 'false');
    this.#input.removeAttribute('aria-activedescendant');
    this.#active = -1;
  }
}
