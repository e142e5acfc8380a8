/**
 * SMART scopes: one grammar for registration, token requests and access checks.
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * Invariant: what is not understood grants nothing. A word that is shaped like a SMART scope but has undefined or out-of-order letters, or a
 * query that is more than plain search parameters, is an error and never a wider scope.
 */
import { type Caller, type Role, roles, type SmartScope } from '../consent/model.ts';

export const ADMIN_SCOPE = 'admin';
/** One duty of administration, e.g. `admin/auditor`. */
const ROLE_SCOPE = `${ADMIN_SCOPE}/`;
/** Of a client's own token: it may tell in which context an app is opened. */
export const LAUNCH_SCOPE = 'launch';
/** What an app asks of a person besides access to records. */
export const contextScopes = ['openid', 'fhirUser', 'launch', 'launch/patient', 'offline_access', 'online_access'] as const;

export type ScopeLetter = 'c' | 'r' | 'u' | 'd' | 's';

const shape = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]*)\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?$/;
const versionOne: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };
/** No chains, no _has, nothing that shapes the answer: each says something of the resource itself. */
const criterion = /^(?:[a-z][a-z-]*|_(?:id|tag|security|profile|source|lastUpdated))(?::[a-z-]+)?=[^&=]+$/;

/** The duty that a word names, if it is one. */
export function roleOf(word: string): Role | undefined {
  return roles.find((role) => word === ROLE_SCOPE + role);
}

/** A word of ours that is no SMART scope: it is held as it is or not at all. */
export function isOwnScope(word: string): boolean {
  return word === ADMIN_SCOPE || word === LAUNCH_SCOPE || roleOf(word) !== undefined;
}

/** undefined: not a SMART scope of this grammar. */
export function parseScope(word: string): SmartScope | undefined {
  const [, context, type, written, query] = shape.exec(word) ?? [];
  if (context === undefined || type === undefined || written === undefined || written === '') return undefined;
  const scope = { context: context as SmartScope['context'], type, letters: versionOne[written] ?? written };
  if (query === undefined) return scope;
  // A query says what is seen; a written resource can be any.
  const usable = type !== '*' && /^r?s?$/.test(scope.letters) && query.split('&').every((part) => criterion.test(part));
  return usable ? { ...scope, query } : undefined;
}

/** Words of a space-separated scope; the malformed ones apart, for a clear refusal. */
export function readScopes(text: string): { readonly known: readonly string[]; readonly malformed: readonly string[] } {
  const words = wordsOf(text);
  const known = words.filter((word) => isOwnScope(word) || parseScope(word) !== undefined);
  // Words without a slash (openid, offline_access) are other people's scopes: not granted, but no mistake either.
  const malformed = words.filter((word) => word.includes('/') && !known.includes(word) && !word.startsWith('launch/'));
  return { known, malformed };
}

export function wordsOf(text: string): readonly string[] {
  return [...new Set(text.split(' ').filter((word) => word !== ''))];
}

/**
 * What a client gets without a user: requested ∩ registered, scope by scope. A request that lies inside the registration comes back as it
 * was written; one that reaches further is cut down to what both hold. patient/ and user/ need a person and are never granted here.
 */
export function grantToSystem(requested: readonly string[], registered: readonly string[]): readonly string[] {
  const granted = requested.flatMap((word) => {
    if (isOwnScope(word)) return registered.includes(word) ? [word] : [];
    return cut([word], registered, (context) => context === 'system');
  });
  return [...new Set(granted)];
}

/** What an app can ask a person for: only patient/ and user/ scopes, and of these what reads; requested ∩ registered as for a client alone. */
export function grantByPerson(requested: readonly string[], registered: readonly string[]): readonly string[] {
  const reading = registered.flatMap((word) => {
    const scope = parseScope(word);
    const letters = scope?.letters.replaceAll(/[^rs]/g, '') ?? '';
    return scope && letters !== '' ? [writtenScope({ ...scope, letters })] : [];
  });
  return cut(requested, reading, (context) => context !== 'system');
}

function cut(requested: readonly string[], registered: readonly string[], isFor: (context: SmartScope['context']) => boolean): readonly string[] {
  const granted = requested.flatMap((word) => {
    const wanted = parseScope(word);
    if (!wanted || !isFor(wanted.context)) return [];
    return registered.flatMap((held) => {
      const common = intersect(wanted, parseScope(held));
      return common === undefined ? [] : [same(common, wanted) ? word : writtenScope(common)];
    });
  });
  return [...new Set(granted)];
}

function intersect(a: SmartScope, b: SmartScope | undefined): SmartScope | undefined {
  if (b === undefined || a.context !== b.context) return undefined;
  if (a.type !== '*' && b.type !== '*' && a.type !== b.type) return undefined;
  // Two different queries: what both hold is no scope that can be written.
  if (a.query !== undefined && b.query !== undefined && a.query !== b.query) return undefined;
  const query = a.query ?? b.query;
  const held = [...a.letters].filter((letter) => b.letters.includes(letter)).join('');
  const letters = query === undefined ? held : held.replaceAll(/[^rs]/g, '');
  const type = a.type === '*' ? b.type : a.type;
  return letters === '' ? undefined : { context: a.context, type, letters, ...(query === undefined ? {} : { query }) };
}

function same(a: SmartScope, b: SmartScope): boolean {
  return a.context === b.context && a.type === b.type && a.letters === b.letters && a.query === b.query;
}

export function writtenScope({ context, type, letters, query }: SmartScope): string {
  return `${context}/${type}.${letters}${query === undefined ? '' : `?${query}`}`;
}

/** Whether the token's scopes hold this letter for this type. `patient/` and `user/` count too; what they reach is the Gate's concern. */
export function allows(caller: Pick<Caller, 'scopes'>, letter: ScopeLetter, type: string): boolean {
  return caller.scopes.some((scope) => (scope.type === '*' || scope.type === type) && scope.letters.includes(letter));
}
