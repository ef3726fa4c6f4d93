// By @segment/analytics-node.
import { Analytics } from '@segment/analytics-node';
import { failures, given, visit } from './visit.mjs';

const analytics = new Analytics({ writeKey: given.key, host: given.url, flushAt: 250, flushInterval: 200 });
analytics.on('error', (error) => failures.push(`${error.code}: ${error.reason}`));
await visit(analytics);
