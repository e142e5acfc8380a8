/**
 * `assent fsck`: the whole log proven again from what is stored, and what is stored compared with the log. interface.md §4
 * Reads only: may run beside a server. Exit code: 0 whole, 1 not.
 */
import { checkStoredLog, type FsckDependencies } from '../anchoring/fsck.ts';
import { readSigned } from '../anchoring/log-signer.ts';
import { createLogRecords } from '../anchoring/log-records.ts';
import { createTail, type Tail } from '../anchoring/tail.ts';
import { unlessDamaged } from '../anchoring/unless-damaged.ts';
import type { Config } from '../config.ts';
import { openEngineAlone } from './engine-alone.ts';
import type { CountResult, Engine, HistoryQuery, Position, ResourceStore, StoredResource } from '../store/port.ts';
import { digestOf } from '../../ledger/hash.ts';

const PAGE = 500;
const PROGRESS = 262_144;

/** `index`: the resources as well, each with what decides about it. */
export async function fsck(config: Config, { index = false } = {}): Promise<number> {
  const { DATA_DIR: dataDir } = config;
  const engine = await openEngineAlone(config, 'read-only');
  try {
    // Counted before the log is read: the log can only be ahead.
    const events = await engine.resources.count({ type: 'AuditEvent', where: { kind: 'all' }, scope: 'internal', budget: Number.MAX_SAFE_INTEGER });
    const log = { readLog: engine.resources.readLog };
    const { size, signed, anchored, stamped, erased, subjects, acts, problems } = await checkStoredLog({
      log,
      records: engine.records,
      dataDir,
      timeStampCertificates: config.TSA_CERTIFICATES,
      texts: textsIn(engine),
      signedBy: () => readSigned(config),
      seen: progress,
    });
    const indexed = index ? await (await import('./fsck-index.ts')).checkIndex(engine.resources, config) : undefined;
    const all = [...problems, ...checkEvents(events, acts), ...(await checkConsents(engine)), ...(indexed?.problems ?? [])];
    for (const problem of all) process.stdout.write(`${problem}\n`);
    process.stdout.write(
      `${size} entries${erased > 0 ? ` (${erased} erased)` : ''}, ${signed} under the signed checkpoint, ${anchored} anchored${stamped ? `, ${stamped.size} time-stamped at ${new Date(stamped.at).toISOString()}` : ''}: ${all.length === 0 ? 'whole' : 'NOT WHOLE'}.\n`,
    );
    const recorded = ['disclosure', 'denial', 'write'].map((kind) => `${acts.get(kind) ?? 0} of kind ${kind}`).join(', ');
    process.stdout.write(`Chains about ${subjects} patients and others; AuditEvents: ${recorded}.\n`);
    if (indexed) process.stdout.write(`${indexed.versions} versions of resources, each held against its index keys.\n`);
    return all.length === 0 ? 0 : 1;
  } finally {
    await engine.resources.close();
  }
}

/** Each one that is logged was looked for already: more than these were never logged. */
function checkEvents(stored: CountResult, acts: ReadonlyMap<string, number>): string[] {
  if (stored.kind !== 'count') return ['The AuditEvents could not be counted.'];
  const logged = [...acts.values()].reduce((sum, count) => sum + count, 0);
  return stored.total > logged ? [`${stored.total - logged} AuditEvents in the database are not in the log.`] : [];
}

function progress(entries: number): void {
  if (entries % PROGRESS === 0) process.stderr.write(`${entries} entries proven again\n`);
}

/** Resources by type and id with every version; keys and authorities by the texts of their events. */
function textsIn({ resources, records }: Engine): FsckDependencies['texts'] {
  return async (references) => {
    const texts = new Map<string, readonly string[]>();
    const ids = references.filter((reference) => reference.startsWith('AuditEvent/')).map((reference) => reference.slice('AuditEvent/'.length));
    for (const { id, body } of await rowsById(resources, 'AuditEvent', ids)) texts.set(`AuditEvent/${id}`, [body]);
    for (const reference of references) {
      const [type, id = ''] = reference.split('/');
      if (type === 'Consent') texts.set(reference, await versionsOf(resources, id));
      if (type === 'Key') texts.set(reference, await eventsIn(records, 'key-event', `kid:${id}`));
      if (type === 'LogKey') texts.set(reference, await createLogRecords(records).rotations());
      if (type === 'Authority') texts.set(reference, await eventsIn(records, 'authority-event', `authority:${id}`));
    }
    return texts;
  };
}

async function eventsIn(records: Engine['records'], kind: string, lookup: string): Promise<readonly string[]> {
  return (await records.list(kind, { lookup })).flatMap(({ value }) => (typeof value === 'string' ? [value] : []));
}

const byId = { by: 'instant', direction: 'newest-first' } as const;

async function rowsById(resources: ResourceStore, type: string, ids: readonly string[]): Promise<readonly StoredResource[]> {
  if (ids.length === 0) return [];
  const found = await resources.find({
    type,
    where: { kind: 'id', ids: new Set(ids) },
    scope: 'internal',
    order: byId,
    limit: ids.length,
    deleted: true,
  });
  return found.kind === 'rows' ? found.rows : [];
}

async function versionsOf(resources: ResourceStore, id: string): Promise<readonly string[]> {
  const bodies: string[] = [];
  let after: HistoryQuery['after'];
  do {
    const found = await resources.history({ type: 'Consent', id, scope: 'internal', limit: PAGE, ...(after ? { after } : {}) });
    if (found.kind !== 'rows') return [];
    bodies.push(...found.rows.map(({ body }) => body));
    after = found.next;
  } while (after);
  return bodies;
}

async function caughtUp(tail: Tail): Promise<boolean> {
  return (await unlessDamaged(async () => (await tail.catchUp(), true))) ?? false;
}

/** The other direction: every Consent in the database is, in its newest version, the one the log knows. */
async function checkConsents({ resources }: Engine): Promise<string[]> {
  const tail = createTail({ log: resources });
  const problems: string[] = [];
  const query = {
    type: 'Consent',
    where: { kind: 'all' as const },
    scope: 'internal' as const,
    order: byId,
    limit: PAGE,
    budget: Number.MAX_SAFE_INTEGER,
  };
  for (let after: Position | undefined; ; ) {
    // An entry about a Consent that is none is named above.
    if (!(await caughtUp(tail))) return [...problems, 'What the log says of the Consents could not be read.'];
    const position = tail.position();
    const found = await unlessDamaged(() => resources.find({ ...query, ...(after ? { after } : {}) }));
    if (found?.kind !== 'rows' || !(await caughtUp(tail))) return [...problems, 'The Consents could not be read.'];
    // Signed or withdrawn while we looked: the next run will see it.
    const moving = new Set(tail.changedSince(position));
    for (const { id, body } of found.rows) {
      const reference = `Consent/${id}`;
      if (!moving.has(reference) && tail.latest(reference)?.digest !== digestOf(body)) problems.push(`${reference} is not what the log says of it.`);
    }
    after = found.next;
    if (!after) return problems;
  }
}
