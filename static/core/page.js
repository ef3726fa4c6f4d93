/** What every part of the tracker stands on: settings, who listens, and calls that may fail. */

/** As long as neither the tag's `data-…` nor `start` nor `window.trackway.config` says otherwise. @type {any} */
export const settings = {
  name: 'trackway', endpoint: 'e', auto: 'pageview outbound', params: 'utm_* *clid msclkid',
};

/** @type {any[]} */
const listeners = [];
export const on = (...listener) => {
  listeners.push(listener);
};
/** What the listeners answer; 0 of those that want other types. */
export const tell = (type, detail) =>
  listeners.map(([wanted, listener]) => (wanted == type || wanted == '*' ? guard(() => listener(detail, type), type) : 0));
/** `action()`, or undefined: storage, history and other people's objects may throw at any time. */
export const guard = (action, type) => {
  try {
    return action();
  } catch (error) {
    if (type != 'error') tell('error', error);
  }
};

/** A receipt, or the beginning of one. */
export const is = (status, reason) => ({ status, reason });

/** Also of events that do not bubble. @param {Record<string, (event: any) => void>} wanted */
export const listen = (wanted) => {
  for (const type in wanted) addEventListener(type, wanted[type], true);
};

/** By a clock that nobody sets while the page lives. */
export const now = () => /** @type {any} */ (new Date(performance.timeOrigin + performance.now()));
/** Random, of 96 bits: 30 digits at most. */
export const random = () => crypto.getRandomValues(new Uint32Array(3)).join('');
/** This load of the page. */
export const pageId = random();

export const json = JSON.stringify;
export const sizeOf = (value) => new Blob([json(value)]).size;

/**
 * `value` as JSON can hold it, eight levels deep: no cycles and no elements; BigInt and Date as text. Lists get a `toJSON`
 * of their own that is none, because libraries have given one to all lists.
 */
export const plain = (value, ...above) => {
  if (!value || typeof value != 'object') return typeof value == 'bigint' ? value + '' : value;
  if (value.nodeType || above[7] || above.includes(value)) return;
  above.push(value);
  if (Array.isArray(value)) return Object.assign(value.map((one) => plain(one, ...above)), { toJSON: 0 });
  if (value.toJSON) return plain(value.toJSON(), ...above);
  const copy = {};
  for (const name in value) guard(() => (copy[name] = plain(value[name], ...above))); // a getter may throw
  return copy;
};
