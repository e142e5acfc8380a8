/**
 * POST {type}/$validate and {type}/{id}/$validate: the verdict on a resource, stored nowhere. Without a resource in the body the stored one
 * is judged, read through the Gate like any read. https://hl7.org/fhir/R4/resource-operation-validate.html
 *
 * Invariant: the answer is 200 whatever the verdict; it says of a stored resource only what its reader may see.
 */
import { AssentError, type Issue } from '../../errors.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import { informed, json, notFound, receiptHeaders } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { type Parameter, parametersOf } from './parameters.ts';
import { resourceParameter } from './resource-parameter.ts';

const MODES = ['create', 'update', 'delete', 'profile'] as const;
type Mode = (typeof MODES)[number];

type Asked = { readonly mode: Mode | undefined; readonly profiles: readonly string[]; readonly resource: ResourceDocument | undefined };
/** `headers`: of the read, where the stored resource was looked at. */
type Subject = { readonly document: ResourceDocument; readonly headers: Readonly<Record<string, string>> };

export async function validate(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, ['mode', 'profile']);
  if (request.id !== '') checkId(request.id);
  const asked = askedOf(request);
  if (asked.mode === 'profile' && asked.profiles.length === 0)
    throw new AssentError('invalid-request', 'The mode profile needs the parameter profile.');
  if (asked.mode === 'delete') return deletable(request, services);
  const { document, headers } = asked.resource ? { document: asked.resource, headers: {} } : await stored(request, services);
  if (document.value.resourceType !== request.type)
    throw new AssentError('invalid-request', [{ diagnostics: 'resourceType is not the type in the URL.', expression: ['resourceType'] }]);
  const [issues] = await services.validate([document], asked.profiles);
  // No verdict is no permission.
  if (!issues) throw new AssentError('unavailable');
  return outcome([...issues, ...modeIssues(request, asked)], headers);
}

function askedOf(request: FhirRequest): Asked {
  const list = takesParameters(request) ? parametersOf(request, ['resource', 'mode', 'profile']) : [];
  const given = (name: string): string[] => [...request.query.getAll(name), ...list.filter((one) => one.name === name).map(textOf)];
  const [mode, ...modes] = given('mode');
  if (modes.length > 0 || (mode !== undefined && !isMode(mode))) throw new AssentError('invalid-request', `The mode is one of ${MODES.join(', ')}.`);
  const direct = request.body.kind === 'resource' && !takesParameters(request) ? request.body.document : undefined;
  return { mode, profiles: [...new Set(given('profile'))], resource: direct ?? resourceParameter(request, list, 'resource') };
}

/** A Parameters resource in the body is the operation's own, unless it is itself what is to be judged. */
function takesParameters({ body, type }: FhirRequest): boolean {
  if (body.kind !== 'resource' || body.document.value.resourceType !== 'Parameters') return false;
  const list = body.document.value['parameter'];
  return type !== 'Parameters' || (Array.isArray(list) && list.some((one: Parameter | null) => one?.name === 'resource'));
}

function textOf(parameter: Parameter): string {
  const [value, ...more] = ['valueCode', 'valueUri', 'valueCanonical', 'valueUrl', 'valueString'].flatMap((name) => parameter[name] ?? []);
  if (more.length > 0 || typeof value !== 'string') throw new AssentError('invalid-request', `The parameter ${parameter.name} needs one value.`);
  return value;
}

function isMode(mode: string): mode is Mode {
  return MODES.some((known) => known === mode);
}

async function stored(request: FhirRequest, { base, allows }: Services): Promise<Subject> {
  const { gate, type, id } = request;
  if (id === '') throw new AssentError('invalid-request', 'A resource is needed: in the body, or as the parameter resource.');
  if (!allows(gate.caller, 'r', type)) throw new AssentError('forbidden', 'The token holds no scope to read this type.');
  const found = await gate.read(type, id);
  if (found.kind === 'absent') throw notFound();
  if (found.kind === 'gone') throw new AssentError('gone');
  const { body } = found.row;
  return { document: { text: body, value: JSON.parse(body) as ResourceValue }, headers: receiptHeaders(base, found.receipt) };
}

/** As far as can be told without doing it: the scope, and that there is something to delete. */
async function deletable(request: FhirRequest, services: Services): Promise<Answer> {
  if (request.id === '') throw new AssentError('invalid-request', 'The mode delete is asked of one resource: {type}/{id}/$validate.');
  if (!services.allows(request.gate.caller, 'd', request.type)) throw new AssentError('forbidden', 'The token holds no scope to delete this type.');
  const { headers } = await stored(request, services);
  return outcome([], headers);
}

function modeIssues({ id, type }: FhirRequest, { mode, resource }: Asked): readonly Issue[] {
  const given = resource?.value.id;
  const expression = [`${type}.id`];
  if (mode === 'update' && resource && id === '' && given === undefined)
    return [{ code: 'required', diagnostics: 'An update needs the id of the resource.', expression }];
  if (mode === 'update' && resource && id !== '' && given !== id)
    return [{ code: 'value', diagnostics: 'An update needs the id of the URL.', expression }];
  if (mode === 'create' && given !== undefined)
    return [
      {
        severity: 'information',
        code: 'informational',
        diagnostics: 'A create gets an id of the server’s choosing; this one is not kept.',
        expression,
      },
    ];
  return [];
}

function outcome(issues: readonly Issue[], headers: Readonly<Record<string, string>>): Answer {
  if (issues.length === 0) return json(200, informed('All good: nothing was found wrong.'), headers);
  const listed = issues.map(({ severity = 'error', code = 'invalid', diagnostics, expression = [] }) => ({
    severity,
    code,
    diagnostics,
    ...(expression.length > 0 ? { expression: [...expression] } : {}),
  }));
  return json(200, { resourceType: 'OperationOutcome', issue: listed }, headers);
}
