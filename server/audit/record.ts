/**
 * Turns acts into AuditEvents and log rows, ready for one commit. The Gate commits them before the first byte of an answer
 * leaves (or together with the write they tell of): no audit, no body.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { newId, newVersion } from '../fhir/ids.ts';
import { type Act, auditEvent } from './event.ts';
import type { KeysOf } from './keys.ts';

/** One recorded act: the AuditEvent as it will be stored, and its entry for the log. */
export type Recorded = {
  readonly id: string;
  readonly resource: {
    readonly type: 'AuditEvent';
    readonly id: string;
    readonly version: string;
    readonly lastUpdated: number;
    readonly instant: number;
    readonly deleted: false;
    readonly body: string;
    readonly keys: readonly string[];
  };
  readonly entry: {
    readonly kind: 'disclosure' | 'denial' | 'write' | 'break-glass';
    readonly occurredAt: string;
    readonly subject: string | null;
    readonly reference: string;
    readonly digest: string;
  };
};

/** `own`: the acting client may see this event itself. `at`, ms since 1970: now by default. */
export type Recorder = (act: Act, options: { readonly own: boolean; readonly at?: number }) => Recorded;

/** `keysOf` gives the event its index keys and facets. */
export function createRecorder({ clock, observer, keysOf }: { readonly clock: Clock; readonly observer: string; readonly keysOf: KeysOf }): Recorder {
  return (act, { own, at: recorded = clock() }) => {
    const id = newId(patientNamed(act));
    const version = newVersion();
    const event = auditEvent(act, { id, version, recorded, observer });
    const body = JSON.stringify(event);
    return {
      id,
      resource: { type: 'AuditEvent', id, version, lastUpdated: recorded, instant: recorded, deleted: false, body, keys: keysOf(event, act, own) },
      entry: {
        kind: kindOf(act),
        occurredAt: new Date(recorded).toISOString(),
        subject: act.patient === undefined ? null : `Patient/${act.patient}`,
        reference: `AuditEvent/${id}`,
        digest: hash('sha256', body, 'base64url'),
      },
    };
  };
}

/** The one patient that the event will name. What was asked for in vain names somebody too, by what the requester sent. */
function patientNamed({ patient, what, actor }: Act): string | undefined {
  const others = [actor, ...what].flatMap((reference) => PATIENT.exec(reference)?.[1] ?? []);
  const [only, second] = new Set(patient === undefined ? others : [patient, ...others]);
  return second === undefined ? only : undefined;
}

const PATIENT = /^Patient\/([^/]+)/;

function kindOf(act: Act): Recorded['entry']['kind'] {
  if (act.outcome === 'refused') return 'denial';
  if (act.reason !== undefined) return 'break-glass';
  return isWrite(act) ? 'write' : 'disclosure';
}

function isWrite(act: Act): boolean {
  return act.interaction === 'create' || act.interaction === 'update' || act.interaction === 'delete' || act.interaction === 'transaction';
}
