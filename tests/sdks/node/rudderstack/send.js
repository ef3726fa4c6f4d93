// Sends a visit, or so many events, by @rudderstack/rudder-sdk-node; prints what the SDK says of it.
// stdin: {"url", "key", "count", …}; stdout: {"sent": messages it holds to be delivered, "failures": [text]}.
const RudderAnalytics = require('@rudderstack/rudder-sdk-node');

const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const failures = [];
let sent = 0;
const analytics = new RudderAnalytics(given.key, { dataPlaneUrl: given.url, flushAt: 50, flushInterval: 200, logLevel: 'none' });
const say = (type, message) =>
  analytics[type](message, (error) => {
    if (error) failures.push(String(error));
    else sent += 1;
  });
const { user: userId } = given;
if (given.count) {
  for (let n = 0; n < given.count; n += 1) say('track', { userId, event: 'Read', properties: { n } });
} else {
  say('page', { userId, category: 'Shop', name: given.text, properties: { url: 'https://shop.example/?utm_source=news' } });
  say('track', { anonymousId: 'anon-1', event: given.own, properties: { text: given.text, n: 2 ** 53 - 1 } });
  say('alias', { userId, previousId: 'anon-1' });
  say('identify', { userId, traits: { email: given.email, name: given.name } });
  say('group', { userId, groupId: given.group, traits: { plan: 'pro' } });
  say('screen', { userId, category: 'App', name: 'Home' });
  say('track', { userId, event: 'Order Completed', properties: given.order });
}
const wanted = given.count || 7;
const until = Date.now() + 60_000;
const timer = setInterval(() => {
  if (sent + failures.length < wanted && Date.now() < until) return;
  clearInterval(timer);
  console.log(JSON.stringify({ sent, failures }));
  process.exit();
}, 100);
