// What the reader has chosen, kept in the browser. What is found there is checked: it may be anything.

const KEY = 'ticklane.watch';
/** Symbols of a watch list: quotes and status of each stay well below the gateway's 1,000 subscriptions. */
export const WATCH_MAX = 200;
const SYMBOL_LENGTH_MAX = 64;

/** The stored watch list and selection, or `null` where nothing usable is stored. */
export function load() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY));
    const symbols = Array.isArray(stored?.symbols) ? stored.symbols.filter(isSymbol) : [];
    if (symbols.length === 0) return null;
    return {
      symbols: [...new Set(symbols)].slice(0, WATCH_MAX),
      selected: isSymbol(stored.selected) ? stored.selected : null,
    };
  } catch {
    return null; // No storage, or not ours.
  }
}

/** Keeps the watch list and selection, where the browser lets us. */
export function save(symbols, selected) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ symbols, selected }));
  } catch {
    // The list lives as long as the page.
  }
}

const isSymbol = (value) => typeof value === 'string' && value.length > 0 && value.length <= SYMBOL_LENGTH_MAX;
