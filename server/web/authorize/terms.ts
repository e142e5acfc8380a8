/**
 * The Consent that an app's request comes to, of what the patient left of it. authorization.md §3 ("App authorization is a Consent")
 *
 * Invariant: it names this app and nobody else, one purpose, a first and a last moment, and no kind of resource that was not left on the page.
 */
import type { ResourceDocument, ResourceValue } from '../../consent/gate.ts';

export const daysOffered = ['1', '30', '90', '365'] as const;
export const spansOffered = ['all', '1y', '5y'] as const;
type Days = (typeof daysOffered)[number];
type SpanOffered = (typeof spansOffered)[number];

const DAY_MS = 86_400_000;
const years: Readonly<Record<SpanOffered, number | undefined>> = { all: undefined, '1y': 1, '5y': 5 };

export type Terms = {
  /** `Patient/1` */
  readonly patient: string;
  /** `Organization/1`, which keeps the record. */
  readonly custodian: string;
  readonly client: { readonly id: string; readonly name: string };
  readonly purpose: string;
  readonly scopes: readonly string[];
  readonly days: Days;
  readonly since: SpanOffered;
  /** ms since 1970. */
  readonly now: number;
};

/** What a form says of both; undefined where it says something that was not on the page. */
export function offered(days: string | null, since: string | null): Pick<Terms, 'days' | 'since'> | undefined {
  const [d, s] = [daysOffered.find((each) => each === days), spansOffered.find((each) => each === since)];
  return d && s && { days: d, since: s };
}

/** `until`: when it ends, ms since 1970. */
export function appConsent(terms: Terms): { readonly consent: ResourceDocument; readonly until: number } {
  const { patient, custodian, client, purpose, now } = terms;
  const from = now - (now % 1000);
  const until = from + Number(terms.days) * DAY_MS;
  const kinds = kindsOf(terms.scopes);
  const since = years[terms.since];
  const value: ResourceValue = {
    resourceType: 'Consent',
    status: 'active',
    scope: coded('http://terminology.hl7.org/CodeSystem/consentscope', 'patient-privacy'),
    category: [coded('http://loinc.org', '59284-0')],
    patient: { reference: patient },
    dateTime: new Date(now).toISOString(),
    organization: [{ reference: custodian }],
    provision: {
      type: 'permit',
      period: { start: new Date(from).toISOString(), end: new Date(until).toISOString() },
      actor: [
        {
          role: coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'IRCP'),
          reference: { reference: deviceOf(client), display: client.name },
        },
      ],
      purpose: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: purpose }],
      ...(kinds ? { class: kinds.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) } : {}),
      ...(since === undefined ? {} : { dataPeriod: { start: yearsBefore(now, since) } }),
    },
  };
  return { consent: { value, text: JSON.stringify(value) }, until };
}

/** An app is, as an actor, the Device of its client id. */
export const deviceOf = ({ id }: { readonly id: string }): string => `Device/${id}`;

/** Undefined: every kind. A query of a scope narrows further, in the token. */
function kindsOf(scopes: readonly string[]): readonly string[] | undefined {
  const types = scopes.map((scope) => /^\w+\/([\w*]+)\./.exec(scope)?.[1] ?? '');
  return types.includes('*') ? undefined : [...new Set(types)].sort();
}

function yearsBefore(now: number, years: number): string {
  const date = new Date(now);
  date.setUTCFullYear(date.getUTCFullYear() - years);
  return date.toISOString().slice(0, 10);
}

function coded(system: string, code: string) {
  return { coding: [{ system, code }] };
}
