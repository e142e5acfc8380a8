/**
 * What the type of a Bundle asks of its entries (bdl-1 to bdl-12), and that a fullUrl says the same as the id. https://hl7.org/fhir/R4/bundle.html
 *
 * Invariant: linear in the number of entries.
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { JsonObject, Visit } from '../structure.ts';

const REQUESTS: ReadonlySet<unknown> = new Set(['batch', 'transaction', 'history']);
const RESPONSES: ReadonlySet<unknown> = new Set(['batch-response', 'transaction-response', 'history']);
const FIRST: ReadonlyMap<unknown, string> = new Map([
  ['document', 'Composition'],
  ['message', 'MessageHeader'],
]);
const FIRST_KEY: Readonly<Record<string, string>> = { Composition: 'bdl-11', MessageHeader: 'bdl-12' };

const broken = (place: Place, key: string, words: string): Finding => ({
  place,
  diagnostics: `Constraint ${key} not met: ${words}.`,
  code: 'invariant',
});
const at = (up: Place, step: string): Place => ({ up, step });

export function bundleFindings({ value, place }: Visit): Finding[] {
  const { type, total } = value;
  const entries = (value['entry'] ?? []) as readonly JsonObject[];
  const findings: Finding[] = [];
  if (total !== undefined && type !== 'searchset' && type !== 'history')
    findings.push(broken(at(place, '.total'), 'bdl-1', 'only a searchset or a history has a total'));
  if (type === 'document') findings.push(...documentFindings(value, place));
  const first = FIRST.get(type);
  const firstType = (entries[0]?.['resource'] as JsonObject | undefined)?.['resourceType'];
  if (first !== undefined && firstType !== first)
    findings.push(broken({ up: place, step: '.entry', index: 0 }, FIRST_KEY[first] ?? '', `the first entry of a ${String(type)} must be a ${first}`));
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) findings.push(...entryFindings(entry, { type, seen, place: { up: place, step: '.entry', index } }));
  return findings;
}

function documentFindings(bundle: JsonObject, place: Place): Finding[] {
  const { system, value } = (bundle['identifier'] ?? {}) as JsonObject;
  const findings: Finding[] = [];
  if (system === undefined || value === undefined)
    findings.push(broken(at(place, '.identifier'), 'bdl-9', 'a document must have an identifier with a system and a value'));
  if (bundle['timestamp'] === undefined) findings.push(broken(at(place, '.timestamp'), 'bdl-10', 'a document must have a date'));
  return findings;
}

type InBundle = { readonly type: unknown; readonly seen: Set<string>; readonly place: Place };

function entryFindings(entry: JsonObject, { type, seen, place }: InBundle): Finding[] {
  const { search, request, response, resource } = entry;
  const findings: Finding[] = [];
  if (search !== undefined && type !== 'searchset') findings.push(broken(at(place, '.search'), 'bdl-2', 'only entries of a searchset have a search'));
  if ((request !== undefined) !== REQUESTS.has(type))
    findings.push(broken(at(place, '.request'), 'bdl-3', requestWords(request, 'request', 'batch, transaction or history')));
  if ((response !== undefined) !== RESPONSES.has(type))
    findings.push(broken(at(place, '.response'), 'bdl-4', requestWords(response, 'response', 'batch-response, transaction-response or history')));
  if (resource === undefined && request === undefined && response === undefined)
    findings.push(broken(place, 'bdl-5', 'an entry needs a resource unless it has a request or a response'));
  return [...findings, ...fullUrlFindings(entry, { type, seen, place: at(place, '.fullUrl') })];
}

function requestWords(given: unknown, name: string, types: string): string {
  return given === undefined ? `an entry of a ${types} must have a ${name}` : `only an entry of a ${types} has a ${name}`;
}

function fullUrlFindings({ fullUrl, resource }: JsonObject, { type, seen, place }: InBundle): Finding[] {
  if (typeof fullUrl !== 'string') return [];
  if (fullUrl.includes('/_history/')) return [broken(place, 'bdl-8', 'a fullUrl must not name a version')];
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:./.test(fullUrl)) return [{ place, diagnostics: 'A fullUrl must be absolute.', code: 'value' }];
  const { id, meta, resourceType } = (resource ?? {}) as {
    readonly id?: unknown;
    readonly meta?: { readonly versionId?: unknown };
    readonly resourceType?: unknown;
  };
  const identity = `${fullUrl} ${typeof meta?.versionId === 'string' ? meta.versionId : ''}`;
  if (type !== 'history' && seen.has(identity)) return [broken(place, 'bdl-7', 'a fullUrl must be unique in a bundle unless the versions differ')];
  seen.add(identity);
  // Only a URL whose last two parts are this type and an id speaks of the same resource; anything else is an identity of its own.
  const [, urlType, urlId] = /^https?:\/\/.*\/([A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})$/.exec(fullUrl) ?? [];
  if (typeof id !== 'string' || urlType !== resourceType || urlId === id) return [];
  // Official examples do it.
  return [{ place, diagnostics: 'The fullUrl names another id than the resource has.', code: 'value', severity: 'warning' }];
}
