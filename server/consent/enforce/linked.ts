/**
 * Several records of one person: what a Consent about one of them denies is denied of all, what it permits is permitted of that one alone.
 * docs/adr/0040-records-of-one-person.md, https://hl7.org/fhir/R4/patient.html#merge
 *
 * Invariant: a link only closes. It counts if whoever keeps the records wrote it, in either record, through any number of others, and from the epoch
 * on in which it was written.
 */
import { AssentError } from '../../errors.ts';
import { startsWith } from '../../search/expression.ts';
import type { ResourceStore, StoredResource } from '../../store/port.ts';
import { LINKED } from '../facets.ts';
import type { Policies, PolicyInForce } from '../policies.ts';
import { newestFirst } from './view.ts';

/** Logical ids of the other records of the same person, by that of each. */
type Linked = ReadonlyMap<string, readonly string[]>;

/** The policies with those about other records of the same persons, as far as they deny. */
export function withLinked(policies: Policies, resources: Pick<ResourceStore, 'find'>): Policies {
  let linked: Linked = new Map();
  let loadedEpoch = -1;
  let loading: Promise<void> | undefined;
  const load = async (epoch: number): Promise<void> => {
    linked = personsOf(await linksStored(resources));
    loadedEpoch = epoch;
  };
  const others = (patient: string): readonly string[] => linked.get(patient) ?? [];
  return {
    ...policies,
    async upTo(epoch) {
      await policies.upTo(epoch);
      while (loadedEpoch < epoch) {
        loading ??= load(epoch).finally(() => {
          loading = undefined;
        });
        await loading;
      }
    },
    *inForce() {
      for (const policy of policies.inForce()) {
        yield policy;
        for (const patient of others(policy.compiled.patient)) yield denying(policy, patient);
      }
    },
    voidPatients() {
      const voided = policies.voidPatients();
      return linked.size === 0 ? voided : new Set([...voided].flatMap((patient) => [patient, ...others(patient)]));
    },
    confirm: (patients) => policies.confirm(patients.flatMap((patient) => [patient, ...others(patient)])),
  };
}

function denying(policy: PolicyInForce, patient: string): PolicyInForce {
  return { ...policy, compiled: { ...policy.compiled, patient, ended: 'linked' } };
}

const AT_ONCE = 1_000;

async function linksStored(resources: Pick<ResourceStore, 'find'>): Promise<readonly StoredResource[]> {
  const rows: StoredResource[] = [];
  const query = { type: 'Patient', where: startsWith(LINKED), scope: 'internal', order: newestFirst, limit: AT_ONCE, bodies: false } as const;
  for (let after: Parameters<ResourceStore['find']>[0]['after'], more = true; more; more = after !== undefined) {
    const found = await resources.find({ ...query, budget: Number.MAX_SAFE_INTEGER, ...(after ? { after } : {}) });
    if (found.kind !== 'rows') throw new AssentError('unavailable');
    rows.push(...found.rows);
    after = found.next;
  }
  return rows;
}

/** Links go both ways, and on from there. */
function personsOf(rows: readonly StoredResource[]): Linked {
  const persons = new Map<string, ReadonlySet<string>>();
  for (const { id, keys } of rows) {
    const named = [id, ...keys.flatMap((key) => (key.startsWith(LINKED) ? [key.slice(LINKED.length)] : []))];
    const person = new Set(named.flatMap((each) => [each, ...(persons.get(each) ?? [])]));
    for (const each of person) persons.set(each, person);
  }
  return new Map([...persons].map(([id, person]) => [id, [...person].filter((each) => each !== id)]));
}

/** Whether a write changes which records are of one person. */
export function movesLinks(stored: StoredResource | undefined, replaced: StoredResource | undefined): boolean {
  if (stored?.type !== 'Patient') return false;
  const linksOf = (row: StoredResource | undefined) => (row && !row.deleted ? row.keys.filter((key) => key.startsWith(LINKED)).sort() : []);
  return linksOf(stored).join(' ') !== linksOf(replaced).join(' ');
}
