/** The meaning of the store's ports. Every engine passes it unchanged. */
import { describe } from 'vitest';
import { commitContract } from './commit.ts';
import { countPropertyContract } from './count-property.ts';
import { eraseContract } from './erase.ts';
import { findContract } from './find.ts';
import { findPropertyContract } from './find-property.ts';
import { findSeveralContract } from './find-several.ts';
import { findWaysContract } from './find-ways.ts';
import { historyContract } from './history.ts';
import { logContract } from './log.ts';
import { misindexedContract } from './misindexed.ts';
import { recordContract } from './records.ts';
import { scopeContract } from './scope.ts';
import { searchPropertyContract } from './search-property.ts';
import { searchSeveralContract } from './search-several.ts';
import { sharedContract } from './shared.ts';
import type { OpenSubject } from './subject.ts';
import { unusedContract } from './unused.ts';

export function contractSuite(engine: string, open: OpenSubject): void {
  describe(`${engine} engine`, () => {
    describe('finds', () => findContract(open));
    describe('finds what a naive filter finds', () => findPropertyContract(open));
    describe('counts what is there now', () => countPropertyContract(open));
    describe('finds the same whichever way', () => findWaysContract(open));
    describe('finds in several types as in one', () => findSeveralContract(open));
    describe('answers searches as the reference matcher', () => searchPropertyContract(open));
    describe('answers searches of several types as the reference matcher', () => searchSeveralContract(open));
    describe('keeps to the scope', () => scopeContract(open));
    describe('tells history', () => historyContract(open));
    describe('commits', () => commitContract(open));
    describe('erases', () => eraseContract(open));
    describe('knows what is referred to', () => unusedContract(open));
    describe('has in its index what the keys say', () => misindexedContract(open));
    describe('shares a record', () => sharedContract(open));
    describe('numbers the log', () => logContract(open));
    describe('keeps records', () => recordContract(open));
  });
}
