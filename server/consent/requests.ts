/**
 * Requests for a Consent: the states they go through, the Tasks by which the requester, the patient and the custodian know of it, and whom a change
 * concerns. Pure. consent.md §5, https://hl7.org/fhir/R4/task.html
 *
 *   requested ──each who has to sign──▶ approved ──the Consent ends──▶ ended
 *       ├──patient or custodian refuses──▶ refused ──deadline──▶ closed
 *       └──deadline──────────────────────▶ expired
 *
 * Invariant: of a request that was not granted the requester is told that, in the same words and at the deadline, by whomever and for whatever reason:
 * a refusal that came sooner would say that somebody is there.
 */
import type { ResourceValue } from '../fhir/resource.ts';
import type { SignerRole } from './workflow.ts';

export type RequestState = 'requested' | 'approved' | 'refused' | 'expired' | 'closed' | 'ended';
/** `ended`: the Consent was withdrawn, suspended or superseded. */
export type Happening = 'signed' | 'complete' | 'refused' | 'deadline' | 'ended';

/** What is not here cannot happen. */
const transitions: Readonly<Record<RequestState, Partial<Readonly<Record<Happening, RequestState>>>>> = {
  requested: { signed: 'requested', complete: 'approved', refused: 'refused', deadline: 'expired', ended: 'refused' },
  approved: { ended: 'ended' },
  refused: { deadline: 'closed' },
  expired: {},
  closed: {},
  ended: {},
};

/** Undefined: not from this state. */
export function afterwards(state: RequestState, happening: Happening): RequestState | undefined {
  return transitions[state][happening];
}

/** Its deadline has still to be looked at. */
export function isWaiting(state: RequestState): boolean {
  return transitions[state].deadline !== undefined;
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
  /** Records that count it against the limits of its client; absent: it was made by an earlier server. */
  readonly places?: readonly string[];
};

/** Whom a state concerns as soon as it is reached. */
const concerned: Readonly<Record<RequestState, readonly Party[]>> = {
  requested: ['patient', 'custodian'],
  approved: ['patient', 'custodian', 'requester'],
  refused: ['patient', 'custodian'],
  expired: ['patient', 'custodian', 'requester'],
  closed: ['requester'],
  ended: ['patient', 'custodian', 'requester'],
};

/** Those who have something to look at now; `who`: a reference. */
export function toTell({ tasks }: Pick<ConsentRequest, 'tasks'>, state: RequestState): readonly { readonly party: Party; readonly who: string }[] {
  return tasks.flatMap(({ party, owner }) => (concerned[state].includes(party) ? [{ party, who: owner }] : []));
}

export const REQUESTS = 'urn:assent:request';
const NOT_GRANTED = 'The request was not granted.';
const NO_MORE = 'The Consent is not in force any more.';

type Signable = { readonly statement: string; readonly digest: string };
type Wording = Signable & { readonly consent: string; readonly at: number };

function inputOf({ statement, digest }: Signable): readonly object[] {
  return [
    { type: { text: 'statement' }, valueString: statement },
    { type: { text: 'digest' }, valueString: digest },
  ];
}

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
          input: inputOf({ statement, digest }),
        }),
  };
}

export type Change = {
  readonly state: RequestState;
  /** Who acted. */
  readonly by: readonly { readonly who: string; readonly role: SignerRole }[];
  /** Narrower ones, which the patient signed: whoever else has to sign is asked anew. */
  readonly terms?: Signable | undefined;
  /** Why it was refused, for whoever said it. */
  readonly reason?: string | undefined;
};

/** What becomes of a Task; undefined: nothing, and it is not written again. */
export function taskAfter(task: ResourceValue, whose: PartyTask, { state, by, terms, reason }: Change): ResourceValue | undefined {
  if (state === 'ended') return { ...task, businessStatus: { text: NO_MORE } };
  if (whose.party === 'requester') return requesterTask(task, state);
  const acted = by.some(({ who, role }) => (whose.party === 'patient' ? role !== 'custodian' : who === whose.owner));
  const status = partyStatus(state, acted) ?? (terms && 'requested');
  if (status === undefined || (task['status'] === status && !terms)) return undefined;
  const after = { ...task, ...(terms ? { input: inputOf(terms) } : {}), status };
  return status === 'rejected' && reason !== undefined ? { ...after, statusReason: { text: reason } } : after;
}

function requesterTask(task: ResourceValue, state: Exclude<RequestState, 'ended'>): ResourceValue | undefined {
  switch (state) {
    case 'requested':
    case 'refused':
      return undefined;
    case 'approved':
      return { ...task, status: 'completed', output: [{ type: { text: 'consent' }, valueReference: task['focus'] }] };
    case 'expired':
    case 'closed':
      return { ...task, status: 'rejected', statusReason: { text: NOT_GRANTED } };
  }
}

/** Of whoever is asked to sign. */
function partyStatus(state: Exclude<RequestState, 'ended'>, acted: boolean): string | undefined {
  switch (state) {
    case 'requested':
      return acted ? 'completed' : undefined;
    case 'approved':
      return 'completed';
    case 'refused':
      return acted ? 'rejected' : 'cancelled';
    case 'expired':
      return 'cancelled';
    case 'closed':
      return undefined;
  }
}
