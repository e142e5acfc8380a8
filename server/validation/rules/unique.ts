/**
 * Values that must not repeat within a definition (csd-1, sdf-1, sdf-16, sdf-17): as published each is compared with each, which for a code
 * system of 50,000 concepts takes minutes. https://hl7.org/fhir/R4/codesystem.html#invs, https://hl7.org/fhir/R4/structuredefinition.html#invs
 *
 * Invariant: linear in the number of values.
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { JsonObject, Visit } from '../structure.ts';

type Named = { readonly name: unknown; readonly place: Place };

export function codeSystemFindings({ value, place }: Visit): Finding[] {
  const named: Named[] = [];
  const open = [{ owner: value, place }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { owner, place: up } = next;
    for (const [index, concept] of ((owner['concept'] ?? []) as JsonObject[]).entries()) {
      const at: Place = { up, step: '.concept', index };
      named.push({ name: concept['code'], place: { up: at, step: '.code' } });
      open.push({ owner: concept, place: at });
    }
  }
  return repeated(named, 'Constraint csd-1 not met: within a code system all codes must be unique.');
}

export function structureDefinitionFindings({ value, place }: Visit): Finding[] {
  const { snapshot, differential, derivation } = value as Readonly<Record<string, JsonObject | undefined>>;
  const parts = [
    { part: snapshot, step: '.snapshot', key: 'sdf-16' },
    { part: differential, step: '.differential', key: 'sdf-17' },
  ];
  return parts.flatMap(({ part, step, key }): Finding[] => {
    if (!part) return [];
    const up: Place = { up: place, step };
    const elements = ((part['element'] ?? []) as JsonObject[]).map((element, index) => ({ element, at: { up, step: '.element', index } as Place }));
    const ids = elements.map(({ element, at }): Named => ({ name: element['id'], place: { up: at, step: '.id' } }));
    const unnamed = ids.filter(({ name }) => name === undefined).map((id) => required(id.place, key));
    const paths = elements.map(({ element, at }): Named => ({ name: element['path'], place: { up: at, step: '.path' } }));
    const isBase = step === '.snapshot' && (derivation as unknown) !== 'constraint';
    return [
      ...unnamed,
      ...repeated(ids, `Constraint ${key} not met: the ids of elements must be unique.`),
      ...(isBase ? repeated(paths, 'Constraint sdf-1 not met: element paths must be unique unless the structure is a constraint.') : []),
      ...rootFindings(paths, { value, step }),
    ];
  });
}

function required(place: Place, key: string): Finding {
  return { place, diagnostics: `Constraint ${key} not met: every element must have an id.`, code: 'invariant' };
}

/** All paths begin with that of the first element, which names the type (sdf-8, sdf-8a). */
function rootFindings([first, ...rest]: readonly Named[], { value, step }: { value: JsonObject; step: string }): Finding[] {
  if (!first) return [];
  const key = step === '.snapshot' ? 'sdf-8' : 'sdf-8a';
  const words = `Constraint ${key} not met: the first path must name the type, and all others must begin with it.`;
  const [path, type] = [String(first.name), String(value['type'])];
  const namesType = step === '.snapshot' ? path === type : path.startsWith(type);
  const root = `${step === '.snapshot' ? path : path.replace(/\..*/s, '')}.`;
  const wrong = rest.filter(({ name }) => !String(name).startsWith(root));
  return [...(value['kind'] === 'logical' || namesType ? [] : [first]), ...wrong].map(({ place }) => ({
    place,
    diagnostics: words,
    code: 'invariant',
  }));
}

function repeated(named: readonly Named[], diagnostics: string): Finding[] {
  const seen = new Set<unknown>();
  return named.flatMap(({ name, place }): Finding[] => {
    if (name === undefined) return [];
    if (seen.has(name)) return [{ place, diagnostics, code: 'invariant' }];
    seen.add(name);
    return [];
  });
}
