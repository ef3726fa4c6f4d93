// Sends a visit, or so many events, by @snowplow/node-tracker; prints what the SDK says of it.
//
// stdin: {"url", "key", "method", "count", …}; stdout: {"sent": events that the SDK says were sent, "failures": [text]}.
const { readFileSync } = require('node:fs');
const { buildPageView, buildSelfDescribingEvent, buildStructEvent, newTracker } = require('@snowplow/node-tracker');

const SHOP = 'iglu:com.snowplowanalytics.snowplow.ecommerce';
const OWN = 'iglu:com.acme/Read/jsonschema/1-0-0';
const given = JSON.parse(readFileSync(0, 'utf8'));
const failures = [];
let sent = 0;

const tracker = newTracker(
  { namespace: 'shop', appId: given.key },
  {
    endpoint: given.url,
    eventMethod: given.method || 'post',
    bufferSize: given.size || 10,
    onRequestSuccess: (batch) => { sent += batch.length; },
    onRequestFailure: (failure) => { if (!failure.willRetry) failures.push(failure.message || 'failed'); },
  },
);
tracker.setUserId(given.user);
tracker.setDomainUserId('anon-1');

const described = (schema, data) => buildSelfDescribingEvent({ event: { schema, data } });

function visit({ user, email, own, text, order, page }) {
  tracker.track(buildPageView({ pageUrl: page, pageTitle: text }));
  tracker.track(buildStructEvent({ category: 'shop', action: own, label: text }));
  tracker.track(described(OWN, { text, n: Number.MAX_SAFE_INTEGER }));
  const { order_id, total, currency, products } = order;
  tracker.track(described(`${SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2`, { type: 'transaction' }), [
    { schema: `${SHOP}/user/jsonschema/1-0-0`, data: { id: user, email } },
    { schema: `${SHOP}/transaction/jsonschema/1-0-0`, data: { transaction_id: order_id, revenue: total, currency } },
    ...products.map(({ product_id, ...more }) => ({
      schema: `${SHOP}/product/jsonschema/1-0-0`, data: { id: product_id, currency, ...more },
    })),
  ]);
  return 4;
}

function many({ count }) {
  for (let n = 0; n < count; n++) tracker.track(described(OWN, { n }));
  return count;
}

const calls = (given.count ? many : visit)(given);
const until = Date.now() + 20000;
// It sends again what failed only when it is told to send.
const timer = setInterval(() => {
  if (sent < calls && Date.now() < until) return tracker.flush();
  clearInterval(timer);
  console.log(JSON.stringify({ sent, failures }));
  process.exit();
}, 100);
tracker.flush();
