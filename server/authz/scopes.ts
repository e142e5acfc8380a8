/**
 * SMART scopes: one grammar for registration, token requests and access checks.
 * https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 *
 * Invariant: what is not understood grants nothing. A word that is shaped like a SMART scope but has undefined or out-of-order letters,
 * or a `?query`, is an error and never a wider scope.
 */
import type { Caller, SmartScope } from '../consent/model.ts';

export const ADMIN_SCOPE = 'admin';

export type ScopeLetter = 'c' | 'r' | 'u' | 'd' | 's';

const shape = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]*)\.(read|write|\*|c?r?u?d?s?)$/;
const versionOne: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** undefined: not a SMART scope of this grammar. */
export function parseScope(word: string): SmartScope | undefined {
  const [, context, type, written] = shape.exec(word) ?? [];
  if (context === undefined || type === undefined || written === undefined || written === '') return undefined;
  return { context: context as SmartScope['context'], type, letters: versionOne[written] ?? written };
}

/** Words of a space-separated scope; the malformed ones apart, for a clear refusal. */
export function readScopes(text: string): { readonly known: readonly string[]; readonly malformed: readonly string[] } {
  const words = [...new Set(text.split(' ').filter((word) => word !== ''))];
  const known = words.filter((word) => word === ADMIN_SCOPE || parseScope(word) !== undefined);
  // Words without a slash (openid, offline_access) are other people's scopes: not granted, but no mistake either.
  const malformed = words.filter((word) => word.includes('/') && parseScope(word) === undefined && !word.startsWith('launch/'));
  return { known, malformed };
}

/**
 * What a client gets without a user: requested ∩ registered, scope by scope. A request that lies inside the registration comes back as it
 * was written; one that reaches further is cut down to what both hold. patient/ and user/ need a person and are never granted here.
 */
export function grantToSystem(requested: readonly string[], registered: readonly string[]): readonly string[] {
  const granted = requested.flatMap((word) => {
    if (word === ADMIN_SCOPE) return registered.includes(ADMIN_SCOPE) ? [word] : [];
    const wanted = parseScope(word);
    if (wanted?.context !== 'system') return [];
    return registered.flatMap((held) => {
      const common = intersect(wanted, parseScope(held));
      return common === undefined ? [] : [same(common, wanted) ? word : written(common)];
    });
  });
  return [...new Set(granted)];
}

function intersect(a: SmartScope, b: SmartScope | undefined): SmartScope | undefined {
  if (b === undefined || a.context !== b.context) return undefined;
  if (a.type !== '*' && b.type !== '*' && a.type !== b.type) return undefined;
  const letters = [...a.letters].filter((letter) => b.letters.includes(letter)).join('');
  return letters === '' ? undefined : { context: a.context, type: a.type === '*' ? b.type : a.type, letters };
}

function same(a: SmartScope, b: SmartScope): boolean {
  return a.context === b.context && a.type === b.type && a.letters === b.letters;
}

function written({ context, type, letters }: SmartScope): string {
  return `${context}/${type}.${letters}`;
}

/** Whether the token's scopes hold this letter for this type. `patient/` and `user/` count too; what they reach is the Gate's concern. */
export function allows(caller: Pick<Caller, 'scopes'>, letter: ScopeLetter, type: string): boolean {
  return caller.scopes.some((scope) => (scope.type === '*' || scope.type === type) && scope.letters.includes(letter));
}
