// Sends a visit, or so many events, by @jitsu/js as a server uses it; prints what the SDK says of it.
// stdin: {"url", "key", "count", …}; stdout: {"sent": calls that were answered well, "failures": [text]}.
import { text } from 'node:stream/consumers';
import { jitsuAnalytics } from '@jitsu/js';

const given = JSON.parse(await text(process.stdin));
const jitsu = jitsuAnalytics({ host: given.url, writeKey: `trackway:${given.key}`, s2s: true, echoEvents: false });
const failures = [];
let sent = 0;
const say = async (call) => {
  try {
    const done = await call;
    if (done?.ok === false) failures.push(JSON.stringify(done));
    else sent += 1;
  } catch (error) {
    failures.push(String(error));
  }
};
if (given.count) {
  for (let n = 0; n < given.count; n += 1) await say(jitsu.track('Read', { n }));
} else {
  jitsu.setAnonymousId('anon-1');
  await say(jitsu.page({ name: given.text, url: 'https://shop.example/?utm_source=news' }));
  await say(jitsu.track(given.own, { text: given.text, n: Number.MAX_SAFE_INTEGER }));
  await say(jitsu.identify(given.user, { email: given.email, name: given.name }));
  await say(jitsu.group(given.group, { plan: 'pro' }));
  await say(jitsu.track('Order Completed', given.order));
}
console.log(JSON.stringify({ sent, failures }));
