/**
 * GA4's e-commerce events in the data layer, of Tag Manager's form and of gtag's, as our shop events.
 *
 * Only what the collector reads of an event is taken: whatever else the layer knows of a person stays there.
 */
import { trackway, watch } from './layer.js';

/** What GA4's names mean, with the change to basket or favourites. @type {any} */
const MEANINGS = {
  __proto__: null,
  view_item: ['visit'],
  view_cart: ['basket', 'whole'],
  add_to_cart: ['basket', 'add'],
  remove_from_cart: ['basket', 'remove'],
  purchase: ['buy'],
  refund: ['return'],
  add_to_wishlist: ['favorite', 'add'],
  search: ['search'],
  view_search_results: ['search'],
  select_item: ['itemclick'],
};
const LISTS = ['item_list_id', 'item_list_name'];
const KEPT = ['items', 'value', 'currency', 'tax', 'shipping', 'coupon', 'search_term', ...LISTS];

/** The e-commerce data pushed last, which counts for an event that comes without. @type {any} */
let latest;

watch('shop', (entry) => {
  const [type, event, parameters = {}] = entry[0] ? entry : ['event', entry.event];
  if ('ecommerce' in entry) latest = entry.ecommerce;
  if (type !== 'event' || !MEANINGS[event]) return;
  let [name, change] = MEANINGS[event];
  const isWhole = entry[0] || entry.items || name === 'search';
  const given = { ...parameters, ...(!isWhole && latest), ...(!entry[0] && entry), ...entry.ecommerce };
  /** @type {any} */
  const told = { change, order_id: given.transaction_id };
  for (const field of KEPT) told[field] = given[field];
  const isOfSearch = (/** @type {any} */ one) => LISTS.some((list) => /search/i.test(one?.[list]));
  if (name === 'itemclick' && (isOfSearch(told) || isOfSearch(told.items?.[0]))) name = 'searchclick';
  trackway.track(name, told);
});
// Before an address changes, so that what was pushed till then belongs to the view it was pushed in.
/** @type {any} */ (window).navigation?.addEventListener('navigate', trackway.shop);
