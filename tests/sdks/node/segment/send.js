// Sends a visit, or so many events, by @segment/analytics-node; prints what the SDK says of it.
// stdin: {"url", "key", "count", …}; stdout: {"sent": messages it holds to be delivered, "failures": [text]}.
import { text } from 'node:stream/consumers';
import { Analytics } from '@segment/analytics-node';

const given = JSON.parse(await text(process.stdin));
const analytics = new Analytics({ writeKey: given.key, host: given.url, flushAt: 250 });
const failures = [];
let sent = 0;
analytics.on('error', (error) => failures.push(`${error.code}: ${error.reason}`));
const say = (type, parameters) =>
  analytics[type](parameters, (error) => {
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
await analytics.closeAndFlush({ timeout: 30_000 });
console.log(JSON.stringify({ sent, failures }));
// The SDK leaves answers unread, and an unread one above 16 KB keeps a process alive until its memory is tidied up.
process.exit();
