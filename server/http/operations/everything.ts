/**
 * Patient/{id}/$everything and Encounter/{id}/$everything: what is in the compartment and what that refers to, in pages.
 * https://hl7.org/fhir/R4/patient-operation-everything.html, https://hl7.org/fhir/R4/encounter-operation-everything.html
 *
 * Invariant: every page is read in the caller's view and leaves its own record; a hidden Patient or Encounter is an absent one.
 */
import { createHash } from 'node:crypto';
import type { GatherPlace, GatherRequest, GatherResult, Row } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { bundleText } from '../../fhir/bundle.ts';
import { compartmentOf } from '../../fhir/compartment-definitions.ts';
import { parseDate } from '../../fhir/dates.ts';
import { and, all, type Expression } from '../../search/expression.ts';
import { notFound, receiptHeaders } from '../answer.ts';
import { membership, typesOf } from '../compartment.ts';
import { cursorBinding } from '../cursor-binding.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { countOf, zoned } from '../parameters.ts';
import { askedTypes, writtenBefore } from '../search-several.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { inputsOf, onlyInput } from './parameters.ts';

const KEPT = ['_since', '_type', '_count', 'start', 'end'] as const;
const DEFAULT_COUNT = 500;
const MOST_COUNT = 1000;

/** What a record needs to be understood and is in nobody's compartment. */
export const SUPPORTING = [
  'Device',
  'Endpoint',
  'HealthcareService',
  'Location',
  'Medication',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Substance',
];
const FOLLOWED: Readonly<Record<string, readonly string[]>> = {
  Patient: SUPPORTING,
  Encounter: [...SUPPORTING, 'Patient', 'RelatedPerson', 'Condition', 'Procedure', 'EpisodeOfCare', 'ServiceRequest', 'Appointment'],
};

/** Where the page before ended, when the first was asked for, and marks of what was followed already. */
type Resume = { readonly place: GatherPlace; readonly asOf: number; readonly sent: string };
type Wanted = { readonly types: readonly string[]; readonly followed: readonly string[]; readonly since: string | undefined };

export async function everything(request: FhirRequest, services: Services): Promise<Answer> {
  const inputs = inputsOf(request, [...KEPT, '_cursor']);
  checkId(request.id);
  const wanted = wantedOf(request, services, inputs);
  const used = new URLSearchParams([...inputs].filter(([name]) => name !== '_cursor')).toString();
  const path = `${request.type}/${request.id}/$everything`;
  const binding = cursorBinding(request, `${path}?${used} ${[...wanted.types, ...wanted.followed].join()}`);
  const cursor = onlyInput(inputs, '_cursor');
  const resume = cursor === undefined ? undefined : (services.cursors.open(cursor, binding) as Resume);
  const asOf = resume?.asOf ?? services.clock();
  const sent = resume?.sent ?? '';
  const { count, during } = spanOf(inputs);
  const found = await request.gate.gather({
    interaction: 'operation',
    type: undefined,
    subject: { type: request.type, id: request.id },
    parts: partsOf(request, services, { ...wanted, asOf }),
    count,
    ...(resume ? { after: resume.place } : {}),
    ...during,
    follow: { types: followedOf(services, wanted), sent: (reference) => isMarked(sent, reference) },
    query: used === '' ? path : `${path}?${used}`,
  });
  if (found.kind === 'absent') throw notFound();
  const next = found.next && services.cursors.seal({ place: found.next, asOf, sent: marked(sent, found.followed) } satisfies Resume, binding);
  return {
    status: 200,
    headers: receiptHeaders(services.base, found.receipt),
    body: page(found, { url: `${services.base}/${path}`, used, next, base: services.base }),
  };
}

type Found = GatherResult & { readonly kind: 'found' };
type Links = { readonly url: string; readonly used: string; readonly next: string | undefined; readonly base: string };

function page({ rows, followed }: Found, { url, used, next, base }: Links): string {
  const self = { relation: 'self', url: used === '' ? url : `${url}?${used}` };
  const more = next === undefined ? [] : [{ relation: 'next', url: `${url}?${used === '' ? '' : `${used}&`}_cursor=${next}` }];
  const entry = (mode: 'match' | 'include') => (row: Row) => ({ fullUrl: `${base}/${row.type}/${row.id}`, resourceText: row.body, search: { mode } });
  return bundleText({ type: 'searchset', links: [self, ...more], entries: [...rows.map(entry('match')), ...followed.map(entry('include'))] });
}

/** The types asked for and the token allows: those of the compartment, and those followed. */
function wantedOf({ type, gate }: FhirRequest, { allows }: Services, inputs: URLSearchParams): Wanted {
  const asked = askedTypes(inputs.getAll('_type'));
  const isAsked = (of: string) => !asked || asked.has(of);
  const maySearch = (of: string) => allows(gate.caller, 's', of);
  const types = typesOf(compartmentOf(type) ?? {}, type)
    // A trail of who read what is no part of a record of care; it is given where it is asked for by name.
    .filter((of) => (of === 'AuditEvent' ? asked?.has(of) === true : isAsked(of)))
    .filter((of) => of === type || maySearch(of));
  const since = onlyInput(inputs, '_since');
  if (since !== undefined && !parseDate(zoned(since)))
    throw new AssentError('invalid-request', '_since must be an instant, like 2024-05-01T00:00:00Z.');
  return { types, followed: (FOLLOWED[type] ?? []).filter((of) => isAsked(of) && maySearch(of)), since: since && zoned(since) };
}

function spanOf(inputs: URLSearchParams): { readonly count: number; readonly during: Pick<GatherRequest, 'during'> } {
  for (const name of ['_count', 'start', 'end']) onlyInput(inputs, name);
  const count = countOf(inputs, '_count', MOST_COUNT) ?? DEFAULT_COUNT;
  if (count === 0) throw new AssentError('invalid-request', '_count must be at least 1.');
  const [start, end] = [dateOf(inputs, 'start'), dateOf(inputs, 'end')];
  if (!start && !end) return { count, during: {} };
  return { count, during: { during: { ...(start ? { from: start.low } : {}), ...(end ? { to: end.high } : {}) } } };
}

function dateOf(inputs: URLSearchParams, name: string): ReturnType<typeof parseDate> {
  const text = onlyInput(inputs, name);
  const range = text === undefined ? undefined : parseDate(zoned(text));
  if (text !== undefined && !range) throw new AssentError('invalid-request', `${name} must be a date, like 2024-05-01.`);
  return range;
}

function changedSince({ search }: Services, type: string, since: string | undefined): Expression {
  return since === undefined ? all : search.plan(type, new URLSearchParams({ _lastUpdated: `ge${since}` }), 'strict').where;
}

function partsOf(owner: FhirRequest, services: Services, { types, since, asOf }: Wanted & { readonly asOf: number }): GatherRequest['parts'] {
  return types.map((type) => ({
    type,
    where: and([membership(services.search, owner, type), changedSince(services, type, since), writtenBefore(services, type, asOf)]),
  }));
}

function followedOf(services: Services, { followed, since }: Wanted): ReadonlyMap<string, Expression> {
  return new Map(followed.map((type) => [type, changedSince(services, type, since)]));
}

/** Marks of references sent on earlier pages travel in the link, so that none has to be kept here; beyond these many they may come again. */
const MARK = 8;
const MOST_MARKS = 250;

function markOf(reference: string): string {
  return createHash('sha256').update(reference).digest('base64url').slice(0, MARK);
}

function isMarked(marks: string, reference: string): boolean {
  const mark = markOf(reference);
  for (let at = 0; at < marks.length; at += MARK) if (marks.startsWith(mark, at)) return true;
  return false;
}

function marked(marks: string, followed: readonly Row[]): string {
  return (marks + followed.map(({ type, id }) => markOf(`${type}/${id}`)).join('')).slice(0, MOST_MARKS * MARK);
}
