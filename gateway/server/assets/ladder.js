// The depth ladder: ten fixed rows a side around the middle, so that nothing jumps; bars show the cumulative size.

import { byId, el, setText } from './dom.js';
import { compact, NONE, price, quantity } from './format.js';

const LEVELS = 10;

export class Ladder {
  // Asks stand above, best at the bottom.
  #asks = rowsOf(byId('asks')).reverse();
  #bids = rowsOf(byId('bids'));
  #mid = byId('mid');
  #spread = byId('spread');

  /** Paints a book, or an empty ladder for `null`. */
  paint(book, decimals) {
    const bids = book?.bids ?? [];
    const asks = book?.asks ?? [];
    const largest = Math.max(total(bids), total(asks));
    paintSide(this.#bids, bids, decimals, largest);
    paintSide(this.#asks, asks, decimals, largest);
    const bid = bids[0]?.[0] ?? null;
    const ask = asks[0]?.[0] ?? null;
    if (bid === null || ask === null) {
      setText(this.#mid, NONE);
      setText(this.#spread, book ? (bid === ask ? 'empty book' : 'one side only') : '');
      return;
    }
    const mid = (bid + ask) / 2;
    setText(this.#mid, price(mid, Math.min(decimals + 1, 9)));
    setText(this.#spread, `spread ${price(ask - bid, decimals)} · ${(((ask - bid) / mid) * 1e4).toFixed(1)} bp`);
  }
}

function rowsOf(body) {
  return Array.from({ length: LEVELS }, () => {
    const cells = ['price', 'size', 'total', 'orders'].map((name) => el('span', { role: 'cell', class: `c-${name}` }));
    const row = el('div', { role: 'row', class: 'row' }, ...cells);
    body.append(row);
    return { row, cells };
  });
}

const total = (levels) => levels.reduce((sum, level) => sum + level[1], 0);

function paintSide(rows, levels, decimals, largest) {
  let sum = 0;
  rows.forEach(({ row, cells }, at) => {
    const level = levels[at];
    if (!level) {
      for (const cell of cells) setText(cell, '');
      row.style.setProperty('--bar', '0');
      return;
    }
    const [levelPrice, size, orders] = level;
    sum += size;
    setText(cells[0], price(levelPrice, decimals));
    setText(cells[1], quantity(size));
    setText(cells[2], compact(sum));
    setText(cells[3], String(orders));
    row.style.setProperty('--bar', (sum / largest).toFixed(3));
  });
}
