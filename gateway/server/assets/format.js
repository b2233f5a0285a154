// Numbers and times as text. `NONE` stands where there is no value.

export const NONE = '–';
const MINUS = '−';
const DECIMALS_MAX = 9;

const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: DECIMALS_MAX });
const short = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const fixed = Array.from(
  { length: DECIMALS_MAX + 1 },
  (_, decimals) => new Intl.NumberFormat('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
);
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Decimals that show `value` exactly, 0 to 9. */
export function decimalsOf(value) {
  if (value === null || Number.isInteger(value)) return 0;
  const text = String(value);
  if (text.includes('e')) return DECIMALS_MAX; // Below 0.000001.
  return Math.min(DECIMALS_MAX, text.length - text.indexOf('.') - 1);
}

export const price = (value, decimals) => (value === null ? NONE : fixed[decimals].format(value));
export const quantity = (value) => (value === null ? NONE : plain.format(value));
/** Quantities of a narrow column: exact below a hundred thousand, then 123.46K, 1.23M. */
export const compact = (value) => (value === null ? NONE : value < 100_000 ? plain.format(value) : short.format(value));

/** `+1.23%`, `−0.40%`, `0.00%`. */
export function percent(ratio) {
  if (ratio === null) return NONE;
  const text = fixed[2].format(Math.abs(ratio * 100));
  return `${sign(text, ratio)}${text}%`;
}

/** `+1.23`, `−0.40`, `0.00`. */
export function signed(value, decimals) {
  if (value === null) return NONE;
  const text = fixed[decimals].format(Math.abs(value));
  return `${sign(text, value)}${text}`;
}

// What rounds to nothing has no sign.
const sign = (text, value) => (/[1-9]/.test(text) ? (value < 0 ? MINUS : '+') : '');

/** A duration in ns with three digits and its unit: `820 ns`, `4.21 µs`, `13.1 ms`. */
export function duration(ns) {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return NONE;
  if (ns < 0) return `${MINUS}${duration(-ns)}`;
  const [value, unit] =
    ns < 1e3 ? [ns, 'ns'] : ns < 1e6 ? [ns / 1e3, 'µs'] : ns < 1e9 ? [ns / 1e6, 'ms'] : [ns / 1e9, 's'];
  const digits = unit === 'ns' || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

/** Time of day of a stamp (text, ns since the UNIX epoch) with milliseconds, in the reader's time zone. */
export function timeOfDay(stamp) {
  const ms = Number(stamp) / 1e6;
  if (!(ms > 0)) return NONE;
  return `${clock.format(ms)}.${String(Math.floor(ms % 1000)).padStart(3, '0')}`;
}

/** The same stamp for a tooltip: date and time in UTC with every digit. */
export function exactTime(stamp) {
  const ms = Number(stamp) / 1e6;
  if (!(ms > 0)) return '';
  return `${new Date(ms).toISOString().slice(0, 19)}.${stamp.slice(-9)}Z`;
}

/** `pre_open` -> `Pre open`. */
export function words(name) {
  const text = name.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
