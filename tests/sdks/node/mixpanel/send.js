// Sends a visit, or so many events, by the SDK of a folder; prints what the SDK says of it.
//
// stdin: {"folder", "url", "key", "verbose", "count", …}; stdout: {"sent": number of calls, "failures": [text]}.
const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const given = JSON.parse(readFileSync(0, 'utf8'));
const Mixpanel = createRequire(given.folder + '/')('mixpanel');
const { host } = new URL(given.url);
const logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const mixpanel = Mixpanel.init(given.key, { host, protocol: 'http', verbose: Boolean(given.verbose), key: given.key, logger });
const calls = [];

function call(of, name, ...args) {
  calls.push(new Promise((resolve) => of[name](...args, resolve)));
}

function visit({ user, email, name, group, own, text, order }) {
  call(mixpanel, 'track', own, { distinct_id: '$device:anon-1', text, n: Number.MAX_SAFE_INTEGER, time: new Date() });
  call(mixpanel, 'alias', '$device:anon-1', user);
  call(mixpanel.people, 'set', user, { $email: email, $name: name });
  call(mixpanel.people, 'set_once', user, { first: '2026' });
  call(mixpanel.people, 'unset', user, ['plan']);
  call(mixpanel.people, 'increment', user, 'visits', 1);
  call(mixpanel.groups, 'set', 'company', group, { plan: 'pro' });
  call(mixpanel, 'track', 'Order Completed', { distinct_id: user, ...order });
  call(mixpanel, 'import', 'Imported', new Date(1600000000000), { distinct_id: user, n: 1 });
}

function many({ user, count }) {
  const list = Array.from({ length: count }, (_, n) => ({ event: 'Read', properties: { distinct_id: user, n } }));
  call(mixpanel, 'track_batch', list);
}

(given.count ? many : visit)(given);
Promise.all(calls).then((errors) => {
  const failures = errors.filter(Boolean).map(String);
  console.log(JSON.stringify({ sent: calls.length, failures }));
  process.exit();
});
