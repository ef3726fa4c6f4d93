// What must compile against tracker.d.ts, and what must not. Nothing here runs.
import { start, type Receipt, type State, type Trackway } from './tracker.js';

const trackway: Trackway = start({ key: 'wk_shop', endpoint: '/tw/e', consent: 'granted', spa: 'query', session: 20 });
const early: Trackway = window.trackway;
early('page');

// Events of a shop, of the website's own, and of any other name.
const receipt: Promise<Receipt> = trackway.track('visit', { product_id: 'SKU-1', price: 89.9, currency: 'EUR' });
trackway('track', 'buy', { order_id: 'A-1', total: '119.80', items: [{ product_id: 1, quantity: 2 }] }, { id: 'buy-1' });
trackway.track('basket', { basket_id: 'b', items: [] });
trackway.track('search', { query: 'tent', results: 3, page: 2 });
trackway.track('Read', { title: 'Tents', n: 3, author: { name: 'Eve', age: 36 } });
trackway('track', 'Signed up');
trackway('track', 'Anything else', { of: ['any', 'kind'] });
trackway.track(document.title, { n: 1 });

trackway('identify', 'u-1', { plan: 'pro' });
trackway.identify({ plan: 'pro' });
trackway('consent', { analytics: true, marketing_activation: false });
trackway.set({ theme: 'dark' });
trackway('reset').then(({ status }) => status === 'duplicate');
const state: Promise<State> = trackway('status');
state.then(({ queued, stopped, view }) => (stopped ? view.url : queued + 1));
trackway.on('retry', ({ wait, reason }) => reason === 503 && wait > 1000);
trackway.on('send', ({ batch, leaving }) => leaving && batch.map(({ messageId }) => messageId));
trackway('on', 'view', ({ url, view_id }, type) => [url, view_id, type === 'view']);
trackway.on('*', (detail, type) => console.log(type, detail));
trackway('before', (message) => message.event !== 'secret');
trackway.before((message) => {
  delete message.properties?.email;
});

// @ts-expect-error: it has no name
trackway.track();
// @ts-expect-error: a product has an id
trackway.track('visit', { name: 'Tent' });
// @ts-expect-error: so have those of a list
trackway('track', 'buy', { order_id: 'A-1', items: [{ quantity: 2 }] });
// @ts-expect-error: a basket says what is in it
trackway.track('basket');
// @ts-expect-error: `n` is a number
trackway.track('Read', { title: 'Tents', n: 'three', author: { name: 'Eve', age: 36 } });
// @ts-expect-error: this event has an author
trackway('track', 'Read', { title: 'Tents', n: 3 });
// @ts-expect-error: this event has no such property
trackway.track('Video Played', { seconds: 1, ranges: [], mixed: [], none: [], secnods: 2 });
// @ts-expect-error: there is no such choice
trackway.consent('maybe');
// @ts-expect-error: nor such a purpose
trackway('consent', { statistics: true });
// @ts-expect-error: nor such a command
trackway('trak', 'visit');
// @ts-expect-error: nor anything told under this name
trackway.on('sent', () => {});
// @ts-expect-error: a view has a URL, and no address
trackway.on('view', ({ address }) => address);
// @ts-expect-error: a filter answers with yes, no or nothing
trackway.before(() => 'no');
// @ts-expect-error: an event is never lost
receipt.then(({ status }) => status === 'lost');
// @ts-expect-error: a key is needed
start({ endpoint: '/tw/e' });
// @ts-expect-error: there is no such setting
start({ key: 'wk_shop', cosent: 'granted' });
// @ts-expect-error: its version is not the page's to change
trackway.version = '2';
