// The trades tape: newest first, a row for every trade and for every place where trades are missing.

import { byId, el } from './dom.js';
import { exactTime, price, quantity, timeOfDay } from './format.js';
import { Tape } from './market.js';

export class TapeView {
  #body = byId('tape');
  #empty = byId('tape-empty');

  /** Paints what is new in `tape`; `known`: whether the gateway has told about this instrument's trades yet. */
  paint(tape, decimals, known) {
    const { all, fresh } = tape.drain();
    const rows = fresh.map((row) => rowOf(row, decimals));
    if (all) this.#body.replaceChildren(...rows);
    else this.#body.prepend(...rows);
    while (this.#body.childElementCount > Tape.max) this.#body.lastElementChild.remove();
    this.#empty.hidden = tape.rows.length > 0;
    if (!this.#empty.hidden) this.#empty.textContent = known ? 'No trades yet' : 'Waiting for trades';
  }
}

function rowOf(row, decimals) {
  if (row.missing) return el('div', { role: 'row', class: 'row missing' }, el('span', { role: 'cell' }, row.missing));
  const node = el(
    'div',
    { role: 'row', class: 'row' },
    el('span', { role: 'cell', class: 'c-time', title: exactTime(row.ts_event) }, timeOfDay(row.ts_event)),
    el('span', { role: 'cell', class: 'c-price' }, price(row.price, decimals)),
    el('span', { role: 'cell', class: 'c-size' }, quantity(row.quantity)),
    el('span', { role: 'cell', class: 'c-flags' }),
  );
  // The resting order's side: a resting ask was bought from.
  if (row.side) node.dataset.sign = row.side === 'ask' ? 'up' : 'down';
  if (row.broken) node.classList.add('broken');
  const marks = marksOf(row);
  if (marks.length) {
    node.lastElementChild.append(
      el('abbr', { title: marks.map(([, text]) => text).join(', ') }, marks.map(([mark]) => mark).join(' ')),
    );
  }
  return node;
}

const CROSS = { open: ['O', 'opening cross'], close: ['C', 'closing cross'], halt: ['H', 'halt cross'] };

function marksOf(row) {
  const marks = [];
  if (row.broken) marks.push(['X', 'broken: revoked by the venue']);
  if (row.cross) marks.push(CROSS[row.cross] ?? [row.cross, `${row.cross} cross`]);
  if (row.hidden) marks.push(['h', 'against a hidden order']);
  if (row.printed === false) marks.push(['n', 'does not count as volume']);
  return marks;
}
