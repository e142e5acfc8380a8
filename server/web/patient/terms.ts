/**
 * What a Consent says in short, in the reader's words: who, why, what and how long. https://hl7.org/fhir/R4/consent.html
 * Invariant: what the short words leave out is said to be left out: the words that are signed stand beside them (sign.ts).
 */
import { displayOf } from '../../consent/workflow.ts';
import { type Html, html } from '../html.ts';
import { day } from './dates.ts';
import type { Visitor } from './frame.ts';
import { typeName } from './record.ts';

type Coding = { readonly code?: string };
type Reference = { readonly reference?: string; readonly display?: string };
type Provision = {
  readonly type?: string;
  readonly period?: { readonly start?: string; readonly end?: string };
  readonly actor?: readonly { readonly reference?: Reference }[];
  readonly purpose?: readonly Coding[];
  readonly class?: readonly Coding[];
};
export type ConsentTerms = { readonly organization?: readonly Reference[]; readonly provision?: Provision };

const inShort = new Set(['type', 'period', 'actor', 'purpose', 'class']);

/** By reference, as namesOf finds them; who has none is called by their reference. */
export type Names = ReadonlyMap<string, string>;

const referenceOf = ({ reference, display }: Reference): string => reference ?? display ?? '';

/** References of those whom it names. */
export function partiesOf({ organization = [], provision }: ConsentTerms): readonly string[] {
  return [...(provision?.actor ?? []).map(({ reference = {} }) => referenceOf(reference)), ...organization.map(referenceOf)];
}

/** Who may read by it, by name. */
export function readersOf({ words }: Visitor, { provision }: ConsentTerms, names: Names): string {
  const references = (provision?.actor ?? []).map(({ reference = {} }) => referenceOf(reference));
  return references.length === 0 ? words.consents.anyone : references.map((each) => names.get(each) ?? each).join(words.comma);
}

export function custodiansOf({ words }: Visitor, { organization = [] }: ConsentTerms, names: Names): string {
  return organization.map((each) => names.get(referenceOf(each)) ?? referenceOf(each)).join(words.comma);
}

/** `more`: rows of a description list, above the others. */
export function termsList(visitor: Visitor, terms: ConsentTerms, { names, more }: { readonly names: Names; readonly more?: Html }): Html {
  const { words, language } = visitor;
  const { consents } = words;
  const { provision = {} } = terms;
  const purposes = provision.purpose?.map(({ code = '' }) => words.purposes[code] ?? displayOf('purposes', code, language));
  const types = provision.class?.map(({ code = '' }) => typeName(words, code));
  const custodians = custodiansOf(visitor, terms, names);
  const furthers = Object.keys(provision).some((name) => !inShort.has(name));
  return html`${provision.type === 'permit' ? undefined : html`<p class="bad">${consents.forbids}</p>`}
<dl>${more}
<dt>${consents.why}</dt><dd>${purposes?.join(words.comma) ?? consents.anyPurpose}</dd>
<dt>${consents.what}</dt><dd>${types?.join(words.comma) ?? consents.everything}</dd>
<dt>${consents.howLong}</dt><dd>${spanOf(visitor, provision.period)}</dd>
${custodians === '' ? undefined : html`<dt>${consents.keeper}</dt><dd>${custodians}</dd>`}
</dl>
${furthers ? html`<p class="soft">${consents.further}</p>` : undefined}`;
}

/** Dates without the time of day. */
function spanOf({ words, language }: Visitor, { start, end }: NonNullable<Provision['period']> = {}): Html {
  const { from, until, endless } = words.consents;
  const [first, last] = [start, end].map((date) => date && day(date, language));
  const begins = first === undefined ? undefined : html`${from} ${first} `;
  return html`${begins}${last === undefined ? endless : html`${until} ${last}`}`;
}
