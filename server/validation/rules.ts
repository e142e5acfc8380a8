/**
 * The third step of validation: base rules that neither the JSON schema nor @medplum/core checks. One walk over the tree, which also
 * finds the resources inside the resource. https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/bundle.html#bundle-unique
 *
 * Invariant: findings carry places and words of ours, no values.
 */
import type { ResourceValue } from '../fhir/resource.ts';
import { narrativeProblem } from './narrative.ts';
import type { Finding, Path } from './schema.ts';

export type Inner = { readonly path: Path; readonly value: ResourceValue };

/** Every resource in the tree, the outermost first, and what breaks a base rule (at most `most` findings). */
export function applyRules(root: ResourceValue, most: number): { readonly resources: readonly Inner[]; readonly findings: readonly Finding[] } {
  const resources: Inner[] = [];
  const findings: Finding[] = [];
  const open: { path: Path; value: unknown }[] = [{ path: [], value: root }];
  for (let next = open.pop(); next !== undefined && findings.length < most; next = open.pop()) {
    const { path, value } = next;
    const problem = emptiness(value);
    if (problem) findings.push({ path, diagnostics: problem, code: 'structure' });
    if (typeof value !== 'object' || value === null) continue;
    if (isResource(path, value)) resources.push({ path, value });
    const children = Array.isArray(value) ? value.entries() : Object.entries(value);
    for (const [name, child] of children) {
      if (name === 'div' && typeof child === 'string') {
        const unsafe = narrativeProblem(child);
        if (unsafe) findings.push({ path: [...path, name], diagnostics: unsafe, code: 'invalid' });
      } else if (typeof child === 'object' || child === '') open.push({ path: [...path, name], value: child });
    }
  }
  if (root.resourceType === 'Bundle') findings.push(...fullUrlFindings(root));
  return { resources, findings };
}

function emptiness(value: unknown): string | undefined {
  if (value === '') return 'Must not be an empty string; leave the element out.';
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? 'Must not be an empty array; leave the element out.' : undefined;
  return Object.keys(value).length === 0 ? 'Must not be an empty object; leave the element out.' : undefined;
}

/** By place as well as by form: ExampleScenario.instance has an ordinary element called resourceType. */
function isResource(path: Path, value: object): value is ResourceValue {
  const slot = typeof path.at(-1) === 'number' ? path.at(-2) : path.at(-1);
  const fits = slot === undefined || slot === 'contained' || slot === 'resource' || slot === 'outcome';
  return fits && 'resourceType' in value && typeof value.resourceType === 'string';
}

/** A fullUrl names no version (bdl-8) and is unique unless the versions differ (bdl-7). */
function fullUrlFindings(bundle: ResourceValue): Finding[] {
  const entries = bundle['entry'];
  if (!Array.isArray(entries) || bundle['type'] === 'history') return [];
  const seen = new Set<string>();
  return entries.flatMap((entry: unknown, index): Finding[] => {
    if (typeof entry !== 'object' || entry === null || !('fullUrl' in entry) || typeof entry.fullUrl !== 'string') return [];
    const path = ['entry', index, 'fullUrl'];
    if (entry.fullUrl.includes('/_history/')) return [{ path, diagnostics: 'A fullUrl must not name a version.', code: 'invariant' }];
    const version = (entry as { resource?: { meta?: { versionId?: unknown } } }).resource?.meta?.versionId;
    const identity = `${entry.fullUrl} ${typeof version === 'string' ? version : ''}`;
    if (seen.has(identity)) return [{ path, diagnostics: 'A fullUrl must be unique in a bundle.', code: 'invariant' }];
    seen.add(identity);
    return [];
  });
}
