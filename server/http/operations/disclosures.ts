/**
 * Patient/{id}/$disclosures: everything that was recorded about a patient, newest first, in pages, as words, as codes and as a statement that is checked
 * offline. ledger.md §4
 *
 * Invariant: whoever may not ask gets the answer of a Patient that is not there.
 */
import type { RecordedEntry } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { informed, json, notFound, receiptHeaders } from '../answer.ts';
import { cursorBinding } from '../cursor-binding.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { countOf } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { inputsOf, onlyInput } from './parameters.ts';

const DEFAULT_COUNT = 50;
const MOST_COUNT = 200;
/** Checkpoints come about every second. */
const RETRY_SECONDS = '1';

/** Index of the log entry the page begins with; count and head as of the first page. */
type Resume = { readonly from: number; readonly count: number; readonly head: number };

export async function disclosures(request: FhirRequest, { base, cursors }: Services): Promise<Answer> {
  const inputs = inputsOf(request, ['_count', '_cursor']);
  checkId(request.id);
  for (const name of ['_count', '_cursor']) onlyInput(inputs, name);
  const count = countOf(inputs, '_count', MOST_COUNT) ?? DEFAULT_COUNT;
  if (count === 0) throw new AssentError('invalid-request', '_count must be at least 1.');
  const path = `Patient/${request.id}/$disclosures`;
  const binding = cursorBinding(request, path);
  const cursor = inputs.get('_cursor');
  const resume = cursor === null ? undefined : (cursors.open(cursor, binding) as Resume);
  const found = await request.gate.disclosures({ id: request.id, count, from: resume?.from });
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'pending') return json(202, informed('No entry is in a signed checkpoint yet; ask again.'), { 'retry-after': RETRY_SECONDS });
  const [newest] = found.entries;
  const { count: total, head } = resume ?? { count: newest?.number ?? 0, head: newest?.index ?? 0 };
  const next = found.next === undefined ? undefined : cursors.seal({ from: found.next, count: total, head } satisfies Resume, binding);
  const parameter = [
    { name: 'patient', valueReference: { reference: `Patient/${request.id}` } },
    { name: 'count', valueUnsignedInt: total },
    ...(total === 0 ? [] : [{ name: 'head', valueDecimal: head }]),
    { name: 'logSize', valueDecimal: found.size },
    ...found.entries.map((entry) => ({ name: 'entry', part: entryParts(entry) })),
    { name: 'statement', valueString: found.statement },
    ...(next === undefined
      ? []
      : [{ name: 'next', valueUri: `${base}/${path}?${String(new URLSearchParams({ _count: String(count), _cursor: next }))}` }]),
  ];
  return json(200, { resourceType: 'Parameters', parameter }, receiptHeaders(base, found.receipt));
}

type Parameter = { readonly name: string; readonly [value: string]: unknown };

/** What is shown of an AuditEvent, all optional: it is as the server wrote it. */
type Event = {
  readonly subtype?: readonly { readonly code?: string }[];
  readonly purposeOfEvent?: readonly { readonly coding?: readonly object[] }[];
  readonly agent?: readonly { readonly who?: { readonly reference?: string }; readonly altId?: string }[];
  readonly entity?: readonly { readonly what?: { readonly reference?: string }; readonly role?: { readonly code?: string } }[];
};

const DISCLOSED = '4';
const BASIS = '13';

function entryParts({ number, index, kind, occurredAt, reference, event }: RecordedEntry): Parameter[] {
  const { subtype, purposeOfEvent, agent, entity = [] } = (event === undefined ? {} : JSON.parse(event)) as Event;
  const inRole = (code: string) => entity.flatMap(({ what, role }) => (role?.code === code && what?.reference !== undefined ? [what.reference] : []));
  const who = agent?.[0]?.who?.reference;
  const purpose = purposeOfEvent?.[0]?.coding?.[0];
  const resources = inRole(DISCLOSED);
  return [
    { name: 'number', valuePositiveInt: number },
    { name: 'logIndex', valueDecimal: index },
    { name: 'kind', valueCode: kind },
    ...(occurredAt === undefined ? [] : [{ name: 'when', valueInstant: occurredAt }]),
    ...(reference === undefined || /^(Key|Authority)\//.test(reference) ? [] : [{ name: 'record', valueReference: { reference } }]),
    ...(who === undefined ? [] : [{ name: 'who', valueReference: { reference: who } }]),
    ...(purpose === undefined ? [] : [{ name: 'purpose', valueCoding: purpose }]),
    ...(subtype?.[0]?.code === undefined ? [] : [{ name: 'interaction', valueCode: subtype[0].code }]),
    ...resources.map((each) => ({ name: 'resource', valueReference: { reference: each } })),
    ...inRole(BASIS).map((each) => ({ name: 'basis', valueReference: { reference: each } })),
    { name: 'text', valueString: sentence({ kind, event }, { who, resources: resources.length }) },
  ];
}

const acts: Readonly<Record<string, string>> = {
  disclosure: 'was shown',
  denial: 'asked for and was not shown',
  write: 'wrote',
};
const others: Readonly<Record<string, string>> = {
  erased: 'An entry that was erased: it says nothing any more.',
  erasure: 'A record of a consent was erased.',
  'key-registered': 'A key to sign with was registered.',
  'key-revoked': 'A key to sign with was revoked.',
  'consent-proposed': 'A consent was proposed.',
  'consent-active': 'A consent came into force.',
  'consent-withdrawn': 'A consent was withdrawn.',
  'consent-suspended': 'A consent was suspended.',
  'consent-rejected': 'A consent that was asked for was not given.',
  'consent-superseded': 'A consent was replaced by another.',
};

type Done = { readonly who: string | undefined; readonly resources: number };

function sentence({ kind, event }: Pick<RecordedEntry, 'kind' | 'event'>, { who, resources }: Done): string {
  const act = acts[kind];
  if (act === undefined) return others[kind] ?? 'Something was recorded.';
  if (event === undefined) return `Somebody ${act} something of this record; the details name another person and are not shown.`;
  return `${who ?? 'Somebody'} ${act} ${resources === 1 ? 'one resource' : `${resources} resources`} of this record.`;
}
