/**
 * Whether the facets that are kept with a version are such as its text can have. Decisions rest on the facets alone, so whoever edits them in the
 * database shows what no Consent shows: this is for whoever looks through a database (`assent fsck --index`). consent.md §3 (pushdown)
 *
 * Invariant: of what the server wrote nothing is a contradiction. Facets that do not follow from the text are taken as they are: who wrote it, whose
 * act it records, what it kept from the version before, whom an identifier led to, and what was looked up elsewhere when it was written.
 */
import { isObject, type ResourceValue } from '../fhir/resource.ts';
import {
  ANY_CODE,
  ANY_SUBJECT,
  AUTHOR,
  facet,
  facetsOf,
  FOUND,
  LABELLED_BY,
  NOBODY,
  PATIENT,
  RANK,
  REFERENCES_KEPT,
  REFERS_TO,
  SEALED,
  SENSITIVITY,
  SOURCE,
  SUBJECT,
  UNKNOWN_CODE,
  UNKNOWN_PART,
  UNKNOWN_PATIENT,
  UNKNOWN_TARGET,
  WHEN,
} from './facets.ts';
import { type Labelling, labelsByCode } from './labelling.ts';

/** `deleted`: such a version has no text. */
export type KeptVersion = {
  readonly type: string;
  readonly id: string;
  readonly version: string;
  readonly deleted: boolean;
  readonly body: string;
  readonly keys: readonly string[];
};

/** `base`: our own FHIR base URL, as of the server that wrote it. `earlier`: whom versions before it named, as keys; who may not drop a patient keeps them. */
type Rules = { readonly base: string; readonly labelling: Labelling; readonly earlier?: ReadonlySet<string> };

/** Types of which the server writes some itself: no Consent reaches these. */
const RECORDED = new Set(['AuditEvent', 'Consent', 'Provenance', 'Task']);
/** Told by what was looked up, as far as it was found; whom an identifier led to once may be so for good. */
const LOOKED_UP = [UNKNOWN_CODE, UNKNOWN_PART, UNKNOWN_TARGET, SUBJECT];
const CODE = '~code/';
/** What a Consent may permit by: one too many opens. */
const PERMITTED_BY = [CODE, WHEN, AUTHOR, REFERS_TO];

/** What is wrong, in words that go behind the name of the version; undefined: nothing. */
export function contradiction(kept: KeptVersion, rules: Rules): string | undefined {
  const { type, id, version, deleted, body } = kept;
  if (deleted) return body === '' ? undefined : 'is marked deleted and has a text';
  const resource = parsed(body);
  if (!resource) return 'has a text that cannot be read';
  const meta = resource['meta'];
  const isItself = resource.resourceType === type && resource['id'] === id && isObject(meta) && meta['versionId'] === version;
  if (!isItself) return 'has the text of another resource or version';
  const stored = new Set(kept.keys);
  if (stored.has(SEALED) && !RECORDED.has(type)) return 'is marked as written by the server itself';
  const told = toldBy(resource, { base: rules.base, sealed: stored.has(SEALED) });
  if (isMissing(told, stored) || isUnlabelled(told, stored, rules)) return 'is decided by less than its text says';
  return isWidened(told, stored, rules) ? WIDENED : undefined;
}

/** May be for what versions before it said. */
export const WIDENED = 'is decided by what its text does not say';

/** Whom its text names, as keys. */
export function patientsTold({ body }: Pick<KeptVersion, 'body'>, base: string): readonly string[] {
  const resource = parsed(body);
  return resource ? [...toldBy(resource, { base, sealed: false })].filter((key) => key.startsWith(PATIENT)) : [];
}

function toldBy(resource: ResourceValue, { base, sealed }: { readonly base: string; readonly sealed: boolean }): ReadonlySet<string> {
  const facets = facetsOf(resource, { writer: '', base, sealed, lookup: () => undefined });
  return new Set(facets.filter((key) => key !== facet.writer('')));
}

function parsed(body: string): ResourceValue | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) && typeof value['resourceType'] === 'string' ? (value as ResourceValue) : undefined;
  } catch {
    return undefined;
  }
}

function isMissing(told: ReadonlySet<string>, stored: ReadonlySet<string>): boolean {
  // Somebody named by an identifier may have been found meanwhile; who cannot be found at all stays unknown.
  const somebody = told.has(ANY_SUBJECT) && !told.has(NOBODY) ? [UNKNOWN_PATIENT] : [];
  const closes = (key: string) => key === REFERENCES_KEPT || (!stored.has(REFERENCES_KEPT) && REFERENCED.some((prefix) => key.startsWith(prefix)));
  return [...told].some(
    (key) =>
      !stored.has(key) && !LOOKED_UP.some((prefix) => key.startsWith(prefix)) && !somebody.includes(key) && !key.startsWith(RANK) && !closes(key),
  );
}

/** Without REFERENCES_KEPT it may refer to anything: every deny by these holds. */
const REFERENCED = [REFERS_TO, '~is/', '~pauthor/'];

/** A label stated, or one that its codes stand for by the rules it was labelled by. */
function isUnlabelled(told: ReadonlySet<string>, stored: ReadonlySet<string>, { labelling }: Rules): boolean {
  if (rankIn(stored) < rankIn(told)) return true;
  if (stored.has(SEALED) || !stored.has(facet.labelledBy(labelling.rules))) return false;
  if ([...stored].filter((key) => key.startsWith(LABELLED_BY)).length > 1) return true;
  const codes = [...told, ...stored].filter((key) => key.startsWith(ANY_CODE));
  return [...labelsByCode(codes, labelling)].some((label) => !stored.has(SENSITIVITY + label));
}

function rankIn(keys: ReadonlySet<string>): number {
  const ranks = [...keys].flatMap((key) => (key.startsWith(RANK) ? [Number(key.slice(RANK.length))] : []));
  // Several: whoever added one wanted the least to hold.
  return ranks.length === 0 ? -1 : Math.min(...ranks);
}

function isWidened(told: ReadonlySet<string>, stored: ReadonlySet<string>, { earlier = nobody }: Rules): boolean {
  const has = (keys: ReadonlySet<string>, prefix: string) => [...keys].some((key) => key.startsWith(prefix));
  // Beside a patient whom the text names, one more is one more to be asked.
  const isFound = has(stored, FOUND) || told.has(ANY_SUBJECT) || has(told, SOURCE) || stored.has(UNKNOWN_PATIENT);
  if (!isFound && !has(told, PATIENT) && [...stored].some((key) => key.startsWith(PATIENT) && !earlier.has(key))) return true;
  const permits = (key: string) => PERMITTED_BY.some((prefix) => key.startsWith(prefix)) && !(key.startsWith(CODE) && told.has(UNKNOWN_CODE));
  return [...stored].some((key) => !told.has(key) && permits(key));
}

const nobody: ReadonlySet<string> = new Set();
