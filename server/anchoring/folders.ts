/** What the log keeps in DATA_DIR, apart from the database. */
import { join } from 'node:path';

export const signerFolder = (dataDir: string): string => join(dataDir, 'signer');
export const anchorFile = (dataDir: string): string => join(dataDir, 'anchors', 'checkpoints.jsonl');
export const timeStampFolder = (dataDir: string): string => join(dataDir, 'anchors', 'time-stamps');
export const alarmFolder = (dataDir: string): string => join(dataDir, 'alarms');
