/**
 * Requests for a Consent: the states they go through, and the Tasks by which the requester, the patient and the custodian know of it. Pure.
 * consent.md §5, https://hl7.org/fhir/R4/task.html
 *
 *   requested ──each who has to sign──▶ approved
 *       ├──patient or custodian refuses──▶ refused
 *       └──deadline──────────────────────▶ expired
 *
 * Invariant: of a request that was not granted the requester is told that, in the same words by whomever and for whatever reason.
 */
import type { ResourceValue } from '../fhir/resource.ts';
import type { SignerRole } from './workflow.ts';

export type RequestState = 'requested' | 'approved' | 'refused' | 'expired';
type Happening = 'signed' | 'complete' | 'refused' | 'deadline';

/** What is not here cannot happen: a request that is over stays as it is. */
const transitions: Readonly<Record<RequestState, Partial<Readonly<Record<Happening, RequestState>>>>> = {
  requested: { signed: 'requested', complete: 'approved', refused: 'refused', deadline: 'expired' },
  approved: {},
  refused: {},
  expired: {},
};

/** Undefined: not from this state. */
export function afterwards(state: RequestState, happening: Happening): RequestState | undefined {
  return transitions[state][happening];
}

export type Party = 'requester' | 'patient' | 'custodian';

/** One Task and whose it is. */
export type PartyTask = { readonly id: string; readonly party: Party; readonly owner: string };

/** What is kept of a request, beside the Consent that is asked for. `deadline`: ms since 1970. */
export type ConsentRequest = {
  readonly client: string;
  readonly actor: string;
  readonly patient: string;
  readonly digest: string;
  readonly deadline: number;
  readonly state: RequestState;
  readonly tasks: readonly PartyTask[];
};

export const REQUESTS = 'urn:assent:request';
const NOT_GRANTED = 'The request was not granted.';

type Wording = { readonly consent: string; readonly statement: string; readonly digest: string; readonly at: number };

/** As it is when the request is made; the requester's holds nothing that the requester did not send. */
export function requestTask(request: ConsentRequest, { party, owner }: Omit<PartyTask, 'id'>, wording: Wording): ResourceValue {
  const { consent, statement, digest, at } = wording;
  const parent = request.tasks.find((task) => task.party === 'requester');
  const asked = party === 'requester' ? {} : { partOf: [{ reference: `Task/${parent?.id}` }] };
  return {
    resourceType: 'Task',
    meta: { profile: ['urn:assent:profile:consent-request'] },
    ...asked,
    status: 'requested',
    intent: 'proposal',
    code: { coding: [{ system: REQUESTS, code: party === 'requester' ? 'consent' : 'approval' }] },
    focus: { reference: `Consent/${consent}` },
    for: { reference: `Patient/${request.patient}` },
    authoredOn: new Date(at).toISOString(),
    requester: { reference: request.actor },
    ...(party === 'requester' ? {} : { owner: { reference: owner } }),
    restriction: { period: { end: new Date(request.deadline).toISOString() } },
    ...(party === 'requester'
      ? {}
      : {
          // What is to be signed, exactly: a custodian does not read the Consent itself.
          input: [
            { type: { text: 'statement' }, valueString: statement },
            { type: { text: 'digest' }, valueString: digest },
          ],
        }),
  };
}

/** What becomes of a Task; undefined: nothing, and it is not written again. `by`: who acted. */
export function taskAfter(
  task: ResourceValue,
  { party, owner }: PartyTask,
  { state, by }: { readonly state: RequestState; readonly by: readonly { readonly who: string; readonly role: SignerRole }[] },
): ResourceValue | undefined {
  const acted = by.some(({ who, role }) => (party === 'patient' ? role !== 'custodian' : who === owner));
  const over = (status: string): ResourceValue | undefined => (task['status'] === status ? undefined : { ...task, status });
  if (party === 'requester') {
    if (state === 'requested') return undefined;
    if (state !== 'approved') return { ...task, status: 'rejected', statusReason: { text: NOT_GRANTED } };
    return { ...task, status: 'completed', output: [{ type: { text: 'consent' }, valueReference: task['focus'] }] };
  }
  if (state === 'requested') return acted ? over('completed') : undefined;
  if (state === 'approved') return over('completed');
  return over(state === 'refused' && acted ? 'rejected' : 'cancelled');
}
