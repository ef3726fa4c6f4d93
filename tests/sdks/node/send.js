// Sends messages by @segment/analytics-node and tells what the SDK says of them.
// stdin: {"url", "key", "messages"}; stdout: {"delivered": [message id], "failures": [text]}.
import { text } from 'node:stream/consumers';
import { Analytics } from '@segment/analytics-node';

const { url, key, messages } = JSON.parse(await text(process.stdin));
const analytics = new Analytics({ writeKey: key, host: url, flushAt: 250 });
const delivered = [];
const failures = [];
analytics.on('error', (error) => failures.push(`${error.code}: ${error.reason}`));
for (const { type, ...parameters } of messages) {
  analytics[type](parameters, (error, context) => {
    if (error) failures.push(String(error));
    else delivered.push(context.event.messageId);
  });
}
await analytics.closeAndFlush({ timeout: 30_000 });
console.log(JSON.stringify({ delivered, failures }));
// The SDK leaves answers unread, and an unread one above 16 KB keeps a process alive until its memory is tidied up.
process.exit();
