// By @rudderstack/rudder-sdk-node.
import RudderAnalytics from '@rudderstack/rudder-sdk-node';
import { given, visit } from '../segment/visit.mjs';

await visit(new RudderAnalytics(given.key, { dataPlaneUrl: given.url, flushAt: 50, flushInterval: 200, logLevel: 'none' }));
