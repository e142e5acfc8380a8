/**
 * `assent fsck --index`: whether what decides about a resource follows from its text, in every version, and whether the index follows from that. Searches and
 * decisions read neither text nor log, so an edit there shows what no Consent shows, and the log is whole. docs/operations/monitoring.md
 * Reads every resource. May run beside a server: what was written meanwhile is looked at again.
 */
import { labellingOf, packagesOf } from '../app/packages.ts';
import { endpointsOf } from '../authz/endpoints.ts';
import type { Config } from '../config.ts';
import { contradiction, patientsTold, WIDENED } from '../consent/told-by-text.ts';
import { resourceTypes } from '../fhir/resource-types.ts';
import type { HistoryQuery, ResourceStore, StoredResource } from '../store/port.ts';
import { createSearchTerms } from '../validation/search-terms.ts';

const PAGE = 500;
const MOST_PROBLEMS = 100;

type Rules = Parameters<typeof contradiction>[1];

/** `versions`: how many were looked at. */
export async function checkIndex(
  resources: ResourceStore,
  config: Config,
): Promise<{ readonly versions: number; readonly problems: readonly string[] }> {
  const packages = await packagesOf(config);
  const labelling = labellingOf(config, packages, createSearchTerms(packages));
  const rules = { base: endpointsOf(config.PUBLIC_URL || `http://${config.HOST}:${config.PORT}`).fhir, labelling };
  const problems: string[] = [];
  let versions = 0;
  for (const type of resourceTypes) {
    if (problems.length >= MOST_PROBLEMS) break;
    for (const id of await resources.misindexed(type, MOST_PROBLEMS)) problems.push(`${type}/${id} is in the index otherwise than its keys say.`);
    for await (const row of versionsOf(resources, { type })) {
      versions++;
      const wrong = await wrongWith(resources, row, rules);
      if (wrong !== undefined) problems.push(`${type}/${row.id}, version ${row.version}, ${wrong}.`);
      if (problems.length >= MOST_PROBLEMS) break;
    }
  }
  return { versions, problems };
}

async function* versionsOf(resources: ResourceStore, of: Pick<HistoryQuery, 'type' | 'id'>): AsyncGenerator<StoredResource> {
  let after: HistoryQuery['after'];
  do {
    const found = await resources.history({ ...of, scope: 'internal', limit: PAGE, ...(after ? { after } : {}) });
    if (found.kind !== 'rows') return;
    yield* found.rows;
    after = found.next;
  } while (after);
}

/** Whom a version before named, one may go on naming that does not say so: found out where it matters. */
async function wrongWith(resources: ResourceStore, row: StoredResource, rules: Rules): Promise<string | undefined> {
  const wrong = contradiction(row, rules);
  if (wrong !== WIDENED) return wrong;
  const earlier = new Set<string>();
  for await (const version of versionsOf(resources, { type: row.type, id: row.id })) {
    if (version.version !== row.version) for (const key of patientsTold(version, rules.base)) earlier.add(key);
  }
  return contradiction(row, { ...rules, earlier });
}
