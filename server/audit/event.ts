/**
 * The AuditEvent of one act, as exact text. https://hl7.org/fhir/R4/auditevent.html
 *
 * Invariant: an event names at most one patient. A response about several patients is several events, so that each patient
 * can be shown every access to their own record and nothing about anyone else.
 */
import type { ResourceValue } from '../fhir/resource.ts';

/** What happened, for one patient (or for none). Times in ms since 1970. */
export type Act = {
  readonly interaction: keyof typeof actions;
  readonly outcome: 'done' | 'refused';
  readonly client: string;
  /** FHIR reference of the party the client acts for. */
  readonly actor: string;
  readonly purpose: string;
  /** Logical id of the one patient concerned. */
  readonly patient: string | undefined;
  /**
   * Of an act whose sender must not learn whom it concerns: all of them, be it nobody. Where they are several it is one event that names none of them and is for
   * each of them to read.
   */
  readonly concerned?: readonly string[];
  /** References `Type/id/_history/version` of what was disclosed or written. */
  readonly what: readonly string[];
  /** References of the Consent versions the decision rested on. */
  readonly basis: readonly string[];
  /** The search as its sender wrote it; absent in events that others may see. */
  readonly query?: string;
  /** Of breaking the glass: why, in the words of who did. */
  readonly reason?: string;
};

const actions = {
  read: 'R',
  vread: 'R',
  'search-type': 'E',
  'search-system': 'E',
  'history-instance': 'R',
  'history-type': 'R',
  'history-system': 'R',
  create: 'C',
  update: 'U',
  patch: 'U',
  delete: 'D',
  transaction: 'E',
  operation: 'E',
} as const;

export function auditEvent(
  act: Act,
  stamp: { readonly id: string; readonly version: string; readonly recorded: number; readonly observer: string },
): ResourceValue {
  const recorded = new Date(stamp.recorded).toISOString();
  return {
    resourceType: 'AuditEvent',
    id: stamp.id,
    meta: { versionId: stamp.version, lastUpdated: recorded },
    type: { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' },
    subtype: [{ system: 'http://hl7.org/fhir/restful-interaction', code: act.interaction }],
    action: actions[act.interaction],
    recorded,
    outcome: act.outcome === 'done' ? '0' : '4',
    purposeOfEvent: [
      {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: act.purpose }],
        ...(act.reason === undefined ? {} : { text: act.reason }),
      },
    ],
    agent: [{ who: { reference: act.actor }, altId: act.client, requestor: true }],
    source: { observer: { display: stamp.observer } },
    ...entities(act),
  };
}

/** More than this many are counted, not listed: a bulk write names its patient and says how many. */
const MOST_LISTED = 1000;

function entities(act: Act): { entity?: object[] } {
  const what = act.what.length > MOST_LISTED ? [countedEntity(act.what.length)] : act.what.map(disclosedEntity);
  const entity = [...patientEntity(act.patient), ...what, ...act.basis.map(basisEntity), ...queryEntity(act.query)];
  // FHIR has no empty arrays.
  return entity.length > 0 ? { entity } : {};
}

function countedEntity(count: number): object {
  return { role: objectRole('4'), detail: [{ type: 'count', valueString: String(count) }] };
}

const objectRole = (code: string) => ({ system: 'http://terminology.hl7.org/CodeSystem/object-role', code });

function patientEntity(patient: string | undefined): object[] {
  return patient === undefined ? [] : [{ what: { reference: `Patient/${patient}` }, role: objectRole('1') }];
}

function disclosedEntity(reference: string): object {
  return { what: { reference }, role: objectRole('4') };
}

function basisEntity(reference: string): object {
  return { what: { reference }, role: objectRole('13') };
}

function queryEntity(query: string | undefined): object[] {
  return query === undefined ? [] : [{ role: objectRole('24'), query: Buffer.from(query, 'utf8').toString('base64') }];
}
