/**
 * The form of a Reference and the type it points to, as far as the resource and its Bundle tell. https://hl7.org/fhir/R4/references.html
 *
 * Invariant: nothing is read from a store: a target elsewhere is judged by its URL and by Reference.type alone.
 */
import { isResourceType } from '../fhir/resource-types.ts';
import type { Place } from '../fhir/place.ts';
import type { Finding } from './finding.ts';
import type { Scope } from './scope.ts';
import type { JsonObject } from './structure.ts';

type Where = { readonly place: Place; readonly scope: Scope; readonly targets: ReadonlySet<string> | undefined };
type Target =
  | { readonly kind: 'bad'; readonly words: string; readonly code: string }
  | { readonly kind: 'type'; readonly type: string }
  | { readonly kind: 'open' };

export function referenceFindings(value: JsonObject, { place, scope, targets }: Where): Finding[] {
  const { reference, type } = value as { readonly reference?: unknown; readonly type?: unknown };
  const target: Target = typeof reference === 'string' ? targetOf(reference, scope) : { kind: 'open' };
  if (target.kind === 'bad') return [{ place: { up: place, step: '.reference' }, diagnostics: target.words, code: target.code }];
  const named = typeof type === 'string' ? type.replace(/^http:\/\/hl7\.org\/fhir\/StructureDefinition\//, '') : undefined;
  if (named !== undefined && target.kind === 'type' && named !== target.type)
    return [{ place: { up: place, step: '.type' }, diagnostics: 'Is not the type that the reference points to.', code: 'value' }];
  const pointed = target.kind === 'type' ? target.type : named;
  // A type that is no resource of R4 is a logical model, which targets say nothing about.
  if (pointed === undefined || !targets || targets.has(pointed) || !isResourceType(pointed)) return [];
  const allowed = targets.size <= 12 ? `: ${[...targets].join(', ')}` : '';
  return [{ place, diagnostics: `Points to a type that this element does not allow${allowed}.`, code: 'structure' }];
}

const RELATIVE = /^([A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(\/_history\/[A-Za-z0-9\-.]{1,64})?(#.*)?$/;
const SEARCH = /^([A-Za-z]+)\?\S+$/;
const RESTFUL_END = /\/([A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(\/_history\/[A-Za-z0-9\-.]{1,64})?(#.*)?$/;

function targetOf(reference: string, scope: Scope): Target {
  if (reference.startsWith('#')) return insideTarget(reference, scope);
  const inBundle = scope.entry(reference);
  if (inBundle !== undefined) return { kind: 'type', type: inBundle };
  const plain = RELATIVE.exec(reference) ?? SEARCH.exec(reference);
  if (plain) return typed(plain[1] as string);
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\S+$/.test(reference)) {
    const type = /^https?:/i.test(reference) ? RESTFUL_END.exec(reference)?.[1] : undefined;
    return type !== undefined && isResourceType(type) ? { kind: 'type', type } : { kind: 'open' };
  }
  return { kind: 'bad', words: 'Not a reference: Type/id, an absolute URL, urn:uuid:… or #id of a contained resource.', code: 'value' };
}

function typed(type: string): Target {
  if (isResourceType(type)) return { kind: 'type', type };
  return { kind: 'bad', words: 'R4 has no resource type of this name.', code: 'value' };
}

/** `#` alone names the container. */
function insideTarget(reference: string, scope: Scope): Target {
  scope.name(reference);
  const type = reference === '#' ? String(scope.container['resourceType']) : scope.contained(reference.slice(1));
  if (type !== undefined) return { kind: 'type', type };
  return { kind: 'bad', words: 'A local reference must name a contained resource.', code: 'not-found' };
}
