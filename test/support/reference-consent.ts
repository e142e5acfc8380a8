/**
 * A second reading of the consent rules, written from the prose alone: naive, slow, and sharing nothing with server/consent/. It looks at
 * FHIR resources, never at index keys, and answers one question: may this caller read this resource now?
 *
 * Not judged here: records (Consent, AuditEvent, Task, Provenance) and Binary; reference-view.ts judges those, and whole records with their versions.
 */
import { type Acting, type Signing, worthOf } from './reference-authority.ts';
import { recordsBeside, whoIn } from './reference-naming.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- FHIR as it comes; what is wrong in it fails the test
export type Json = { readonly [member: string]: any };

export type Question = {
  readonly resource: Json;
  /** Actor that wrote the current version. */
  readonly writer: string;
  readonly caller: {
    readonly actor: string;
    readonly client: string;
    readonly purpose: string;
    readonly admin?: boolean;
    /** Id of the one patient whose record is open in an emergency; `except`: labels that law keeps closed. */
    readonly breakGlass?: { readonly patient: string; readonly except: readonly string[] };
  };
  readonly now: number;
  /** Signed, active and not superseded. */
  readonly consents: readonly Json[];
  /** Of those that the patient did not sign with a key of their own. */
  readonly signings?: ReadonlyMap<Json, Signing>;
  /** Organizations, roles, teams, groups. */
  readonly directory: readonly Json[];
  readonly medications: readonly Json[];
  /** Those that are stored: whose an identifier is, and which records are of one person. */
  readonly patients?: readonly Json[];
  /** Of a Composition: what its sections speak of, by name and as stored; `unknown`: some of that is not to be found. */
  readonly sections?: { readonly names: readonly string[]; readonly targets: readonly Json[]; readonly unknown: boolean };
  /** What each resource named as `related` referred to when the Consent was prepared, and which of these resources the caller may see now. */
  readonly frozen?: Readonly<Record<string, readonly string[]>>;
  readonly visible?: readonly string[];
  readonly implicit: { readonly kind: string; readonly labels?: readonly string[] };
  readonly actsFor?: Acting | undefined;
};

const OPEN = ['Organization', 'Practitioner', 'PractitionerRole', 'Location', 'Medication', 'Questionnaire'];

export function mayRead(question: Question): boolean {
  const { resource, caller } = question;
  const { named: patients, unknown } = whoIn([resource, ...(question.sections?.targets ?? [])], question.patients ?? []);
  const open = OPEN.includes(resource['resourceType']);
  if (patients.length === 0 && !unknown && open) return true;
  if (caller.admin) return false;
  if (caller.breakGlass) return !unknown && inPlaceOfPermit(caller.breakGlass, patients, question);
  if (!unknown && onBehalf(question, patients)) return true;
  // Somebody who cannot be found has no Consents, and may be whoever has.
  if ((patients.length === 0 || unknown) && !implicitSays(question)) return false;
  const consenting = question.consents.map((consent) => consent['patient'].reference.split('/')[1] as string);
  return [...patients, ...(unknown ? consenting : [])].every((patient) => patientPermits(patient, question));
}

/** A relative reads in the place of the patient they act for; not what is an adolescent's own. */
function onBehalf(question: Question, patients: readonly string[]): boolean {
  const { actsFor } = question;
  return actsFor?.reads === true && inPlaceOfPermit({ patient: actsFor.patient, except: actsFor.hides }, patients, question);
}

/** What names one patient and nobody else, unless a Consent denies it to this caller or it has an excepted label. */
function inPlaceOfPermit(
  { patient, except }: { readonly patient: string; readonly except: readonly string[] },
  patients: readonly string[],
  question: Question,
): boolean {
  if (patients.join(' ') !== patient || isExcepted(except, question)) return false;
  const theirs = [...consentsOf(patient, question), ...consentsBeside(patient, question)];
  return theirs.every(({ provision }) => deepest(provision, question) !== 'deny');
}

function patientPermits(patient: string, question: Question): boolean {
  const { caller, now, signings } = question;
  if (caller.actor === `Patient/${patient}`) return true;
  const theirs = consentsOf(patient, question).map((consent) => ({
    root: consent['provision'],
    verdict: deepest(consent['provision'], question),
    worth: worthOf(signings?.get(consent), { actor: caller.actor, now }),
  }));
  if (theirs.some(({ verdict }) => verdict === 'deny')) return false;
  if (consentsBeside(patient, question).some(({ provision }) => deepest(provision, question) === 'deny')) return false;
  if (theirs.some(({ verdict, worth }) => verdict === 'permit' && worth.permits)) return true;
  const replaced = theirs.some(({ root, worth }) => root.type === 'permit' && who(root, 'permit', question) && worth.closes);
  return replaced ? false : implicitSays(question);
}

function consentsOf(patient: string, { consents }: Question): Json[] {
  return consents.filter((consent) => consent['patient'].reference === `Patient/${patient}`);
}

/** About other records of the same person: what they deny is denied here. */
export function consentsBeside(patient: string, question: Question): Json[] {
  return recordsBeside(patient, question.patients ?? []).flatMap((other) => consentsOf(other, question));
}

/** What is so for certain, and what may be so where a part of the resource is not to be found. */
type How = 'surely' | 'perhaps';

/** The deepest match anywhere in the tree; at equal depth deny. A permit and all it stands in match for certain; of a deny it is enough that they may. */
export function deepest(root: Json, question: Question): 'permit' | 'deny' | undefined {
  const matches: { depth: number; type: 'permit' | 'deny' }[] = [];
  const descend = (provision: Json, type: 'permit' | 'deny', above: readonly How[], depth: number): void => {
    if (!who(provision, type, question)) return;
    const here = above.filter((how) => what(provision, { type, how }, question));
    if (here.includes(type === 'permit' ? 'surely' : 'perhaps')) matches.push({ depth, type });
    if (here.length === 0) return;
    for (const child of provision['provision'] ?? []) descend(child, child.type ?? (type === 'permit' ? 'deny' : 'permit'), here, depth + 1);
  };
  descend(root, root['type'] ?? 'deny', ['surely', 'perhaps'], 0);
  const bottom = Math.max(...matches.map(({ depth }) => depth));
  const last = matches.filter(({ depth }) => depth === bottom).map(({ type }) => type);
  return last.includes('deny') ? 'deny' : last[0];
}

function who(provision: Json, type: 'permit' | 'deny', question: Question): boolean {
  const { caller, now } = question;
  const { period, actor, purpose, action } = provision;
  if (period && !(starts(period.start) <= now && now <= ends(period.end))) return false;
  if (actor) {
    const being = type === 'permit' ? certainly(question) : possibly(question);
    if (!actor.some((each: Json) => being.includes(each['reference'].reference))) return false;
  }
  if (purpose && !purpose.some(({ code }: Json) => caller.purpose === code || (type === 'deny' && BELOW[code as string]?.includes(caller.purpose))))
    return false;
  const stops = type === 'permit' ? ['access'] : ['access', 'use', 'disclose'];
  return !action || action.some((concept: Json) => stops.includes(concept['coding'][0].code));
}

/** The purposes used in tests, each with everything below it. */
const BELOW: Readonly<Record<string, readonly string[]>> = { TREAT: ['ETREAT', 'BTG', 'CLINTRL'], ETREAT: ['BTG'], HPAYMT: ['CLMATTCH'] };

// Who the caller is.

function certainly({ caller, directory, now }: Question): string[] {
  const inside = (period: Json | undefined) => !period || (starts(period['start']) <= now && now <= ends(period['end']));
  let organization = caller.actor;
  const being = [caller.actor, `Device/${caller.client}`];
  const role = directory.find((each) => refOf(each) === caller.actor && each['resourceType'] === 'PractitionerRole');
  if (role && role['active'] !== false && inside(role['period'])) {
    if (role['practitioner']) being.push(role['practitioner'].reference);
    if (role['organization']) being.push((organization = role['organization'].reference));
  }
  for (let up = parentOf(organization, directory); up && !being.includes(up); up = parentOf(up, directory)) being.push(up);
  const teams = directory.filter(({ resourceType, status, period, participant }) => {
    if (resourceType !== 'CareTeam' || status !== 'active' || !inside(period)) return false;
    return (participant ?? []).some((each: Json) => being.includes(each['member']?.reference) && inside(each['period']));
  });
  const groups = directory.filter(({ resourceType, active, actual, member }) => {
    if (resourceType !== 'Group' || active === false || actual !== true) return false;
    return (member ?? []).some((each: Json) => being.includes(each['entity'].reference) && each['inactive'] !== true && inside(each['period']));
  });
  return [...being, ...[...teams, ...groups].map(refOf)];
}

/** Every role, organization, team and group, whatever its status or time. */
function possibly({ caller, directory }: Question): string[] {
  const being = [caller.actor, `Device/${caller.client}`];
  for (const reference of being) {
    const parent = parentOf(reference, directory);
    const found = directory.flatMap((each) => {
      const { resourceType, practitioner, organization, participant, member } = each;
      if (resourceType === 'PractitionerRole' && (refOf(each) === reference || practitioner?.reference === reference))
        return [refOf(each), practitioner?.reference, organization?.reference];
      if (resourceType === 'CareTeam') return participant?.some((p: Json) => p['member']?.reference === reference) ? [refOf(each)] : [];
      return resourceType === 'Group' && member?.some((m: Json) => m['entity'].reference === reference) ? [refOf(each)] : [];
    });
    for (const next of [parent, ...found]) if (next && !being.includes(next)) being.push(next);
  }
  return being;
}

const refOf = ({ resourceType, id }: Json): string => `${resourceType}/${id}`;

function parentOf(organization: string, directory: readonly Json[]): string | undefined {
  return directory.find((each) => each['resourceType'] === 'Organization' && refOf(each) === organization)?.['partOf']?.reference;
}

// What a provision is about.

function what(provision: Json, { type, how }: { readonly type: 'permit' | 'deny'; readonly how: How }, question: Question): boolean {
  const { resource } = question;
  const { securityLabel, class: classes, code, dataPeriod, data } = provision;
  const missing = question.sections?.unknown === true;
  if (missing && how === 'surely' && type === 'permit' && (securityLabel || dataPeriod)) return false;
  const anything = missing && how === 'perhaps';
  const unknown = anything && type === 'deny';
  if (data && !data.some((each: Json) => concerns(each, { type, anything }, question))) return false;
  if (securityLabel && !anything && !labelled(securityLabel, type, question)) return false;
  const types = type === 'permit' ? [resource['resourceType']] : partsIn(question).map(({ resourceType }) => resourceType);
  if (classes && !unknown && !classes.some((each: Json) => types.includes(each['code']))) return false;
  if (code && !unknown) {
    const wanted: string[] = code.flatMap(({ coding }: Json) => coding.map(spell));
    const { codes, certain } = type === 'permit' ? primaryCodes(question) : everyCode(question);
    if (!(type === 'deny' && !certain) && !wanted.some((each) => codes.includes(each))) return false;
  }
  return !dataPeriod || anything || dated(dataPeriod, type, question);
}

/** One resource, what it refers to, what refers to it, what it wrote. A deny looks at the parts as well. */
function concerns(
  { meaning, reference }: Json,
  { type, anything }: { readonly type: 'permit' | 'deny'; readonly anything: boolean },
  question: Question,
): boolean {
  const { resource, frozen = {}, visible = [], sections } = question;
  const anchor: string = reference.reference;
  const parts = type === 'permit' ? [resource] : partsIn(question);
  const names = type === 'permit' ? [] : (sections?.names ?? []);
  const isOneOf = (wanted: readonly string[]) =>
    parts.some((part) => part['id'] && wanted.includes(refOf(part))) || names.some((name) => wanted.includes(name));
  const reached = type === 'deny' || visible.includes(anchor) ? (frozen[anchor] ?? []) : [];
  if (meaning === 'instance') return isOneOf([anchor]);
  if (meaning === 'related') return isOneOf([anchor, ...reached]);
  // What is not to be found may refer to anything and be anyone's.
  if (type === 'deny' && anything) return true;
  if (meaning === 'authoredby') return parts.flatMap(authorsOf).includes(anchor);
  const refers =
    referencesIn(type === 'permit' ? resource : [resource, sections?.targets]).includes(anchor) &&
    !(type === 'permit' && resource['resourceType'] === 'Bundle');
  return isOneOf([anchor]) || refers;
}

const authorsOf = (part: Json): string[] =>
  ['performer', 'author', 'recorder', 'asserter', 'requester', 'sender']
    .flatMap((name) => part[name] ?? [])
    .flatMap((each: Json) => [each['reference'], each['actor']?.reference])
    .filter((each) => each !== undefined);

/** Without our address and the version. */
export function referencesIn(node: Json[string]): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const here = typeof node.reference === 'string' ? [node.reference.replace('https://records.example/fhir/', '').replace(/\/_history\/.*$/, '')] : [];
  return [...here, ...Object.values(node).flatMap(referencesIn)];
}

const RANKS = ['U', 'L', 'M', 'N', 'R', 'V'];
const SENSITIVITY_BELOW: Readonly<Record<string, readonly string[]>> = {
  SPI: ['BH', 'COGN', 'DVD', 'EMOTDIS', 'MH', 'PSY', 'PSYTHPN', 'SUD', 'ETHUD', 'OPIOIDUD'],
  SUD: ['ETHUD', 'OPIOIDUD'],
};

function labelled(labels: readonly Json[], type: 'permit' | 'deny', question: Question): boolean {
  const rank = rankOf(question);
  const sensitivities = partsIn(question).flatMap(sensitivitiesOf);
  const reaches = (code: string, sensitivity: string) => code === sensitivity || SENSITIVITY_BELOW[code]?.includes(sensitivity) === true;
  const ranks = labels.filter(({ system }) => system.endsWith('Confidentiality')).map(({ code }) => RANKS.indexOf(code));
  const codes = labels.filter(({ system }) => system.endsWith('ActCode')).map(({ code }) => code as string);
  if (type === 'deny') return ranks.some((lowest) => rank >= lowest) || sensitivities.some((each) => codes.some((code) => reaches(code, each)));
  const coversAll = sensitivities.length > 0 && sensitivities.every((each) => codes.some((code) => reaches(code, each)));
  return ranks.some((highest) => rank <= highest) || coversAll;
}

/** The highest of its parts; a part without a label takes its container's, and an outermost one without is R, as is what a section speaks of. */
function rankOf({ resource, sections }: Question): number {
  const own = (outermost: Json) => (ranksOf(outermost).length > 0 ? ranksOf(outermost) : [RANKS.indexOf('R')]);
  return Math.max(...[resource, ...(sections?.targets ?? [])].flatMap((each) => [...own(each), ...partsOf(each).flatMap(ranksOf)]));
}

const security = (part: Json): Json[] => part['meta']?.security ?? [];
const ranksOf = (part: Json): number[] =>
  security(part).flatMap(({ system, code }) => (system.endsWith('Confidentiality') ? [RANKS.indexOf(code)] : []));
const sensitivitiesOf = (part: Json): string[] => security(part).flatMap(({ system, code }) => (system.endsWith('ActCode') ? [code] : []));

const partsIn = ({ resource, sections }: Question): Json[] => [resource, ...(sections?.targets ?? [])].flatMap(partsOf);

/** The resource, what it contains, and a Bundle's entries. */
function partsOf(resource: Json): Json[] {
  const entries = resource['resourceType'] === 'Bundle' ? (resource['entry'] ?? []).map(({ resource: entry }: Json) => entry) : [];
  return [resource, ...[...(resource['contained'] ?? []), ...entries].flatMap(partsOf)];
}

const spell = ({ system, code }: Json): string => `${system} ${code}`;

function medicationOf(part: Json, { medications }: Question): Json | undefined {
  const reference: string = part['medicationReference'].reference;
  if (reference.startsWith('#')) return (part['contained'] ?? []).find(({ id }: Json) => id === reference.slice(1));
  return medications.find((each) => refOf(each) === reference);
}

function primaryCodes(question: Question): { codes: string[]; certain: boolean } {
  const { resource } = question;
  const medication = resource['medicationReference'] ? medicationOf(resource, question)?.['code'] : undefined;
  const concepts = [resource['code'], resource['medicationCodeableConcept'], resource['vaccineCode'], resource['type'], medication].flat();
  return { codes: concepts.flatMap((concept) => (concept?.coding ?? []).map(spell)), certain: true };
}

/** Every coding outside meta, of the medications referred to as well; not certain when one of those is not to be found. */
function everyCode(question: Question): { codes: string[]; certain: boolean } {
  const referring = partsIn(question).filter((part) => part['medicationReference']);
  const followed = referring.map((part) => medicationOf(part, question));
  const all = [question.resource, ...(question.sections?.targets ?? []), ...followed];
  return { codes: all.flatMap(codingsIn), certain: !followed.includes(undefined) };
}

function codingsIn(node: Json[string]): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const here = !Array.isArray(node) && node.system && node.code ? [spell(node)] : [];
  return [...here, ...Object.entries(node).flatMap(([name, value]) => (name === 'meta' ? [] : codingsIn(value)))];
}

const DATES = 'effective onset recordedDate performed authoredOn occurrence period serviced billablePeriod date authored sent start created issued';

function dated(period: Json, type: 'permit' | 'deny', question: Question): boolean {
  const [low, high] = [starts(period['start']), ends(period['end'])];
  const own = datesIn(question.resource);
  const dates = partsIn(question).flatMap(datesIn);
  if (type === 'permit') return own.length > 0 && dates.every(([from, to]) => low <= from && to <= high);
  return own.length === 0 || dates.some(([from, to]) => from <= high && to >= low);
}

function datesIn(part: Json): [number, number][] {
  const names = DATES.split(' ').flatMap((name) => [name, `${name}DateTime`, `${name}Period`, `${name}Instant`]);
  return names.flatMap((name): [number, number][] => {
    const value = part[name];
    if (typeof value === 'string') return [[starts(value), ends(value)]];
    return value && (value.start || value.end) ? [[starts(value.start), ends(value.end)]] : [];
  });
}

/** Year, month or day: its whole unit, UTC. With a time of day: that moment. */
function starts(text: string | undefined): number {
  return text === undefined ? Number.NEGATIVE_INFINITY : Date.parse(text);
}

function ends(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const [year = 0, month, day] = text.split('-').map(Number);
  if (month === undefined) return Date.UTC(year + 1, 0, 1) - 1;
  if (day === undefined) return Date.UTC(year, month, 1) - 1;
  return text.includes('T') ? Date.parse(text) : Date.parse(text) + 86_400_000 - 1;
}

// What holds where nobody consented.

function implicitSays(question: Question): boolean {
  const { implicit, caller, writer, actsFor, resource, sections } = question;
  // Whoever opens it: what is an adolescent's own is not their guardian's.
  if (actsFor && actsFor.hides.length > 0) {
    const { named, unknown } = whoIn([resource, ...(sections?.targets ?? [])], question.patients ?? []);
    if ((unknown || named.includes(actsFor.patient)) && isExcepted(actsFor.hides, question)) return false;
  }
  if (implicit.kind === 'author-treatment') return caller.purpose === 'TREAT' && caller.actor.startsWith('Organization/') && writer === caller.actor;
  return implicit.kind === 'permit-except' && !isExcepted(implicit.labels ?? [], question);
}

/** Has one of these labels, or may have. */
function isExcepted(labels: readonly string[], question: Question): boolean {
  if (labels.length === 0) return false;
  const system = (label: string) => (RANKS.includes(label) ? 'Confidentiality' : 'ActCode');
  const coded = labels.map((label) => ({ system: system(label), code: label }));
  return question.sections?.unknown === true || labelled(coded, 'deny', question);
}
