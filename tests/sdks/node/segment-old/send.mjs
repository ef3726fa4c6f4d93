// By analytics-node, Segment's SDK before @segment/analytics-node.
import Analytics from 'analytics-node';
import { failures, given, visit } from '../segment/visit.mjs';

const errorHandler = (error) => failures.push(String(error));
const analytics = new Analytics(given.key, { host: given.url, flushAt: 50, errorHandler });
await visit(analytics, () => analytics.flush());
