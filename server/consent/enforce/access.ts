/**
 * Who may see one resource and why, for its patient and for administrators: each who is asked about gets the view that the Gate would give them, and
 * that view says why. consent.md §3
 *
 * Invariants: a patient is told of their own Consents and of nobody else's; an administrator only what would be so whatever the resource holds;
 * nobody what another person may see, which would tell of that person, but a patient of a relative who reads in their name. The asking is durable in the trail before there is an answer.
 */
import { randomUUID } from 'node:crypto';
import { AssentError } from '../../errors.ts';
import type { StoredResource } from '../../store/port.ts';
import { type Authority, mayAct } from '../authority.ts';
import { isPurpose } from '../code-systems.ts';
import { ACTOR_REFERENCE, anchorsOf, type Provision } from '../compile.ts';
import { UNKNOWN_PATIENT } from '../facets.ts';
import type { Access, AccessGround, AccessRequest, AccessResult } from '../gate.ts';
import type { Caller, ImplicitPolicy } from '../model.ts';
import { renderProvision } from '../render.ts';
import { sourceReferences, withParts } from '../sources.ts';
import { type Cited, type Tells, tellsOf, tellsOfAny, type Why } from '../why.ts';
import { accessWords, groundWords, silenceWords } from '../why-words.ts';
import { storedAt } from './concepts.ts';
import { type Disclosure, recordDisclosure, recordMiss } from './disclose.ts';
import { type GateRow, inView, newestFirst, patientsOf, type View } from './view.ts';
import type { ViewMaker } from './views.ts';

type Asking = {
  readonly request: AccessRequest;
  readonly viewsAbout: ViewMaker['about'];
  readonly implicit: ImplicitPolicy;
  /** Who may break the glass. */
  readonly breakers: readonly string[];
  /** Of a `Patient/id`. */
  readonly authoritiesOf: (reference: string) => Promise<readonly Authority[]>;
  readonly now: () => number;
};

/** Actors times purposes in one answer. */
const MOST = 60;

export async function explainAccess(deps: Disclosure, asking: Asking): Promise<AccessResult> {
  const { request } = asking;
  refuseAsker(deps.caller);
  return inView(deps.views, {
    read: (view) => findRow(deps, request, view),
    restsOn: ({ rows }) => toldOf(deps.caller, rows),
    async conclude({ rows }, view): Promise<AccessResult | undefined> {
      const row = rows.find((found) => deps.caller.admin || toldOf(deps.caller, [found]).length > 0);
      if (!row) {
        await recordMiss(deps, { interaction: 'operation', type: request.type, id: request.id });
        return { kind: 'absent' };
      }
      return explainRow(deps, asking, { row, view });
    },
  });
}

/** By who asks alone: it tells nothing of what is stored. */
function refuseAsker({ admin, actor }: Caller): void {
  if (!admin && !actor.startsWith('Patient/'))
    throw new AssentError('forbidden', 'Who may see a record is told to its patient and to administrators.');
}

/** A patient asks about what they see; an administrator about whatever is there. */
function findRow({ resources, caller }: Disclosure, { type, id }: AccessRequest, view: View) {
  const scope = caller.admin ? ('internal' as const) : view.scope(type);
  return resources.find({ type, where: { kind: 'id', ids: new Set([id]) }, scope, order: newestFirst, limit: 1, bodies: false });
}

/** Logical ids of the patients of whom this asker may be told. */
function toldOf({ admin, actor }: Caller, rows: readonly GateRow[]): readonly string[] {
  const patients = patientsOf(rows);
  return admin ? patients : patients.filter((patient) => actor === `Patient/${patient}`);
}

type Found = { readonly row: StoredResource; readonly view: View };
/** `told`: of whom the asker is told. `others`: whether it names somebody else. `tells`: of the row, as far as the asker may know. */
type Subject = Found & { readonly told: readonly (string | undefined)[]; readonly others: boolean; readonly tells: Tells };

async function explainRow(deps: Disclosure, asking: Asking, { row, view }: Found): Promise<AccessResult | undefined> {
  const { admin } = deps.caller;
  const keys = await keysWithParts(deps, row);
  const patients = patientsOf([{ keys }]);
  const told = toldOf(deps.caller, [{ keys }]);
  const relatives = admin ? [] : await relativesOf(asking, told);
  refusePersons(asking.request, [...told.map((patient) => `Patient/${patient}`), ...relatives]);
  const unknown = keys.includes(UNKNOWN_PATIENT);
  const tells = admin ? tellsOfAny(row.id, patients, unknown) : tellsOf(row.id, keys);
  const subject: Subject = {
    row,
    view,
    told: told.length === 0 || unknown ? [...told, undefined] : told,
    others: told.length < patients.length,
    tells,
  };
  const asked = [...askedAbout(asking.request, view, { told, relatives }), ...glassesOf(asking, told)];
  const accesses: Access[] = [];
  for (const pair of asked.slice(0, MOST)) {
    const access = await accessOf(deps, asking, { ...subject, ...pair });
    if (!access) return undefined;
    accesses.push(access);
  }
  const recorded = await recordDisclosure(deps, { interaction: 'operation', type: row.type, rows: [row], view, query: asking.request.query });
  return recorded && { kind: 'explained', others: subject.others, cut: asked.length > MOST, accesses, receipt: recorded.receipt };
}

/** What another person may see would tell in which teams and groups they are. */
function refusePersons({ actor, purpose }: AccessRequest, persons: readonly string[]): void {
  if (purpose !== undefined && !isPurpose(purpose)) throw new AssentError('invalid-request', 'The purpose must be a code of v3-PurposeOfUse.');
  if (actor === undefined) return;
  if (!ACTOR_REFERENCE.test(actor))
    throw new AssentError(
      'invalid-request',
      'The actor is needed as a reference of the form Type/id to a person, role, team, group, organization or device.',
    );
  if (isPerson(actor) && !persons.includes(actor))
    throw new AssentError('invalid-request', 'What another patient or relative may see is told to nobody but them.');
}

/** Who reads in the name of the patient who asks, as the patient was told when it was granted. */
async function relativesOf({ authoritiesOf, now }: Asking, told: readonly string[]): Promise<readonly string[]> {
  const granted = await Promise.all(told.map((patient) => authoritiesOf(`Patient/${patient}`)));
  return [...new Set(granted.flat().flatMap((authority) => (mayAct(authority, 'read', now()) ? [authority.delegate] : [])))];
}

function isPerson(actor: string): boolean {
  return actor.startsWith('Patient/') || actor.startsWith('RelatedPerson/');
}

async function keysWithParts({ resources }: Disclosure, row: StoredResource): Promise<readonly string[]> {
  if (row.type !== 'Composition' && row.type !== 'Bundle') return row.keys;
  return withParts(row.keys, await storedAt(resources, sourceReferences(row.keys), { deleted: true, bodies: false }));
}

/** `glass`: once they have broken it for this patient. */
type Pair = { readonly actor: string | undefined; readonly purpose: string; readonly glass?: string };

/** A glass is broken for one patient, with a token for nothing else. */
function glassesOf({ request: { actor, purpose }, breakers }: Asking, told: readonly string[]): readonly Pair[] {
  const [patient, ...more] = told;
  if (patient === undefined || more.length > 0 || (purpose !== undefined && purpose !== BREAKING)) return [];
  return breakers.filter((each) => actor === undefined || each === actor).map((each) => ({ actor: each, purpose: BREAKING, glass: patient }));
}

const BREAKING = 'BTG';

type Whose = { readonly told: readonly string[]; readonly relatives: readonly string[] };

function askedAbout({ actor, purpose }: AccessRequest, view: View, { told, relatives }: Whose): readonly Pair[] {
  const compiled = told.flatMap((patient) => view.consentsOf(patient).map((consent) => consent.compiled));
  const provisions = compiled.flatMap(({ root }) => withNested(root));
  const named = [...compiled.flatMap(({ organizations }) => organizations), ...provisions.flatMap(({ actors = [] }) => actors)];
  const actors = actor === undefined ? [...new Set(named.filter((each) => !isPerson(each))), ...relatives, undefined] : [actor];
  const purposes = purpose === undefined ? [...new Set(['TREAT', ...provisions.flatMap((provision) => provision.purposes ?? [])])] : [purpose];
  return actors.flatMap((each) => purposes.map((code) => ({ actor: each, purpose: code })));
}

function withNested(provision: Provision): readonly Provision[] {
  return [provision, ...provision.nested.flatMap(withNested)];
}

/** Undefined: the view has moved on. */
async function accessOf(
  deps: Disclosure,
  { request: { language }, viewsAbout, implicit }: Asking,
  { row, view, told, others, tells, actor, purpose, glass }: Subject & Pair,
): Promise<Access | undefined> {
  const theirs = await viewsAbout(callerFor({ actor, purpose, ...(glass === undefined ? {} : { glass }) }), row).current();
  if (theirs.epoch !== view.epoch) return undefined;
  const whys = told.map((patient) => ({ patient, ...(deps.caller.admin ? whyWhatever : whyHere)(theirs, row.type, { patient, tells }) }));
  const permitted = deps.caller.admin ? together(whys) : await decided(deps, { row, theirs, others, whys });
  if (permitted === 'moved') return undefined;
  const text = accessWords({ actor, purpose, permitted }, { language, others });
  return { actor, purpose, permitted, text, grounds: whys.map((why) => groundOf(why, implicit, language)) };
}

/** As whoever has no token yet: what only a client's own registration would add, such as the trail of its acts, is not in it. */
function callerFor({ actor, purpose, glass }: Pair): Caller {
  const nobody = randomUUID();
  const breakGlass = glass === undefined ? {} : { breakGlass: { patient: glass, until: Number.POSITIVE_INFINITY } };
  return {
    client: nobody,
    actor: actor ?? `Organization/${nobody}`,
    purpose,
    scopes: [],
    admin: false,
    choosesIds: false,
    tokenId: '',
    ...breakGlass,
  };
}

type Told = { readonly patient: string | undefined; readonly tells: Tells };

function whyHere(theirs: View, type: string, { patient, tells }: Told): Why {
  return theirs.why(type, { patient, tells });
}

/** Whether an anchor of `related` is visible depends on what it holds: told is what does not depend on it. */
function whyWhatever(theirs: View, type: string, about: Told): Why {
  const { patient } = about;
  const anchors = patient === undefined ? [] : theirs.consentsOf(patient).flatMap(({ compiled }) => anchorsOf(compiled.root));
  const [hidden, visible] = [new Set<string>(), new Set(anchors)].map((each) => theirs.why(type, { ...about, anchors: each })) as [Why, Why];
  const same = hidden.permitted === visible.permitted && hidden.ground === visible.ground;
  return same ? visible : { ...visible, permitted: undefined, ground: 'content' };
}

/** Every patient named has to permit. */
function together(whys: readonly Why[]): boolean | undefined {
  if (whys.some(({ permitted }) => permitted === false)) return false;
  return whys.every(({ permitted }) => permitted === true) ? true : undefined;
}

type Deciding = { readonly row: StoredResource; readonly theirs: View; readonly others: boolean; readonly whys: readonly Why[] };

/** What the store answers in that view. Where others have to permit as well, the asker's own refusal is all that can be told. */
async function decided({ resources }: Disclosure, { row, theirs, others, whys }: Deciding): Promise<boolean | undefined | 'moved'> {
  if (others) return together(whys) === false ? false : undefined;
  const found = await resources.find({
    type: row.type,
    where: { kind: 'id', ids: new Set([row.id]) },
    scope: theirs.scope(row.type),
    order: newestFirst,
    limit: 1,
    bodies: false,
  });
  if (found.kind !== 'rows') return 'moved';
  const permitted = found.rows.length > 0;
  // A relabelling between the two looks: the reason would be of another moment than the decision.
  return whys.every((why) => why.ground === 'built-in' || why.permitted === permitted) ? permitted : 'moved';
}

function groundOf(
  { patient, permitted, ground, policy, cited, silent }: Why & Pick<Told, 'patient'>,
  implicit: ImplicitPolicy,
  language: string,
): AccessGround {
  return {
    patient,
    permitted,
    ground,
    policy: ground === 'implicit' ? implicit.kind : policy,
    text: groundWords({ ground, ...(policy === undefined ? {} : { policy }) }, implicit, language),
    clauses: cited.map((clause) => clauseOf(clause, language)),
    silent: silent.map(({ reference, because }) => ({ consent: reference, because, text: silenceWords(because, language) })),
  };
}

function clauseOf({ reference, path, provision }: Cited, language: string): AccessGround['clauses'][number] {
  const place = ['Consent.provision', ...path.map((i) => `provision[${i}]`)].join('.');
  return { consent: reference, path: place, type: provision.type, text: renderProvision(provision, path, language) };
}

/** Whose Consents can matter to who may see a row: of those it names, of those its sources name, and of those that a `related` of theirs starts from. */
export async function concernedBy(
  resources: Pick<Disclosure['resources'], 'find'>,
  row: GateRow,
  anchorsFor: (patients: readonly string[]) => readonly string[],
): Promise<ReadonlySet<string>> {
  const patients = new Set<string>();
  const looked = new Set<string>();
  for (let rows: readonly GateRow[] = [row]; rows.length > 0; ) {
    const fresh = patientsOf(rows).filter((patient) => !patients.has(patient));
    for (const patient of fresh) patients.add(patient);
    const references = [...rows.flatMap(({ keys }) => sourceReferences(keys)), ...anchorsFor(fresh)].filter((reference) => !looked.has(reference));
    for (const reference of references) looked.add(reference);
    rows = [...(await storedAt(resources, new Set(references), { deleted: true, bodies: false })).values()];
  }
  return patients;
}
