/**
 * From the source to the target in rounds: each brings what has changed since the one before.
 *
 * Invariant: every row that the target ends up with was compared: with all others at one moment, or by itself when it came later.
 */
import { systemClock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { Dump } from '../../store/embedded/dump.ts';
import type { Load } from '../../store/mongo/load.ts';
import { type Section, sections, summarize } from '../../store/transfer.ts';
import { createProgress, say } from './progress.ts';

export type Ends = { readonly source: Dump; readonly target: Load };

/** Everything, while it may go on changing. */
export async function copyAll({ source, target }: Ends): Promise<void> {
  const progress = createProgress();
  const totals = new Map(sections.map((section) => [section, source.count(section)]));
  const done = new Map<Section, number>();
  for (const change of source.round(systemClock())) {
    await target.apply(change);
    if (change.gone) continue;
    const { section, rows } = change;
    done.set(section, (done.get(section) ?? 0) + rows.length);
    progress(() => `${section}: ${done.get(section)} of ${totals.get(section)}`);
  }
  for (const section of sections) say(`${section}: ${done.get(section) ?? 0} copied`);
}

/** What has changed since, and then all of it compared as it was at one moment. Throws AssentError('internal') at the first difference. */
export function compareAll({ source, target }: Ends): Promise<void> {
  return source.frozen(async () => {
    for (const change of source.round(systemClock())) await target.apply(change);
    const now = systemClock();
    for (const section of sections) {
      const there = await compared(section, { source, target, now });
      say(`${section}: ${there.rows} read back, SHA-256 ${there.digest.slice(0, 16)}… on both sides`);
    }
  });
}

type Sides = { readonly source: Dump; readonly target: Load; readonly now: number };

async function compared(section: Section, { source, target, now }: Sides): Promise<{ readonly rows: number; readonly digest: string }> {
  const progress = createProgress();
  const seen = (rows: number) => progress(() => `${section}: ${rows} read back`);
  const here = await summarize(source, section, now);
  const there = await target.patiently(() => summarize(target.data, section, now, seen));
  requireSame(section, here, there);
  return there;
}

/** Resolves with the number of rows that had changed; each was read back by itself. */
export async function catchUp({ source, target }: Ends): Promise<number> {
  let rows = 0;
  for (const change of source.round(systemClock())) {
    await target.apply(change);
    await target.check(change);
    rows += (change.gone ?? change.rows).length;
  }
  return rows;
}

/** What is counted on, while nobody writes. */
export async function copyCounters({ source, target }: Ends): Promise<void> {
  const counters = await source.counters();
  await target.putCounters(counters);
  requireSame('epoch and leases', counters, await target.data.counters());
}

function requireSame(what: string, here: unknown, there: unknown): void {
  if (JSON.stringify(here) === JSON.stringify(there)) return;
  throw new AssentError('internal', `The copy is not the same: ${what}. The target stays unfinished; run the copy again with --restart.`);
}
