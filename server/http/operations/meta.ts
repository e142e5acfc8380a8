/**
 * $meta (of the system, a type, a resource, a version), $meta-add and $meta-delete: profiles, tags and security labels.
 * https://hl7.org/fhir/R4/resource-operation-meta.html
 *
 * Invariants: what is told was released by the Gate and is audited like any read; a change tells what was there, so it needs `r` besides `u`;
 * it is a version like any other, validated, labelled and recorded by the same write, made from the version that was read.
 */
import type { ReadResult, Row } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { elementTexts, memberText } from '../../fhir/json-text.ts';
import { isSetsOnly, mergedMeta, metaText, withMetaAdded, withMetaTaken } from '../../fhir/meta.ts';
import type { ResourceValue } from '../../fhir/resource.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import { all } from '../../search/expression.ts';
import { notFound, receiptHeaders, versionHeaders } from '../answer.ts';
import { lookAgain } from '../condition.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import { refuseUnreadable } from '../patch.ts';
import { expectedVersion, refuseConditions } from '../preconditions.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { refuseInvalid } from '../validity.ts';
import { inputsOf, parametersOf, single } from './parameters.ts';

/** Of one resource, or one version of it. */
export async function meta(request: FhirRequest, { base }: Services): Promise<Answer> {
  const { type, id, version, gate } = request;
  inputsOf(request, []);
  checkId(id);
  if (version !== '') checkId(version);
  const found = version === '' ? await gate.read(type, id) : await gate.readVersion(type, id, version);
  return metaAnswer(visible(found), receiptHeaders(base, found.kind === 'absent' ? undefined : found.receipt));
}

/** Resources looked through at once, and at most: what is in use among more is a question for a search with _tag. */
const PAGE = 1_000;
const MOST_ROWS = 20_000;

/** Of everything of a type, or of all types, that the caller may see. */
export async function metaOfMany(request: FhirRequest, services: Services): Promise<Answer> {
  inputsOf(request, []);
  const { gate, type, url: query } = request;
  const types = type === '' ? resourceTypes.filter((of) => services.allows(gate.caller, 's', of)) : [type];
  if (types.length === 0) throw new AssentError('forbidden', 'The token holds no scope to search any type.');
  // Looking leaves AuditEvents, and so would never end among them.
  const parts = types.filter((of) => type !== '' || of !== 'AuditEvent').map((of) => ({ type: of, where: all }));
  let merged = '{}';
  let receipt: string | undefined;
  let after: Parameters<typeof gate.gather>[0]['after'];
  for (let rows = 0; ; ) {
    const found = await gate.gather({
      interaction: 'operation',
      type: type === '' ? undefined : type,
      parts,
      count: PAGE,
      ...(after ? { after } : {}),
      query,
    });
    if (found.kind === 'absent') throw notFound();
    merged = mergedMeta([merged, ...found.rows.map(({ body }) => metaText(body))]);
    receipt = found.receipt;
    after = found.next;
    rows += found.rows.length;
    if (!after) break;
    if (rows >= MOST_ROWS) throw new AssentError('too-costly', `There are more than ${MOST_ROWS} resources; ask for one type, or search by _tag.`);
  }
  return { status: 200, headers: receiptHeaders(services.base, receipt), body: parametersText(merged) };
}

export function metaAdd(request: FhirRequest, services: Services): Promise<Answer> {
  return change(request, services, withMetaAdded);
}

export function metaDelete(request: FhirRequest, services: Services): Promise<Answer> {
  return change(request, services, withMetaTaken);
}

async function change(request: FhirRequest, services: Services, edit: (text: string, meta: string) => string): Promise<Answer> {
  refuseUnknownQuery(request, []);
  refuseConditions(request, ['if-none-match', 'if-none-exist', 'x-provenance']);
  refuseUnreadable(request, services);
  checkId(request.id);
  const given = givenMeta(request);
  const condition = expectedVersion(request);
  return lookAgain(async () => {
    const found = await request.gate.read(request.type, request.id);
    const row = visible(found);
    if (condition.ifMatch !== undefined && condition.ifMatch !== row.version) throw new AssentError('version-mismatch');
    const headers = receiptHeaders(services.base, found.kind === 'absent' ? undefined : found.receipt);
    const text = edit(row.body, given);
    if (text === row.body) return metaAnswer(row, headers);
    const resource = { text, value: JSON.parse(text) as ResourceValue };
    await refuseInvalid(services, resource);
    const [result] = await request.gate.write([{ kind: 'update', id: row.id, resource, madeFrom: row.version, ...condition }]);
    if (!result) throw notFound();
    return metaAnswer(result.row, headers);
  });
}

function visible(found: ReadResult): Row {
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'gone') throw new AssentError('gone');
  return found.row;
}

/** The text of the parameter `meta`. */
function givenMeta(request: FhirRequest): string {
  const list = parametersOf(request, ['meta']);
  const value = single(list, 'meta')?.['valueMeta'];
  if (!isSetsOnly(value))
    throw new AssentError('invalid-request', 'The parameter meta is needed, as valueMeta with profile, security or tag and nothing else.');
  const body = request.body.kind === 'resource' ? request.body.document.text : '';
  return memberText(elementTexts(memberText(body, 'parameter') ?? '[]')[0] ?? '{}', 'valueMeta') ?? '{}';
}

function metaAnswer(row: Row, headers: Readonly<Record<string, string>>): Answer {
  return { status: 200, headers: { ...versionHeaders(row), ...headers }, body: parametersText(metaText(row.body)) };
}

function parametersText(meta: string): string {
  // FHIR has no empty objects.
  return meta === '{}' ? '{"resourceType":"Parameters"}' : `{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":${meta}}]}`;
}
