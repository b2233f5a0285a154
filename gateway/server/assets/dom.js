// Small tools for the page. Data reaches the document as text and attributes only, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (`class`, `data-...`, `aria-...`) and children (elements or text). */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets the text of an element that holds nothing but text; touches the document only where it changes. */
export function setText(node, text) {
  const child = node.firstChild;
  if (!child) node.textContent = text;
  else if (child.data !== text) child.data = text;
}

/** Sets a `data-` attribute, or removes it for `null`; touches the document only where it changes. */
export function setData(node, name, value) {
  if (value === null) {
    if (name in node.dataset) delete node.dataset[name];
  } else if (node.dataset[name] !== value) {
    node.dataset[name] = value;
  }
}

const FLASH_MS = 700; // As in base.css.
const flashed = new WeakMap(); // element -> when its tint began

/**
 * Starts a short tint, `up` or `down`. The one that still shows is left alone if it says the same: what changes ten
 * times a second shall not flicker. Two names in turn, because setting the same one again would not start it anew.
 */
export function flash(node, direction) {
  const before = node.dataset.flash ?? '';
  const at = performance.now();
  if (before.startsWith(direction) && at - (flashed.get(node) ?? 0) < FLASH_MS) return;
  flashed.set(node, at);
  node.dataset.flash = before === `${direction}-a` ? `${direction}-b` : `${direction}-a`;
}

const PAINT_INTERVAL_MS = 100; // Ten paints a second: faster than digits can be read, and easy on the processor.

/**
 * Collects what has changed and paints it in the next animation frame, at most every `PAINT_INTERVAL_MS`.
 * A hidden page gets no frames: what waits is then no more than one mark for each painter.
 */
export class Painter {
  #dirty = new Set();
  #asked = false;
  #painted = 0;

  /** Runs `paint` in the next frame, once however often it is asked. */
  ask(paint) {
    this.#dirty.add(paint);
    if (!this.#asked) {
      this.#asked = true;
      requestAnimationFrame(this.#frame);
    }
  }

  #frame = (now) => {
    if (now - this.#painted < PAINT_INTERVAL_MS) {
      requestAnimationFrame(this.#frame);
      return;
    }
    this.#painted = now;
    this.#asked = false;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const paint of dirty) paint();
  };
}
