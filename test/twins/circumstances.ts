/**
 * Around what is stored in a generated world: who asks and for what, whom they belong to, for whom they act, whose record they open in an emergency,
 * and what becomes of the first patient between what is signed and what is asked. consent.md §2, §6, §7
 */
import type { Json } from '../support/reference-consent.ts';
import { KINDS, PATIENTS } from './content.ts';
import type { Random } from './random.ts';

export const INSURER = 'Organization/insurer';
/** Who acts for the first patient. */
export const RELATIVE = 'RelatedPerson/rel';
const DEVICE = 'Device/pump';

/** By the word of the patient, or of two roles of the institution. */
export type Authority = {
  readonly basis: 'patient' | 'guardian' | 'representative' | 'executor';
  readonly acts: readonly ('sign' | 'read')[];
  /** `over`: its time ran out after what is signed and before what is asked. */
  readonly standing: 'standing' | 'ended' | 'over' | 'other purpose';
};

const memberships = ['active', 'active', 'active', 'inactive', 'over', 'left'] as const;
type Membership = (typeof memberships)[number];

export type Circumstances = {
  /** `purposes`: all that the client is registered for; it asks for one of them. */
  readonly caller: { readonly actor: string; readonly purpose: string; readonly purposes: readonly string[]; readonly scope: string };
  readonly membership: { readonly team: Membership; readonly crew: Membership; readonly role: Membership };
  /** Of one patient, who may be nobody. `except`: labels that law keeps closed. */
  readonly breakGlass?: { readonly patient: string; readonly except: readonly string[] };
  /** Of the first patient. */
  readonly birthDate: string;
  readonly dies: boolean;
  readonly authority?: Authority;
  /** ms from what is signed to what is asked. */
  readonly later: number;
};

const DAY_MS = 86_400_000;
/** 76, 8 and 14 years old, and come of age on the day after what is signed. */
const ADULT = '1950-01-01';
const births = [ADULT, ADULT, ADULT, '2018-03-01', '2012-03-01', '2008-06-02'];

export function circumstancesOf(random: Random): Circumstances {
  const actor = random.one([INSURER, INSURER, INSURER, 'PractitionerRole/r1', 'Practitioner/doc', DEVICE, 'Patient/alice', RELATIVE, RELATIVE]);
  const purpose = random.one(['TREAT', 'TREAT', 'TREAT', 'TREAT', 'ETREAT', 'HPAYMT', 'CLMATTCH', 'BTG']);
  const birthDate = random.one(births);
  const dies = birthDate === ADULT && random.chance(0.2);
  const authority = actor === RELATIVE || random.chance(0.15) ? authorityOf(random, { birthDate, dies }) : undefined;
  const breaks = !actor.startsWith('Patient/') && random.chance(0.15);
  const caller = { actor, purpose, purposes: random.chance(0.5) ? [purpose] : ['HRESCH', purpose, 'HOPERAT'], scope: scopeOf(random, actor) };
  return {
    caller,
    membership: { team: random.one(memberships), crew: random.one(memberships), role: random.one(memberships) },
    ...(breaks && READS_PATIENTS.test(caller.scope)
      ? { breakGlass: { patient: random.one([...PATIENTS, PATIENTS[0] ?? '', 'nobody']), except: random.one([[], ['V'], ['SUD', 'V']]) } }
      : {}),
    birthDate,
    dies,
    ...(authority ? { authority } : {}),
    later: authority?.standing === 'over' || random.chance(0.3) ? 2 * DAY_MS : 0,
  };
}

function authorityOf(random: Random, { birthDate, dies }: Pick<Circumstances, 'birthDate' | 'dies'>): Authority {
  const institution =
    birthDate !== ADULT ? (['guardian', 'guardian'] as const) : dies ? (['executor', 'executor'] as const) : (['representative'] as const);
  const basis = random.one<Authority['basis']>(['patient', ...institution]);
  const acts = random.one<Authority['acts']>([['read'], ['sign', 'read'], ['sign', 'read'], ['sign']]);
  const standing = random.one(['standing', 'standing', 'standing', 'standing', 'ended', 'over', 'other purpose'] as const);
  // An executor is named when everything else is done: what is over by then is refused.
  return { basis, acts, standing: basis === 'executor' && standing === 'over' ? 'ended' : standing };
}

/** $break-glass is asked of a Patient. */
const READS_PATIENTS = /system\/(?:\*|Patient)\.c?r/;

/** The trail of a patient names what they may not see: who did what to it is theirs to know. So a patient asks for the rest. */
function scopeOf(random: Random, actor: string): string {
  if (actor.startsWith('Patient/') || actor === RELATIVE)
    return KINDS.filter((type) => type !== 'Provenance')
      .map((type) => `system/${type}.cruds`)
      .join(' ');
  if (random.chance(0.8)) return 'system/*.cruds';
  return [...random.some(KINDS, KINDS.length - 1), 'Observation'].map((type) => `system/${type}.${random.one(['cruds', 'rs', 'r', 's'])}`).join(' ');
}

/** Whom a Consent may name to mean the caller, or to seem to. */
export function namesOf(actor: string): string[] {
  const own = [actor, actor, actor, 'Device/reader', 'CareTeam/team'];
  if (actor === INSURER) return [...own, 'Organization/group', 'Organization/holding'];
  if (actor === 'Practitioner/doc') return [...own, 'Group/crew', 'PractitionerRole/r1', 'Organization/clinic'];
  if (actor === 'PractitionerRole/r1') return [...own, 'Group/crew', 'Practitioner/doc', 'Organization/clinic', 'Organization/group'];
  return actor === DEVICE ? [...own, 'Group/crew', 'Group/crew'] : own;
}

const OVER = { start: '2020-01-01', end: '2021-01-01' };
const organization = (id: string, partOf?: string): Json => ({
  resourceType: 'Organization',
  id,
  active: true,
  name: id,
  ...(partOf ? { partOf: { reference: partOf } } : {}),
});
const party = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] };

/** Everyone there is, whom the caller may be or belong to. Held by both servers: Consents are resolved through it. */
export function directoryFor({ caller: { actor }, membership, authority }: Pick<Circumstances, 'caller' | 'membership' | 'authority'>): Json[] {
  const isRelated = actor === RELATIVE || authority !== undefined;
  return [
    organization('hospital'),
    organization('holding'),
    organization('group', 'Organization/holding'),
    organization('insurer', 'Organization/group'),
    organization('clinic', 'Organization/group'),
    organization('other'),
    { resourceType: 'Practitioner', id: 'doc', name: [{ family: 'Weiss' }] },
    {
      resourceType: 'PractitionerRole',
      id: 'r1',
      active: membership.role !== 'inactive',
      ...(membership.role === 'over' || membership.role === 'left' ? { period: OVER } : {}),
      practitioner: { reference: 'Practitioner/doc' },
      organization: { reference: 'Organization/clinic' },
    },
    ...(isRelated ? [{ resourceType: 'RelatedPerson', id: 'rel', active: true, patient: { reference: `Patient/${PATIENTS[0]}` } }] : []),
    ...(actor.startsWith('Patient/') ? [] : [...teamOf(actor, membership.team), ...crewOf(actor, membership.crew)]),
  ];
}

function teamOf(actor: string, membership: Membership): Json[] {
  // R4 lets no Device into a CareTeam.
  if (actor === DEVICE) return [];
  const member = { reference: actor };
  return [
    {
      resourceType: 'CareTeam',
      id: 'team',
      status: membership === 'inactive' ? 'inactive' : 'active',
      ...(membership === 'over' ? { period: OVER } : {}),
      participant: [{ role: [party], member, ...(membership === 'left' ? { period: OVER } : {}) }],
    },
  ];
}

/** R4 lets neither Organizations nor relatives into a Group. */
function crewOf(actor: string, membership: Membership): Json[] {
  if (actor.startsWith('Organization/') || actor === RELATIVE) return [];
  const entity = { reference: actor };
  return [
    {
      resourceType: 'Group',
      id: 'crew',
      type: actor === DEVICE ? 'device' : 'practitioner',
      actual: true,
      active: membership !== 'inactive',
      member: [{ entity, ...(membership === 'over' ? { period: OVER } : {}), ...(membership === 'left' ? { inactive: true } : {}) }],
    },
  ];
}
