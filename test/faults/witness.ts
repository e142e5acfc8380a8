/**
 * What callers were told, and what the database says now. A caller's knowledge is when it asked and when it had the answer; everything else
 * follows from that: what was acknowledged is there, and what began after another was acknowledged comes after it.
 */
import type { LogRow } from '../../server/store/port.ts';

/** `acknowledged` is Infinity as long as nobody knows. */
type Told = { readonly begun: number; acknowledged: number };

export type Witness = {
  readonly violations: string[];
  readonly counts: ReturnType<typeof zero>;
  /** A write that has this key in the log and, when `resource` is true, as the id of a resource. */
  write(key: string, commit: () => Promise<boolean>): Promise<boolean>;
  isAcknowledged(key: string): boolean;
  /** Keys acknowledged so far. */
  acknowledged(): string[];
  /** Every row of the log, read after `acknowledged` was asked for. */
  compare(acknowledged: readonly string[], rows: readonly LogRow[]): void;
  /** What a withdrawal that was acknowledged denies. */
  permitted(grant: string, begun: number): void;
};

export const disclosureOf = (grant: string, number: string): string => `disclosure ${grant} ${number}`;
export const withdrawalOf = (grant: string): string => `withdrawal ${grant}`;

function zero() {
  const told = { acknowledged: 0, unavailable: 0, withdrawals: 0, disclosures: 0, refused: 0, longestMs: 0 };
  return { ...told, staleWhenCareless: 0, checks: 0, rows: 0 };
}

export function createWitness(): Witness {
  const told = new Map<string, Told>();
  const violations: string[] = [];
  const counts = zero();
  let before: readonly LogRow[] = [];

  async function write(key: string, commit: () => Promise<boolean>): Promise<boolean> {
    // Tried again under the same key: the first attempt may have been the one that took effect.
    const entry = told.get(key) ?? { begun: performance.now(), acknowledged: Number.POSITIVE_INFINITY };
    told.set(key, entry);
    const asked = performance.now();
    try {
      if (!(await commit())) {
        told.delete(key);
        return false;
      }
      entry.acknowledged = performance.now();
      counts.acknowledged++;
      return true;
    } catch (error) {
      noteFailure(violations, key, error);
      counts.unavailable++;
      return false;
    } finally {
      counts.longestMs = Math.max(counts.longestMs, Math.round(performance.now() - asked));
    }
  }

  return {
    violations,
    counts,
    write,
    isAcknowledged: (key) => Number.isFinite(told.get(key)?.acknowledged),
    acknowledged: () => [...told].filter(([, { acknowledged }]) => Number.isFinite(acknowledged)).map(([key]) => key),
    compare: (acknowledged, rows) => {
      counts.checks++;
      counts.rows = rows.length;
      const keys = new Map(rows.map(({ key, index }) => [key, index]));
      violations.push(...acknowledged.filter((key) => !keys.has(key)).map((key) => `lost: ${key}`));
      violations.push(...unnumbered(rows), ...changed(before, rows), ...reordered(rows, told), ...tooLate(rows, keys));
      if (keys.size !== rows.length) violations.push(`doubled: ${rows.length - keys.size} rows`);
      before = rows;
    },
    permitted: (grant, begun) => {
      if (begun > (told.get(withdrawalOf(grant))?.acknowledged ?? Number.POSITIVE_INFINITY)) violations.push(`read after its withdrawal: ${grant}`);
    },
  };
}

/** Being unavailable is the one failure that a fault may cause, and it says when to try again. */
export function noteFailure(violations: string[], what: string, error: unknown): void {
  const { code, retryAfter } = error as { code?: string; retryAfter?: number };
  if (code !== 'unavailable' || retryAfter === undefined) violations.push(`${what} failed as ${String(code)}: ${String(error)}`);
}

function unnumbered(rows: readonly LogRow[]): string[] {
  const wrong = rows.find(({ index }, i) => index !== i);
  return wrong ? [`numbered with a gap at ${wrong.index}`] : [];
}

function changed(before: readonly LogRow[], rows: readonly LogRow[]): string[] {
  const wrong = before.find(({ key, entry }, i) => rows[i]?.key !== key || rows[i]?.entry !== entry);
  return wrong ? [`row ${wrong.index} was another one before: ${wrong.key}`] : [];
}

/** From the end: no later row may have been acknowledged before this one began. */
function reordered(rows: readonly LogRow[], told: ReadonlyMap<string, Told>): string[] {
  let earliest = Number.POSITIVE_INFINITY;
  const wrong: string[] = [];
  for (const { key, index } of rows.toReversed()) {
    const entry = told.get(key);
    if (!entry) wrong.push(`row ${index} was never written: ${key}`);
    else if (earliest < entry.begun) wrong.push(`row ${index} comes before one that was acknowledged before it began: ${key}`);
    earliest = Math.min(earliest, entry?.acknowledged ?? earliest);
  }
  return wrong;
}

/** In the log's own order, whatever anybody was told. */
function tooLate(rows: readonly LogRow[], keys: ReadonlyMap<string, number>): string[] {
  return rows.flatMap(({ key, index }) => {
    const [kind, grant = ''] = key.split(' ');
    const withdrawn = keys.get(withdrawalOf(grant));
    return kind === 'disclosure' && withdrawn !== undefined && withdrawn < index ? [`disclosed after the withdrawal in the log: ${key}`] : [];
  });
}
