/** What the contract suites are run on: an engine behind its ports, with time in the test's hand. Nothing here knows which engine. */
import type { Engine, Guard, Order, Query, StoredResource, WriteSet } from '../../server/store/port.ts';
import { all, type Expression } from '../../server/search/expression.ts';

export type Subject = {
  readonly engine: Engine;
  /** The engine's clock reads this. */
  readonly time: { now: number };
  /** Ends the engine and opens another on the same database. */
  reopen(): Promise<Engine>;
  dispose(): Promise<void>;
};
export type OpenSubject = () => Promise<Subject>;

let types = 0;
/** A resource type no other test uses: suites share one database. */
export function freshType(): string {
  return `Type${(++types).toString().padStart(4, '0')}`;
}

let versions = 0;
export function resource(type: string, id: string, fields: Partial<StoredResource> = {}): StoredResource {
  const body = JSON.stringify({ resourceType: type, id });
  return { type, id, version: `v${++versions}`, lastUpdated: 1_000, instant: 1_000, deleted: false, body, keys: [], ...fields };
}

export function writes(resources: readonly StoredResource[], rest: Partial<WriteSet> = {}): WriteSet {
  return { guards: [], resources, records: [], log: [], bumpEpoch: false, ...rest };
}

export async function store({ engine }: Pick<Subject, 'engine'>, ...resources: readonly StoredResource[]): Promise<void> {
  const result = await engine.resources.commit(writes(resources));
  if (result.kind !== 'committed') throw new Error('The test data was refused.');
}

export const newestFirst: Order = { by: 'instant', direction: 'newest-first' };

export function query(type: string, fields: Partial<Query> = {}): Query {
  return { type, where: all, scope: 'internal', order: newestFirst, limit: 1_000, ...fields };
}

export async function idsFound({ engine }: Pick<Subject, 'engine'>, asked: Query): Promise<string[]> {
  const found = await engine.resources.find(asked);
  if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
  return found.rows.map(({ id }) => id);
}

export async function total({ engine }: Pick<Subject, 'engine'>, type: string, where: Expression): Promise<number> {
  const counted = await engine.resources.count({ type, where, scope: 'internal' });
  if (counted.kind !== 'count') throw new Error(`The engine answered ${counted.kind}.`);
  return counted.total;
}

export async function commits({ engine }: Pick<Subject, 'engine'>, guards: readonly Guard[], resources: readonly StoredResource[]): Promise<boolean> {
  return (await engine.resources.commit(writes(resources, { guards }))).kind === 'committed';
}
