/**
 * Value sets of sensitive codes on board, as lists: which codes each names, and which labels its useContext (focus) says they stand for.
 * https://hl7.org/fhir/R4/valueset.html#compositions; https://terminology.hl7.org/CodeSystem-usage-context-type.html
 *
 * Invariant: a set is understood whole or the server does not start: a code that is silently left out would be shown to those it is hidden from.
 */
import type { Definition, Package } from './packages/package.ts';
import { compareVersions } from './packages/profiles.ts';
import type { Include, ValueSet } from './packages/value-set.ts';
import type { SearchTerms } from './search-terms.ts';

type Sensitive = {
  readonly labels: readonly string[];
  readonly codes: readonly { readonly system: string; readonly code: string }[];
  readonly patterns: readonly { readonly system: string; readonly pattern: string }[];
};

const OWN = 'urn:assent:sensitive:';
const LABELS = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';

/** `wanted`: canonical URLs; empty: our own; `none`: nothing. Throws Error with a sentence about the first set that cannot be used. */
export function sensitiveCodes(wanted: readonly string[], packages: readonly Package[], { expand }: SearchTerms): readonly Sensitive[] {
  if (wanted.length === 1 && wanted[0] === 'none') return [];
  const onBoard = packages.flatMap(({ valueSets }) => valueSets);
  const urls = wanted.length > 0 ? wanted : [...new Set(onBoard.map(({ url }) => url).filter((url) => url.startsWith(OWN)))].sort();
  return urls.map((url) => {
    const set = newest(url, onBoard);
    if (!set) throw new Error(`ASSENT_SENSITIVE_VALUE_SETS: no package on board has the value set ${url}.`);
    const labels = labelsOf(set);
    if (labels.length === 0) throw new Error(`ASSENT_SENSITIVE_VALUE_SETS: ${url} has no useContext of focus with a code of ${LABELS}.`);
    return { labels, ...contentOf(url, set, expand) };
  });
}

function newest(canonical: string, sets: readonly Definition[]): ValueSet | undefined {
  const [url, version] = canonical.split('|');
  const [found] = sets
    .filter((one) => one.url === url && (version ?? one.version) === one.version)
    .toSorted((a, b) => compareVersions(b.version, a.version));
  return found && (JSON.parse(found.text) as ValueSet);
}

function labelsOf({ useContext = [] }: ValueSet): readonly string[] {
  return useContext.flatMap(({ code, valueCodeableConcept }) =>
    code?.code === 'focus'
      ? (valueCodeableConcept?.coding ?? []).flatMap((coding) => (coding.system === LABELS && coding.code !== undefined ? [coding.code] : []))
      : [],
  );
}

/** Code systems that are not on board can be named by what their codes look like: the filter `regex` on `code`. */
function contentOf(url: string, { compose, expansion }: ValueSet, expand: SearchTerms['expand']): Omit<Sensitive, 'labels'> {
  const include = compose?.include ?? [];
  const patterns = include.flatMap(patternOf);
  if (patterns.length === 0) return { codes: listed(url, expand(url)), patterns };
  if (expansion || (compose?.exclude ?? []).length > 0) throw new Error(`ASSENT_SENSITIVE_VALUE_SETS: ${url} has a pattern beside an exclusion.`);
  const codes = include.flatMap((one): Sensitive['codes'] => {
    if (patternOf(one).length > 0) return [];
    const { system, concept, filter = [], valueSet = [] } = one;
    if (system !== undefined && concept && filter.length === 0 && valueSet.length === 0)
      return concept.flatMap(({ code }) => (code === undefined ? [] : [{ system, code }]));
    const [only, ...others] = valueSet;
    return listed(url, system === undefined && only !== undefined && others.length === 0 ? expand(only) : undefined);
  });
  return { codes, patterns };
}

function patternOf({ system, concept, filter = [], valueSet = [] }: Include): Sensitive['patterns'] {
  const [only, ...others] = filter;
  if (system === undefined || concept || valueSet.length > 0 || others.length > 0) return [];
  return only?.property === 'code' && only.op === 'regex' && only.value !== undefined ? [{ system, pattern: only.value }] : [];
}

function listed(url: string, codes: Sensitive['codes'] | undefined): Sensitive['codes'] {
  if (codes) return codes;
  throw new Error(`ASSENT_SENSITIVE_VALUE_SETS: the codes of ${url} cannot be listed; name them, or a pattern of them (filter regex on code).`);
}
