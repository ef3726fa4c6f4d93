// What SDKs for Node.js whose calls are Segment's are made to send: a visit, or so many events.
// stdin: {"url", "key", "count", …}; stdout: {"sent": messages the SDK holds to be delivered, "failures": [text]}.
import { readFileSync } from 'node:fs';

export const given = JSON.parse(readFileSync(0, 'utf8'));
export const failures = [];
let sent = 0;

// Says it all by `analytics`, and waits until it was told of each; `flush` has what waits sent.
export async function visit(analytics, flush = () => {}) {
  const { user: userId } = given;
  const say = (type, message) =>
    analytics[type](message, (error) => {
      if (error) failures.push(String(error));
      else sent += 1;
    });
  if (given.count) {
    for (let n = 0; n < given.count; n += 1) say('track', { userId, event: 'Read', properties: { n } });
  } else {
    say('page', { userId, category: 'Shop', name: given.text, properties: { url: 'https://shop.example/?utm_source=news' } });
    say('track', { anonymousId: 'anon-1', event: given.own, properties: { text: given.text, n: Number.MAX_SAFE_INTEGER } });
    say('alias', { userId, previousId: 'anon-1' });
    say('identify', { userId, traits: { email: given.email, name: given.name } });
    say('group', { userId, groupId: given.group, traits: { plan: 'pro' } });
    say('screen', { userId, category: 'App', name: 'Home' });
    say('track', { userId, event: 'Order Completed', properties: given.order });
  }
  const until = Date.now() + 60_000;
  while (sent + failures.length < (given.count || 7) && Date.now() < until) {
    await flush();
    await new Promise((later) => setTimeout(later, 100));
  }
  console.log(JSON.stringify({ sent, failures }));
  // Some leave answers unread, and an unread one above 16 KB keeps a process alive until its memory is tidied up.
  process.exit();
}
