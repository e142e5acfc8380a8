/** The modules of the ledger know Buffer as a global: the page imports this before them, and nothing that runs in Node does. */
import { Buffer } from './buffer.ts';

Object.assign(globalThis, { Buffer });
