/**
 * What a patient is told of: a Task for them, which nobody but they and the administrators can see, so that an app or a letter can bring it to them.
 * https://hl7.org/fhir/R4/task.html, consent.md §6–§7
 */
import type { ResourceValue } from '../fhir/resource.ts';

export const NOTICES = 'urn:assent:notice';

export type Notice = {
  /** Logical id. */
  readonly patient: string;
  readonly code:
    | 'key-registered'
    | 'key-revoked'
    | 'key-recovery-opened'
    | 'key-recovery-stopped'
    | 'key-recovered'
    | 'break-glass'
    | 'authority-granted'
    | 'authority-ended';
  /** In words for the patient. */
  readonly text: string;
  /** ms since 1970. */
  readonly at: number;
  /** Until when something can be done about it, ms since 1970. */
  readonly until?: number;
};

export function noticeOf({ patient, code, text, at, until }: Notice): ResourceValue {
  const reference = `Patient/${patient}`;
  return {
    resourceType: 'Task',
    meta: { profile: ['urn:assent:profile:patient-notice'] },
    status: 'requested',
    intent: 'order',
    code: { coding: [{ system: NOTICES, code }] },
    description: text,
    for: { reference },
    authoredOn: new Date(at).toISOString(),
    owner: { reference },
    ...(until === undefined ? {} : { restriction: { period: { end: new Date(until).toISOString() } } }),
  };
}
