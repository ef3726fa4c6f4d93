// Sends a visit, or so many events, by @umami/node; prints what it says of it.
// stdin: {"url", "website", "count", …}; stdout: {"sent": calls that were answered with 200, "failures": [text]}.
import { text } from 'node:stream/consumers';
import { Umami } from '@umami/node';

const given = JSON.parse(await text(process.stdin));
const umami = new Umami({ hostUrl: given.url, websiteId: given.website });
const failures = [];
let sent = 0;
const say = async (call) => {
  const answer = await call;
  if (answer.status === 200) sent += 1;
  else failures.push(`${answer.status}`);
};
const page = { hostname: 'shop.example', url: '/zelte?utm_source=news', title: given.text, language: 'de-CH' };
if (given.count) {
  for (let n = 0; n < given.count; n += 1) await say(umami.track('Read', { n }));
} else {
  await say(umami.track(page));
  await say(umami.track({ ...page, name: given.own, data: { text: given.text, n: Number.MAX_SAFE_INTEGER } }));
  await say(umami.identify({ userId: given.user, email: given.email, name: given.name }));
  await say(umami.track({ ...page, name: 'Purchase', data: given.order }));
}
console.log(JSON.stringify({ sent, failures }));
