/**
 * Contained resources: none inside another (dom-2), each named by or naming its container (dom-3), no versions of their own (dom-4), no security
 * labels (dom-5), each with an id of its own. https://hl7.org/fhir/R4/references.html#contained
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { JsonObject, Visit } from '../structure.ts';

export function containedFindings({ value, place, scope }: Visit): Finding[] {
  if (scope.isContained) return insideFindings(value, place);
  const contained = value['contained'];
  if (!Array.isArray(contained)) return [];
  const seen = new Set<unknown>();
  return (contained as JsonObject[]).flatMap((inner, index): Finding[] => {
    const at: Place = { up: place, step: '.contained', index };
    const { id } = inner as { readonly id?: unknown };
    if (seen.has(id)) return [{ place: { up: at, step: '.id' }, diagnostics: 'Another contained resource has the same id.', code: 'invariant' }];
    if (id !== undefined) seen.add(id);
    if ((typeof id === 'string' && scope.named.has(`#${id}`)) || scope.backward.has(inner)) return [];
    return [
      {
        place: at,
        diagnostics: 'Constraint dom-3 not met: a contained resource must be referred to from, or refer to, its container.',
        code: 'invariant',
      },
    ];
  });
}

function insideFindings(value: JsonObject, place: Place): Finding[] {
  const findings: Finding[] = [];
  if (value['contained'] !== undefined)
    findings.push({
      place: { up: place, step: '.contained' },
      diagnostics: 'Constraint dom-2 not met: a contained resource must not contain others.',
      code: 'invariant',
    });
  const meta = (value['meta'] ?? {}) as JsonObject;
  for (const [name, key] of OF_THE_CONTAINER)
    if (meta[name] !== undefined)
      findings.push({
        place: { up: { up: place, step: '.meta' }, step: `.${name}` },
        diagnostics: `Constraint ${key} not met: a contained resource has no ${name} of its own.`,
        code: 'invariant',
      });
  return findings;
}

const OF_THE_CONTAINER = [
  ['versionId', 'dom-4'],
  ['lastUpdated', 'dom-4'],
  ['security', 'dom-5'],
] as const;
