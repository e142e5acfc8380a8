/**
 * Less than what a Consent that is asked for would permit: fewer kinds of records, or a shorter time, and nothing else changed. Pure. consent.md §5
 * Invariant: what the narrowed one permits, the one asked for would have permitted as well.
 */
import { AssentError } from '../errors.ts';
import { parseDate } from '../fhir/dates.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { isObject, type ResourceValue } from '../fhir/resource.ts';
import { compileConsent } from './compile.ts';

/** `types`: the kinds of records that are left. `until`: the last day, `2027-01-31`. Absent: as asked for. */
export type Narrowing = { readonly types?: readonly string[] | undefined; readonly until?: string | undefined };

const RESOURCE_TYPES = 'http://hl7.org/fhir/resource-types';
const DAY = /^\d{4}-\d\d-\d\d$/;

/** The provision in its place. `now`: ms since 1970. Throws AssentError('invalid-consent') for what would not be less. */
export function narrowedProvision(consent: ResourceValue, { types, until }: Narrowing, now: number): object {
  const { root } = compileConsent(consent, { now });
  if (root.type !== 'permit' || root.nested.some(({ beside }) => beside))
    throw refused('Only what permits, and is read from the outside in, can be narrowed: approve it or refuse it as it is.');
  const provision = consent['provision'] as Readonly<Record<string, unknown>>;
  const kinds = types === undefined ? {} : { class: keptKinds(provision['class'], types) };
  const period = until === undefined ? {} : { period: { ...(isObject(provision['period']) ? provision['period'] : {}), end: dayIn(until) } };
  const narrowed = { ...provision, ...kinds, ...period };
  const after = compileConsent({ ...consent, provision: narrowed }, { now }).root;
  const [before, later] = [root, after].map(({ period }) => period?.high ?? Infinity) as [number, number];
  if (later > before) throw refused('The last day is later than what was asked for.');
  const fewer = types !== undefined && (root.classes === undefined || new Set(types).size < new Set(root.classes).size);
  if (later === before && !fewer) throw refused('Nothing was taken away from what was asked for.');
  return narrowed;
}

function keptKinds(asked: unknown, types: readonly string[]): readonly object[] {
  const codings = Array.isArray(asked) ? asked.filter(isObject) : undefined;
  const known = (type: string) => isResourceType(type) && (codings?.some(({ code }) => code === type) ?? true);
  if (types.length === 0) throw refused('No kind of records is left: refuse it instead.');
  if (!types.every(known)) throw refused('A kind of records was not asked for.');
  return codings?.filter(({ code }) => types.includes(String(code))) ?? [...new Set(types)].map((code) => ({ system: RESOURCE_TYPES, code }));
}

function dayIn(until: string): string {
  if (!DAY.test(until) || !parseDate(until)) throw refused('The last day is no date.');
  return until;
}

function refused(diagnostics: string): AssentError {
  return new AssentError('invalid-consent', [{ diagnostics, expression: ['Consent.provision'] }]);
}
