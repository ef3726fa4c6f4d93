// Sends a visit, or so many events in one batch, by the cloudevents package; prints what was answered.
// stdin: {"url", "key", "mode", "count", …}; stdout: {"statuses": [HTTP status of each request]}.
import { text } from 'node:stream/consumers';
import { CloudEvent, HTTP, emitterFor, httpTransport } from 'cloudevents';

const given = JSON.parse(await text(process.stdin));
const { user, order } = given;
const headers = { authorization: `Bearer ${given.key}` };
// The package writes attributes into headers as they are; the binding wants them percent-encoded there.
const written = given.mode === 'binary' ? encodeURIComponent : (value) => value;
const event = (type, data, attributes) => new CloudEvent({ type, data, source: '/shop/kasse', ...attributes });
const page = { url: 'https://shop.example/?utm_source=news', title: given.text };
const own = { text: given.text, n: 2 ** 53 - 1 };
const statuses = [];
if (given.count) {
  const documents = [];
  for (let n = 0; n < given.count; n += 1) {
    documents.push(HTTP.structured(event('Read', { n }, { subject: user })).body);
  }
  const answer = await fetch(given.url + given.path, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/cloudevents-batch+json; charset=utf-8' },
    body: `[${documents.join(',')}]`,
  });
  // An answer that is left unread keeps the process alive.
  statuses.push((await answer.json()).success ? answer.status : 0);
} else {
  const emit = emitterFor(httpTransport(given.url + given.path), { mode: given.mode });
  for (const one of [
    event('page', page, { subject: user }),
    event(written(given.own), own, { anonymousid: 'anon-1', note: written(given.text) }),
    event('alias', {}, { userid: user, previousid: 'anon-1' }),
    event('identify', { email: given.email, name: given.name }, { userid: user }),
    event('group', { plan: 'pro' }, { userid: user, groupid: given.group }),
    event('Order Completed', order, { subject: user }),
  ]) {
    // The transport tells no status: the body says how it went.
    const { body } = await emit(one, { headers });
    statuses.push(JSON.parse(body).success ? 200 : body);
  }
}
console.log(JSON.stringify({ statuses }));
