/**
 * {type}/{id}/$explain-access: who may see one resource, under which Consent and provision, or why one actor may not. consent.md §3
 * Invariant: for whoever is not told, a hidden resource and an absent one are the same 404.
 */
import type { Access, AccessGround, AccessResult } from '../../consent/gate.ts';
import { json, notFound, receiptHeaders } from '../answer.ts';
import type { Answer, FhirRequest } from '../interaction.ts';
import type { Services } from '../services.ts';
import { checkId } from '../target.ts';
import { inputsOf, onlyInput } from './parameters.ts';

const PURPOSES = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';

export async function explainAccess(request: FhirRequest, { base }: Services): Promise<Answer> {
  const inputs = inputsOf(request, ['actor', 'purpose', 'language']);
  checkId(request.id);
  const resource = `${request.type}/${request.id}`;
  const actor = onlyInput(inputs, 'actor');
  const purpose = onlyInput(inputs, 'purpose')?.replace(`${PURPOSES}|`, '');
  const language = onlyInput(inputs, 'language') ?? 'en';
  const sent = new URLSearchParams(inputs).toString();
  const query = `${resource}/$explain-access${sent === '' ? '' : `?${sent}`}`;
  const found = await request.gate.explainAccess({ type: request.type, id: request.id, actor, purpose, language, query });
  if (found.kind === 'absent') throw notFound();
  return json(200, parametersFor(resource, found), receiptHeaders(base, found.receipt));
}

type Explained = AccessResult & { readonly kind: 'explained' };
type Parameter = { readonly name: string; readonly [value: string]: unknown };

function parametersFor(resource: string, { others, cut, accesses }: Explained): object {
  const parameter: Parameter[] = [
    { name: 'resource', valueReference: { reference: resource } },
    { name: 'othersToo', valueBoolean: others },
    { name: 'more', valueBoolean: cut },
    ...accesses.map((access) => ({ name: 'access', part: accessParts(access) })),
  ];
  return { resourceType: 'Parameters', parameter };
}

function accessParts({ actor, purpose, permitted, text, grounds }: Access): Parameter[] {
  return [
    ...(actor === undefined ? [] : [{ name: 'actor', valueReference: { reference: actor } }]),
    { name: 'purpose', valueCoding: { system: PURPOSES, code: purpose } },
    { name: 'decision', valueCode: decisionCode(permitted) },
    { name: 'text', valueString: text },
    ...grounds.map((ground) => ({ name: 'ground', part: groundParts(ground) })),
  ];
}

function groundParts({ patient, permitted, ground, policy, text, clauses, silent }: AccessGround): Parameter[] {
  return [
    ...(patient === undefined ? [] : [{ name: 'patient', valueReference: { reference: `Patient/${patient}` } }]),
    { name: 'decision', valueCode: decisionCode(permitted) },
    { name: 'because', valueCode: ground },
    ...(policy === undefined ? [] : [{ name: 'policy', valueCode: policy }]),
    { name: 'text', valueString: text },
    ...clauses.map(({ consent, path, type, text: words }) => ({
      name: 'clause',
      part: [
        { name: 'consent', valueReference: { reference: consent } },
        { name: 'provision', valueString: path },
        { name: 'type', valueCode: type },
        { name: 'text', valueString: words },
      ],
    })),
    ...silent.map(({ consent, because, text: words }) => ({
      name: 'silent',
      part: [
        { name: 'consent', valueReference: { reference: consent } },
        { name: 'because', valueCode: because },
        { name: 'text', valueString: words },
      ],
    })),
  ];
}

export function decisionCode(permitted: boolean | undefined): 'permit' | 'deny' | 'depends' {
  return permitted === undefined ? 'depends' : permitted ? 'permit' : 'deny';
}
