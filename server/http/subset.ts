/**
 * `_summary` and `_elements` of a request: which part of each resource to answer with. https://hl7.org/fhir/R4/search.html#summary
 * Invariant: a part is cut from what the Gate released, after it: it can show less, never more.
 */
import { AssentError } from '../errors.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import { elementNamed, isSubset, type Subset, subsetText } from '../fhir/subset/subset.ts';
import type { FhirRequest } from './interaction.ts';
import { preferenceOf } from './prefer.ts';

/** Names a read takes for it; a search knows them itself. */
export const SUBSET_PARAMETERS = ['_summary', '_elements'] as const;

export type Part = {
  /** The part of a resource's text. */
  readonly of: (text: string) => string;
  /** What was asked for and is not there, in words. */
  readonly warnings: readonly string[];
};

export const WHOLE: Part = { of: (text) => text, warnings: [] };

type Asked = { readonly type: string; readonly parameters: URLSearchParams; readonly handling: 'strict' | 'lenient' };

const summaries: Readonly<Record<string, Subset | 'whole' | undefined>> = Object.assign(
  Object.create(null) as object,
  {
    true: { by: 'true' },
    text: { by: 'text' },
    data: { by: 'data' },
    false: 'whole',
    // No resource is sent at all.
    count: 'whole',
  } as const,
);

/** Throws AssentError('invalid-request'). `type` '': resources of several types. */
export function partOf({ type, parameters, handling }: Asked): Part {
  const summary = parameters.get('_summary');
  // Of a value there is not, the search room has told the caller, readPart too.
  const wanted = (summary === null ? undefined : summaries[summary]) ?? 'whole';
  const names = (parameters.get('_elements') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) return wanted === 'whole' ? WHOLE : { of: (text) => subsetText(text, wanted), warnings: [] };
  if (wanted !== 'whole') throw new AssentError('invalid-request', '_summary and _elements cannot be combined.');
  return elements({ type, handling }, names);
}

/** Of an interaction that has no count of its own. Before anything is read: what cannot be answered must not stand in the audit as disclosed. */
export function readPart({ type, query: parameters, header }: Pick<FhirRequest, 'type' | 'query' | 'header'>): Part {
  const summary = parameters.get('_summary') ?? 'false';
  if (summary === 'count') throw new AssentError('invalid-request', '_summary=count is for searches.');
  if (summaries[summary] === undefined) throw new AssentError('invalid-request', '_summary must be one of true, text, data and false.');
  const repeated = SUBSET_PARAMETERS.find((name) => parameters.getAll(name).length > 1);
  if (repeated !== undefined) throw new AssentError('invalid-request', `${repeated} may be given once.`);
  return partOf({ type, parameters, handling: preferenceOf(header('prefer')).handling });
}

function elements({ type, handling }: Pick<Asked, 'type' | 'handling'>, names: readonly string[]): Part {
  const unknown = type === '' ? [] : names.filter((name) => elementNamed(type, local(name)) === undefined);
  const warnings = unknown.map((name) => `The name ${printable(name)} in _elements is no element of ${type}.`);
  const [first] = warnings;
  if (first !== undefined && handling === 'strict') throw new AssentError('invalid-request', first);
  const byType = new Map<string, ReadonlySet<string>>();
  const namesOf = (of: string): ReadonlySet<string> => {
    const known = byType.get(of) ?? new Set(names.flatMap((name) => elementNamed(of, local(name)) ?? []));
    byType.set(of, known);
    return known;
  };
  return { of: (text) => subsetText(text, { by: 'elements', names: namesOf(typeIn(text)) }), warnings };
}

/** A name may carry its type, as in `Patient.name`. */
function local(name: string): string {
  return name.replace(/^[A-Z]\w*\./, '');
}

function typeIn(text: string): string {
  return /"resourceType":"(\w+)"/.exec(text)?.[1] ?? '';
}

/** A name comes from outside: shown, but short and without control characters. */
function printable(name: string): string {
  return `"${name.slice(0, 80).replace(/[^\x20-\x7e]|["\\]/g, '?')}"`;
}

/** Warnings where the answer has no outcome of its own. RFC 7234 §5.5 */
export function warningHeaders(warnings: readonly string[]): Record<string, string> {
  return warnings.length === 0
    ? {}
    : {
        warning: warnings
          .slice(0, 5)
          .map((text) => `199 - "${text.replaceAll('"', "'")}"`)
          .join(', '),
      };
}

/** What was read as a part would overwrite the whole with it. */
export function refuseSubset(value: ResourceValue): void {
  if (!isSubset(value)) return;
  const words = 'This is a part of a resource (tagged SUBSETTED): read the whole, change it, and send that.';
  throw new AssentError('invalid-resource', [{ code: 'business-rule', diagnostics: words, expression: [`${value.resourceType}.meta.tag`] }]);
}
