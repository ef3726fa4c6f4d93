// Sends a visit, or so many events, by posthog-node of a folder; prints what the SDK says of it.
// stdin: {"url", "key", "folder", "count", "mode", …}; stdout: {"failures": [text], "flags": those it was told of}.
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const given = JSON.parse(await text(process.stdin));
process.env.POSTHOG_CAPTURE_MODE = given.mode ?? 'v0';
const { PostHog } = createRequire(`${given.folder}/`)('posthog-node');
const failures = [];
const options = { host: given.url, flushAt: 50, fetchRetryDelay: 100, ...given.options };
const client = new PostHog(given.key, options);
client.on('error', (error) => failures.push(String(error)));
const { user: distinctId } = given;
const flags = await client.getAllFlags(distinctId);
if (given.count) {
  for (let n = 0; n < given.count; n += 1) client.capture({ distinctId, event: 'Read', properties: { n } });
} else {
  const page = { $current_url: 'https://shop.example/?utm_source=news', name: given.text };
  client.capture({ distinctId, event: '$pageview', properties: page });
  const own = { text: given.text, n: 2 ** 53 - 1, $process_person_profile: false };
  client.capture({ distinctId: 'anon-1', event: given.own, properties: own });
  client.alias({ distinctId, alias: 'anon-1' });
  client.identify({ distinctId, properties: { email: given.email, name: given.name } });
  client.groupIdentify({ groupType: 'company', groupKey: given.group, properties: { plan: 'pro' } });
  const groups = { company: given.group };
  client.capture({ distinctId, event: 'Order Completed', properties: given.order, groups });
}
// While the SDK waits before it sends again, in v1, nothing of it keeps a process alive, as that of a server is.
const alive = setInterval(() => {}, 1000);
await (client.shutdownAsync ?? client.shutdown).call(client);
clearInterval(alive);
console.log(JSON.stringify({ failures, flags }));
