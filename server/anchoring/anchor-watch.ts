/**
 * How old the newest anchor is in each place, against what the operator allows. ledger.md §5
 * Invariant: an anchor is late only while the log holds what it does not cover; lateness is told, and stops nothing.
 */
import type { Anchor } from '../../ledger/anchor/port.ts';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';

/** `ageMs`: since when the log has not been covered there, at most; 0: all of it is. */
export type AnchorAge = { readonly name: string; readonly size: number; readonly ageMs: number };

export type AnchorWatch = Repeated & {
  /** As last looked at. */
  ages(): readonly AnchorAge[];
  /** The looks of the last day since this process began, oldest first. `at`: ms since 1970. */
  seen(): readonly { readonly at: number; readonly places: readonly AnchorAge[] }[];
  /** Throws AssentError('unavailable') with the places that are late. */
  check(): Promise<void>;
};

export type AnchorWatchDependencies = RepeatedDependencies & {
  readonly anchors: readonly Anchor[];
  /** Of the newest checkpoint. */
  readonly size: () => Promise<number>;
  readonly maxAgeMs: number;
  readonly clock: Clock;
};

/** What operators' gauges show, by the name of the place. */
export const anchorSeries: readonly (readonly [name: string, help: string, of: (age: AnchorAge) => readonly [string, number]])[] = [
  ['assent_anchor_size', 'Entries of the log that are safe there.', ({ name, size }) => [name, size]],
  [
    'assent_anchor_age_seconds',
    'Since when the log has grown without being anchored there; 0: all of it is.',
    ({ name, ageMs }) => [name, ageMs / 1000],
  ],
];

const LOOK_MS = 60_000;
const MOST_SEEN = 24 * 60;

export function createAnchorWatch({ anchors, size, maxAgeMs, clock, ...deps }: AnchorWatchDependencies): AnchorWatch {
  let began = 0;
  let ages: readonly AnchorAge[] = [];
  const seen: { readonly at: number; readonly places: readonly AnchorAge[] }[] = [];
  const look = async (): Promise<void> => {
    const signed = await size();
    ages = await Promise.all(
      anchors.map(async ({ name, latest }) => {
        const { size: covered, at } = (await latest()) ?? { size: 0, at: began };
        return { name, size: covered, ageMs: covered < signed ? Math.max(0, clock() - at) : 0 };
      }),
    );
    seen.push({ at: clock(), places: ages });
    if (seen.length > MOST_SEEN) seen.shift();
  };
  const check = async (): Promise<void> => {
    const late = ages.filter(({ ageMs }) => ageMs > maxAgeMs).map(({ name, ageMs }) => `${name} for ${Math.floor(ageMs / 3_600_000)} hours`);
    if (late.length > 0) throw new AssentError('unavailable', `What the log has grown by is not anchored: ${late.join(', ')}.`);
  };
  const once = () =>
    look()
      .then(check)
      .then(() => LOOK_MS);
  const sentenceOf = (fault: unknown) => (fault instanceof AssentError ? fault.message : 'The anchors cannot be looked at.');
  const { start, stop } = createRepeated({ once, retryMs: LOOK_MS, sentenceOf }, deps);
  return {
    ages: () => ages,
    seen: () => seen,
    check,
    start() {
      // Where nothing is anchored yet, time runs from here.
      began = clock();
      start();
    },
    stop,
  };
}
