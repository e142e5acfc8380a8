/**
 * Reads the members of a JSON object an administrator sent: every problem is found and named, and an unknown member is one.
 * Invariant: values are never echoed, so a secret sent in the wrong member does not come back in an error.
 */
import { AssentError, type Issue } from '../errors.ts';

/** Gives what is wrong with the value, as the end of a sentence that starts with the member's name; undefined: nothing. */
export type Check = (value: unknown) => string | undefined;

export type JsonObject = { readonly [member: string]: unknown };

/** Throws AssentError('invalid-request') with one issue per problem. */
export function readObject(input: unknown, members: Readonly<Record<string, Check>>, required: readonly string[]): JsonObject {
  if (!isObject(input)) throw new AssentError('invalid-request', 'The body must be a JSON object.');
  const issues: Issue[] = [];
  for (const name of required) {
    if (!Object.hasOwn(input, name)) issues.push(issue(name, 'is required'));
  }
  for (const [name, value] of Object.entries(input)) {
    const problem = Object.hasOwn(members, name) ? members[name]?.(value) : 'is not a member of this request';
    if (problem !== undefined) issues.push(issue(name, problem));
  }
  refuse(issues);
  return input;
}

export function refuse(issues: readonly Issue[]): void {
  if (issues.length > 0) throw new AssentError('invalid-request', issues);
}

export function issue(member: string, problem: string): Issue {
  const name = /^\w{1,64}$/.test(member) ? member : 'a member';
  return { diagnostics: `${name} ${problem}.`, expression: [name] };
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(pattern: RegExp, problem: string): Check {
  return (value) => (typeof value === 'string' && pattern.test(value) ? undefined : problem);
}

/** A non-empty array of distinct strings, each passing the check. */
export function listOf(check: Check, { empty = false }: { readonly empty?: boolean } = {}): Check {
  return (value) => {
    if (!Array.isArray(value) || (value.length === 0 && !empty)) return empty ? 'must be an array' : 'must be an array that is not empty';
    if (new Set(value).size !== value.length) return 'must not name the same twice';
    return value.map(check).find((problem) => problem !== undefined);
  };
}

const ids = '[A-Za-z0-9.-]{1,64}';

/** A literal relative reference to one of these types. */
export function referenceTo(types: readonly string[]): Check {
  return text(new RegExp(`^(${types.join('|')})/${ids}$`), `must be a reference Type/id to one of ${types.join(', ')}`);
}
