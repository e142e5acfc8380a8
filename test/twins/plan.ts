/** What is stored in a world when, and which of it the twin holds: consent.md §1, by the readings beside its §2. */
import { actingFor, type Granted, majorityOf, type Signing } from '../support/reference-authority.ts';
import { type Json, referencesIn } from '../support/reference-consent.ts';
import { whoIn } from '../support/reference-naming.ts';
import { anchorsOf, nameOf, patientsIn, shownIn, type Version } from '../support/reference-view.ts';
import { type Authority, directoryFor, RELATIVE } from './circumstances.ts';
import { PATIENTS } from './content.ts';
import type { Step, World } from './world.ts';

/** The first step. */
export const START = Date.parse('2026-06-01T08:00:00Z');
/** What is signed, all of it in one instant. */
export const SIGNED = START + 3_600_000;
const YEAR_MS = 365 * 86_400_000;
const LOADER = 'admin';

/** When the first request is asked. */
export const askedAt = ({ later }: Pick<World, 'later'>): number => SIGNED + later;

/** `number`: its ids. `version`: undefined for what both servers hold. */
export type Planned = { readonly number: number; readonly at: number; readonly step: Step; readonly version: Version | undefined };

/** In order; `late`: of these, what is stored after everything is signed. */
export type Plan = { readonly all: readonly Planned[]; readonly late: readonly Planned[] };

export function planOf(world: World): Plan {
  const { steps } = world;
  let at = START;
  const contents = new Map<string, Json>();
  const directory = directoryFor(world).map((content, i): Planned => {
    const step = { wait: 0, type: String(content['resourceType']), id: String(content['id']), content };
    return { number: i + 1, at, step, version: versionOf(step, contents) };
  });
  const all = steps.flatMap((step, i): Planned[] => {
    at += step.wait;
    if (step.content === 'deleted' && !contents.has(`${step.type}/${step.id}`)) return [];
    return [{ number: 1000 + i, at, step, version: versionOf(step, contents) }];
  });
  const late = world.dies ? deathOf(contents) : [];
  return { all: [...directory.map((each) => ({ ...each, version: undefined })), ...all, ...late], late };
}

/** Of the first patient, as their record tells it. */
function deathOf(contents: Map<string, Json>): Planned[] {
  const [id = ''] = PATIENTS;
  const alive = contents.get(`Patient/${id}`);
  if (!alive) return [];
  const step = { wait: 0, type: 'Patient', id, content: { ...alive, deceasedDateTime: '2026-06-01T10:00:00Z' } };
  return [{ number: 60_000, at: SIGNED + 1000, step, version: versionOf(step, contents) }];
}

export function versionOf({ type, id, content }: Step, contents: Map<string, Json>): Version {
  const deleted = content === 'deleted';
  const kept = deleted ? (contents.get(`${type}/${id}`) ?? { resourceType: type, id }) : { ...content, id };
  contents.set(`${type}/${id}`, kept);
  return { type, id, content: kept, deleted, writer: LOADER };
}

/** What the twin holds: of every resource that is shown, the versions that are. What hangs on something it does not hold is dropped from both. */
export function divide(world: World, all: readonly Planned[], agreed: Agreed): { kept: readonly Planned[]; shown: ReadonlySet<Version> } {
  const { consents, signings } = agreed;
  const now = askedAt(world) + 1;
  const { breakGlass, caller } = world;
  const directory = directoryFor(world).map(
    (content): Version => ({ type: String(content['resourceType']), id: String(content['id']), content, deleted: false, writer: LOADER }),
  );
  const view = (versions: readonly Version[]) => {
    const newest = new Map(versions.map((version) => [nameOf(version), version]));
    const granted = world.authority && grantedBy(world.authority, world);
    const frozen = Object.fromEntries(anchorsOf(consents).map((anchor) => [anchor, frozenAt(newest.get(anchor))]));
    return shownIn({
      caller: { ...caller, client: 'reader', ...(breakGlass ? { breakGlass, purpose: 'BTG' } : {}) },
      now,
      consents,
      signings,
      implicit: world.implicit,
      actsFor: granted && caller.actor === RELATIVE ? actingFor(granted, { now, purpose: caller.purpose, dead: isDead(newest) }) : undefined,
      versions: [...directory, ...versions],
      frozen,
    });
  };
  const versions = all.flatMap(({ version }) => (version ? [version] : []));
  const shown = view(versions);
  // Which records are of one person is a policy, as Consents are, and so is whether somebody is acted for in life or after it.
  const policies = new Set([...linkedIn(versions), ...(world.authority ? PATIENTS.slice(0, 1) : [])]);
  const isHeld = (version: Version) => shown.has(version) || (version.type === 'Patient' && policies.has(version.id));
  const held = versions.filter(isHeld);
  const alone = view(held);
  const whoAmong = (some: readonly Version[], { content }: Version) =>
    JSON.stringify(whoIn([content], patientsIn(new Map(some.map((each) => [nameOf(each), each])))));
  // A policy that is held may be shown where what denies it, by what it refers to, is not.
  if (shown.size !== alone.size) throw new Unsettled();
  if ([...shown].some((version) => !alone.has(version) || whoAmong(versions, version) !== whoAmong(held, version))) throw new Unsettled();
  return { kept: all.filter(({ version }) => !version || isHeld(version)), shown };
}

/** What was signed and is in force, and how those were signed that the patient did not sign with a key of their own. */
export type Agreed = { readonly consents: readonly Json[]; readonly signings: ReadonlyMap<Json, Signing> };

/** The authority of the first patient's relative as it is said in its statement. */
export function grantedBy({ basis, acts, standing }: Authority, { birthDate }: Pick<World, 'birthDate'>): Granted {
  const until = standing === 'over' ? SIGNED + 60_000 : SIGNED + YEAR_MS;
  return {
    patient: PATIENTS[0] ?? '',
    basis,
    acts,
    ...(standing === 'other purpose' ? { purposes: ['HRESCH'] } : {}),
    from: SIGNED - 60_000,
    until: basis === 'guardian' ? Math.min(until, majorityOf(birthDate)) : until,
    ended: standing === 'ended',
    birthDate,
  };
}

function isDead(newest: ReadonlyMap<string, Version>): boolean {
  return newest.get(`Patient/${PATIENTS[0]}`)?.content['deceasedDateTime'] !== undefined;
}

function linkedIn(versions: readonly Version[]): ReadonlySet<string> {
  const patients = versions.flatMap(({ type, id, content }) =>
    type === 'Patient' ? [{ id, link: (content['link'] ?? []) as readonly Json[] }] : [],
  );
  const others = (link: readonly Json[]) => link.map(({ other }) => String(other['reference']).slice('Patient/'.length));
  return new Set(patients.flatMap(({ id, link }) => (link.length > 0 ? [id, ...others(link)] : [])));
}

/** A world in which something is shown, or hidden, only because something hidden is there: no server without the hidden can be its twin. */
export class Unsettled extends Error {}

function frozenAt(anchor: Version | undefined): string[] {
  return anchor && !anchor.deleted ? [...new Set(referencesIn(anchor.content))] : [];
}
