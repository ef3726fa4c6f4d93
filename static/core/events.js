/** From a call to a message in the queue, as far as the visitor has consented. */
import { admit, refused } from './queue.js';
import { settle, view } from './views.js';
import { anonymousId, choice, granted, userId } from './visitor.js';
import { is, now, pageId, plain, settings, tell } from './page.js';

const MAX_HELD = 50;
const MAX_RATE = 100; // events a second
/** What waits for consent, in memory only. @type {any[]} */
export const held = [];
/** What `set` adds to the properties of every event. */
export let defaults = {};
export const setDefaults = (properties) => (defaults = properties);
let burst = 0; // events within a second
export const local = is('accepted');

/** The number of this page's latest event: what was never consented to has none. */
let seq = 0;
/** What was held is to be no event. */
export const forget = () => (seq -= held.splice(0).length);
/** The event with everything true at this moment: its time and page are not those of the sending. */
export const stamp = (fields, options) => {
  seq++;
  return plain({ messageId: options?.id || `${pageId}-${seq}`, timestamp: now(), userId, ...fields, seq, context: { page: view } });
};

export const record = (fields, options) => {
  settle();
  if (choice && !granted()) return is('filtered', 'consent');
  if (+anonymousId.slice(-2) >= settings.sample) return is('filtered', 'sample');
  if (!burst++) setTimeout(() => (burst = 0), 1000);
  if (burst > MAX_RATE || held[MAX_HELD - 1]) return refused('too_many');
  const event = stamp(fields, options);
  event.properties &&= { ...defaults, ...event.properties };
  if (tell('before', event).includes(false)) {
    // A gap would be a loss; two events of one number would be one.
    if (event.seq == seq) seq--;
    return is('filtered', 'before');
  }
  tell('event', event);
  if (choice) return admit(event);
  held.push(event);
  return { id: event.messageId, ...is('held', 'consent') };
};
export const track = (event, properties = {}, options) => record({ type: 'track', event: event + '', properties }, options);
