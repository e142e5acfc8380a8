/**
 * A second reading of what a whole record shows to one caller, beside the prose of consent.md §2: every version of every resource is asked
 * about, one at a time, by reference-consent.ts. Shares nothing with server/consent/.
 */
import { consentsBeside, deepest, type Json, mayRead, type Question, referencesIn } from './reference-consent.ts';
import { type Who, whoIn } from './reference-naming.ts';

/** `content`: of a deletion, what was deleted. */
export type Version = { readonly type: string; readonly id: string; readonly content: Json; readonly deleted: boolean; readonly writer: string };

/** `frozen`: what each resource that a Consent names as `related` referred to when the Consent was prepared. */
export type Scene = Pick<Question, 'caller' | 'now' | 'consents' | 'signings' | 'implicit' | 'actsFor'> & {
  /** Oldest first. */
  readonly versions: readonly Version[];
  readonly frozen: Readonly<Record<string, readonly string[]>>;
};

type Newest = ReadonlyMap<string, Version>;

export const nameOf = ({ type, id }: Pick<Version, 'type' | 'id'>): string => `${type}/${id}`;

/** The versions that are shown: of those permitted, the ones whose newest content is permitted as well (rule 19). */
export function shownIn(scene: Scene): ReadonlySet<Version> {
  const newest: Newest = new Map(scene.versions.map((version) => [nameOf(version), version]));
  const anchors = anchorsOf(scene.consents);
  // Rule 11: an anchor is permitted on the strength of what is permitted without it, and then with it.
  let visible: string[] = [];
  for (let before = -1; before !== visible.length; ) {
    before = visible.length;
    const now = visible;
    visible = anchors.filter((anchor) => isPermitted(newest.get(anchor), { ...scene, newest, visible: now }));
  }
  const asked = { ...scene, newest, visible };
  const current = new Set([...newest.values()].filter((version) => isPermittedAlive(version, asked)).map(nameOf));
  return new Set(scene.versions.filter((version) => current.has(nameOf(version)) && isPermittedAlive(version, asked)));
}

/** What `related` starts from, in any provision. */
export function anchorsOf(consents: readonly Json[]): string[] {
  const found = new Set<string>();
  const descend = (provision: Json): void => {
    for (const { meaning, reference } of provision['data'] ?? []) if (meaning === 'related') found.add(reference.reference);
    for (const child of provision['provision'] ?? []) descend(child);
  };
  for (const consent of consents) descend(consent['provision']);
  return [...found];
}

type Asked = Scene & { readonly newest: Newest; readonly visible: readonly string[] };

function isPermitted(version: Version | undefined, asked: Asked): boolean {
  return version !== undefined && !version.deleted && isPermittedAlive(version, asked);
}

/** As if it had not been deleted. */
function isPermittedAlive(version: Version, asked: Asked): boolean {
  const { content, writer } = version;
  const { caller, newest } = asked;
  switch (version.type) {
    // Rule 17: a requester's own acts, a patient's own record. What is asked here was written by others.
    case 'Consent':
    case 'AuditEvent':
      return isOwn(content, caller.actor);
    case 'Task':
      return isOwn(content, caller.actor) || (writer === caller.actor && content['requester']?.reference === caller.actor);
    // Rule 17: only if every target is permitted.
    case 'Provenance': {
      const targets = content['target'].map(({ reference }: Json) => newest.get(reference)) as (Version | undefined)[];
      const about = whoIn([content, ...targets.flatMap((target) => (target ? [target.content] : []))], patientsIn(newest));
      return targets.every((target) => isPermitted(target, asked)) && !deniedBy(about, version, asked);
    }
    // Rule 18: its securityContext decides; labels, class and instance denied to it are denied, permits never reach it.
    case 'Binary': {
      const context = newest.get(content['securityContext']?.reference);
      if (!content['securityContext']) return writer === caller.actor;
      return isPermitted(context, asked) && !deniedBy(whoIn(context ? [context.content] : [], patientsIn(newest)), version, asked);
    }
    default:
      return mayRead(questionOf(version, asked));
  }
}

function isOwn(content: Json, actor: string): boolean {
  const { named, unknown } = whoIn([content], []);
  return !unknown && named.length > 0 && named.every((patient) => actor === `Patient/${patient}`);
}

/** Somebody unknown may be whoever denies it. */
function deniedBy({ named, unknown }: Who, version: Version, asked: Asked): boolean {
  const { caller, consents } = asked;
  const question = questionOf(version, asked);
  const everybody = consents.map((consent) => String(consent['patient'].reference).slice('Patient/'.length));
  const others = [...named, ...(unknown ? everybody : [])].filter((patient) => caller.actor !== `Patient/${patient}`);
  const theirs = consents.filter((consent) => others.some((patient) => consent['patient'].reference === `Patient/${patient}`));
  const beside = others.flatMap((patient) => consentsBeside(patient, question));
  return [...theirs, ...beside].some(({ provision }) => deepest(provision, question) === 'deny');
}

/** Those that are stored. */
export function patientsIn(newest: Newest): Json[] {
  return [...newest.values()].flatMap(({ type, deleted, content }) => (type === 'Patient' && !deleted ? [content] : []));
}

const DIRECTORY = ['Organization', 'PractitionerRole', 'CareTeam', 'Group'];

function questionOf({ type, content, writer }: Version, { newest, ...scene }: Asked): Question {
  const alive = [...newest.values()].filter(({ deleted }) => !deleted);
  const of = (types: readonly string[]) => alive.filter((each) => types.includes(each.type)).map((each) => each.content);
  return {
    ...scene,
    resource: content,
    writer,
    directory: of(DIRECTORY),
    medications: of(['Medication']),
    patients: of(['Patient']),
    ...(type === 'Composition' ? { sections: sectionsOf(content, newest) } : {}),
  };
}

/** Rule 8: a target keeps its own label; one that was deleted is no part any more. */
function sectionsOf(composition: Json, newest: Newest): NonNullable<Question['sections']> {
  const names = referencesIn((composition['section'] ?? []).map(({ entry }: Json) => entry));
  const targets = names.map((reference) => newest.get(reference));
  return {
    names,
    targets: targets.flatMap((target) => (target && !target.deleted ? [target.content] : [])),
    unknown: targets.includes(undefined),
  };
}
