/**
 * Composition/{id}/$document: the Composition and what it refers to, as a document Bundle; with persist=true it is stored as well.
 * https://hl7.org/fhir/R4/composition-operation-document.html
 *
 * Invariant: the document holds what its maker may see, and says nothing of what is left out; stored, it is a Bundle like any other, which
 * names every patient of its parts.
 */
import { randomUUID } from 'node:crypto';
import { AssentError } from '../../errors.ts';
import { objectText } from '../../fhir/json-text.ts';
import { newIdFor } from '../../fhir/new-ids.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import { all } from '../../search/expression.ts';
import type { Row } from '../../consent/gate.ts';
import { notFound, receiptHeaders, versionHeaders, versionUrl } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { refuseInvalid } from '../validity.ts';
import { inputsOf, onlyInput } from './parameters.ts';

export async function document(request: FhirRequest, services: Services): Promise<Answer> {
  const { id, gate, url } = request;
  const inputs = inputsOf(request, ['persist']);
  const persist = onlyInput(inputs, 'persist') ?? 'false';
  if (persist !== 'true' && persist !== 'false') throw new AssentError('invalid-request', 'persist must be true or false.');
  if (persist === 'true' && !services.allows(gate.caller, 'c', 'Bundle'))
    throw new AssentError('forbidden', 'The token holds no scope to create a Bundle.');
  checkId(id);
  const readable = resourceTypes.filter((type) => services.allows(gate.caller, 'r', type));
  const found = await gate.gather({
    interaction: 'operation',
    type: undefined,
    subject: { type: 'Composition', id },
    parts: [{ type: 'Composition', where: { kind: 'id', ids: new Set([id]) } }],
    count: 1,
    follow: { types: new Map(readable.map((type) => [type, all])), sent: () => false },
    query: url,
  });
  if (found.kind === 'absent') throw notFound();
  const text = documentText([...found.rows, ...found.followed], services);
  const headers = receiptHeaders(services.base, found.receipt);
  return persist === 'true' ? store(request, services, { text, headers }) : { status: 200, headers, body: text };
}

function documentText(rows: readonly Row[], { base, clock }: Services): string {
  const entries = rows.map(({ type, id, body }) =>
    objectText([
      ['fullUrl', JSON.stringify(`${base}/${type}/${id}`)],
      ['resource', body],
    ]),
  );
  return objectText([
    ['resourceType', '"Bundle"'],
    ['identifier', JSON.stringify({ system: 'urn:ietf:rfc:3986', value: `urn:uuid:${randomUUID()}` })],
    ['type', '"document"'],
    ['timestamp', JSON.stringify(new Date(clock()).toISOString())],
    ['entry', `[${entries.join(',')}]`],
  ]);
}

type Made = { readonly text: string; readonly headers: Readonly<Record<string, string>> };

async function store(request: FhirRequest, services: Services, { text, headers }: Made): Promise<Answer> {
  const resource = { text, value: JSON.parse(text) as ResourceValue };
  await refuseInvalid(services, resource);
  const [result] = await request.gate.write([{ kind: 'create', id: newIdFor(resource.value, services.base), resource, ofShown: true }]);
  if (!result) throw notFound();
  const { row } = result;
  return { status: 200, headers: { ...headers, ...versionHeaders(row), location: versionUrl(services.base, row) }, body: row.body };
}
