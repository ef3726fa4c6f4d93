/** The tracker as a script: its tag has the settings. */
import { start } from './tracker.js';

start();
