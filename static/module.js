/** The tracker as an ES module: `import { start } from 'trackway-tracker'`. */
export { start } from './tracker.js';
