/**
 * Whether a code is in a value set that R4 itself binds, by a table made from the definitions (test/support/value-set-table.ts).
 * https://hl7.org/fhir/R4/terminologies.html
 *
 * Invariant: a code is 'out' only when every code of its system in the set is on board; otherwise the answer is 'unknown', never a guess.
 */
import table from './value-sets.json' with { type: 'json' };

export type Membership = 'in' | 'out' | 'unknown';

export type ValueSets = {
  /** `valueSet`: canonical URL, with or without version. Without a system the code may be of any system of the set. */
  membership(valueSet: string, code: string, system?: string): Membership;
  /** The codes of a short set, to name in an answer; undefined when it is long or not on board. */
  short(valueSet: string): readonly string[] | undefined;
};

type Systems = { readonly codes: ReadonlyMap<string, ReadonlySet<string> | undefined>; readonly complete: boolean };

const NAMED_UP_TO = 24;

export function createValueSets(rows: Readonly<Record<string, Readonly<Record<string, readonly string[] | null>>>> = table): ValueSets {
  const known = new Map<string, Systems | undefined>();
  const find = (valueSet: string): Systems | undefined => {
    if (known.has(valueSet)) return known.get(valueSet);
    const url = valueSet.replace(/\|.*$/, '');
    const row = Object.hasOwn(rows, url) ? rows[url] : undefined;
    const systems = row && systemsOf(row);
    known.set(valueSet, systems);
    return systems;
  };
  return {
    membership(valueSet, code, system) {
      const grammatical = byGrammar(valueSet, code);
      if (grammatical) return grammatical;
      const found = find(valueSet);
      if (!found) return 'unknown';
      if (system !== undefined && found.codes.has(system)) {
        const codes = found.codes.get(system);
        if (!codes) return 'unknown';
        return codes.has(code) ? 'in' : 'out';
      }
      if (system === undefined) for (const codes of found.codes.values()) if (codes?.has(code)) return 'in';
      return found.complete || (system !== undefined && !found.codes.has('*')) ? 'out' : 'unknown';
    },
    short(valueSet) {
      const found = find(valueSet);
      if (!found?.complete) return undefined;
      const codes = [...found.codes.values()].flatMap((list) => [...(list ?? [])]);
      return codes.length <= NAMED_UP_TO ? codes : undefined;
    },
  };
}

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/**
 * Codes of systems that are a grammar (media types, language tags) or that the runtime brings (ISO 4217); undefined for other sets. What the
 * runtime does not know stays unknown: it may be newer.
 */
function byGrammar(valueSet: string, code: string): Membership | undefined {
  if (valueSet.startsWith('http://hl7.org/fhir/ValueSet/mimetypes')) return MEDIA_TYPE.test(code) ? 'in' : 'unknown';
  if (valueSet.startsWith('http://hl7.org/fhir/ValueSet/all-languages')) return isLanguageTag(code) ? 'in' : 'out';
  if (valueSet.startsWith('http://hl7.org/fhir/ValueSet/currencies')) return CURRENCIES.has(code) ? 'in' : 'unknown';
  return undefined;
}

/** https://www.rfc-editor.org/rfc/rfc5646#section-2.1 */
function isLanguageTag(code: string): boolean {
  try {
    return Intl.getCanonicalLocales(code).length === 1;
  } catch {
    return false;
  }
}

/** https://www.rfc-editor.org/rfc/rfc6838#section-4.2, with parameters. */
const MEDIA_TYPE = /^[A-Za-z0-9][\w!#$&^.+-]{0,126}\/[A-Za-z0-9][\w!#$&^.+-]{0,126}(\s?;\s?[^;\s]+)*$/;

function systemsOf(row: Readonly<Record<string, readonly string[] | null>>): Systems {
  const codes = new Map(Object.entries(row).map(([system, list]) => [system, list ? new Set(list) : undefined] as const));
  return { codes, complete: [...codes.values()].every((list) => list !== undefined) };
}
