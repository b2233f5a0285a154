// The event log: what happened to the connection and the data, newest first.

import { byId, el, setText } from './dom.js';

const ROWS_MAX = 200;
const SAME_MS = 5_000; // The same thing again within this time is counted, not repeated.
const REPEATS_LOOKED_AT = 8;

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export class EventLog {
  #list = byId('log');
  #note = byId('event-note');
  #recent = []; // {kind, text, times, at, count}, newest first
  #total = 0;

  /** `tone`: `info`, `warn` or `bad`. What repeats within a few seconds is counted in place. */
  add(tone, kind, text) {
    this.#total += 1;
    const at = Date.now();
    const same = this.#recent.find((entry) => entry.kind === kind && entry.text === text && at - entry.at < SAME_MS);
    if (same) {
      same.at = at;
      same.times += 1;
      setText(same.count, `×${same.times}`);
      return;
    }
    const count = el('span', { class: 'times' });
    this.#list.prepend(
      el(
        'li',
        { 'data-tone': tone },
        el('time', {}, clock.format(at)),
        el('span', { class: 'kind' }, kind),
        el('span', { class: 'text' }, text),
        count,
      ),
    );
    this.#recent.unshift({ kind, text, times: 1, at, count });
    this.#recent.length = Math.min(this.#recent.length, REPEATS_LOOKED_AT);
    while (this.#list.childElementCount > ROWS_MAX) this.#list.lastElementChild.remove();
    setText(this.#note, this.#total > ROWS_MAX ? `last ${ROWS_MAX} of ${this.#total}` : '');
  }
}
