/**
 * The Patient compartment of R4 as a table, and which Patients a resource names.
 * https://hl7.org/fhir/R4/compartmentdefinition-patient.html, consent.md §2 rule 4
 *
 * Invariant: patientsNamed never misses a Patient a resource refers to by reference; where a reference can be read two ways it counts,
 * because a Patient named too many only closes the resource further.
 */
import { relativeToBase } from './references.ts';

/** Type → search parameters through which a resource of that type enters a Patient's compartment. The Patient itself is in its own. */
export const patientCompartment: Readonly<Record<string, readonly string[]>> = {
  Account: ['subject'],
  AdverseEvent: ['subject'],
  AllergyIntolerance: ['patient', 'recorder', 'asserter'],
  Appointment: ['actor'],
  AppointmentResponse: ['actor'],
  AuditEvent: ['patient'],
  Basic: ['patient', 'author'],
  BodyStructure: ['patient'],
  CarePlan: ['patient', 'performer'],
  CareTeam: ['patient', 'participant'],
  ChargeItem: ['subject'],
  Claim: ['patient', 'payee'],
  ClaimResponse: ['patient'],
  ClinicalImpression: ['subject'],
  Communication: ['subject', 'sender', 'recipient'],
  CommunicationRequest: ['subject', 'sender', 'recipient', 'requester'],
  Composition: ['subject', 'author', 'attester'],
  Condition: ['patient', 'asserter'],
  Consent: ['patient'],
  Coverage: ['policy-holder', 'subscriber', 'beneficiary', 'payor'],
  CoverageEligibilityRequest: ['patient'],
  CoverageEligibilityResponse: ['patient'],
  DetectedIssue: ['patient'],
  DeviceRequest: ['subject', 'performer'],
  DeviceUseStatement: ['subject'],
  DiagnosticReport: ['subject'],
  DocumentManifest: ['subject', 'author', 'recipient'],
  DocumentReference: ['subject', 'author'],
  Encounter: ['subject'],
  EnrollmentRequest: ['subject'],
  EpisodeOfCare: ['patient'],
  ExplanationOfBenefit: ['patient', 'payee'],
  FamilyMemberHistory: ['patient'],
  Flag: ['patient'],
  Goal: ['patient'],
  Group: ['member'],
  ImagingStudy: ['patient'],
  Immunization: ['patient'],
  ImmunizationEvaluation: ['patient'],
  ImmunizationRecommendation: ['patient'],
  Invoice: ['subject', 'patient', 'recipient'],
  List: ['subject', 'source'],
  MeasureReport: ['patient'],
  Media: ['subject'],
  MedicationAdministration: ['patient', 'performer', 'subject'],
  MedicationDispense: ['subject', 'patient', 'receiver'],
  MedicationRequest: ['subject'],
  MedicationStatement: ['subject'],
  MolecularSequence: ['patient'],
  NutritionOrder: ['patient'],
  Observation: ['subject', 'performer'],
  Patient: ['link'],
  Person: ['patient'],
  Procedure: ['patient', 'performer'],
  Provenance: ['patient'],
  QuestionnaireResponse: ['subject', 'author'],
  RelatedPerson: ['patient'],
  RequestGroup: ['subject', 'participant'],
  ResearchSubject: ['individual'],
  RiskAssessment: ['subject'],
  Schedule: ['actor'],
  ServiceRequest: ['subject', 'performer'],
  Specimen: ['subject'],
  SupplyDelivery: ['patient'],
  SupplyRequest: ['subject'],
  Task: ['patient', 'focus'],
  VisionPrescription: ['patient'],
};

/**
 * Logical ids of every Patient the resource names, each once, in order of appearance: itself, references anywhere (also from contained
 * resources), Patients inside a Bundle or Parameters; not a contained Patient. `base`: our own FHIR base URL, so that absolute
 * references to it count. `links`: what references that are not resolved yet stand for.
 */
export function patientsNamed(resource: unknown, base: string, links?: ReadonlyMap<string, string>): string[] {
  const found = new Set<string>();
  walk(resource, { base, found, links, contained: false });
  return [...found];
}

/** Elements whose Reference is of a patient unless it says that it is of something else. */
const OF_A_PATIENT = new Set([
  'subject',
  'patient',
  'for',
  'beneficiary',
  'subscriber',
  'policyHolder',
  'individual',
  'entity',
  'sourcePatientInfo',
  'candidate',
]);
/** Reference.type is a URI, relative to this where it is not absolute: both spellings are one type. https://hl7.org/fhir/R4/references.html#Reference */
const TYPES = 'http://hl7.org/fhir/StructureDefinition/';

/**
 * Whether it names a patient in a way that leads to nobody's id: by an identifier alone (a logical reference), as a contained Patient, or as one in a
 * Bundle without an id. Beside a reference an identifier adds nobody. https://hl7.org/fhir/R4/references.html#logical
 */
export function namesUnknownPatient(resource: unknown): boolean {
  return isUnknown(resource, { contained: false, name: '' });
}

function isUnknown(node: unknown, at: { readonly contained: boolean; readonly name: string }): boolean {
  if (Array.isArray(node)) return node.some((item) => isUnknown(item, at));
  if (typeof node !== 'object' || node === null) return false;
  const element = node as Readonly<Record<string, unknown>>;
  if (element['resourceType'] === 'Patient' && (at.contained || (typeof element['id'] !== 'string' && at.name !== ''))) return true;
  const { identifier, reference } = element;
  const type = typeof element['type'] === 'string' && element['type'].startsWith(TYPES) ? element['type'].slice(TYPES.length) : element['type'];
  const isLogical = typeof identifier === 'object' && identifier !== null && !Array.isArray(identifier) && reference === undefined;
  if (isLogical && element['resourceType'] === undefined && (type === 'Patient' || (type === undefined && OF_A_PATIENT.has(at.name)))) return true;
  return Object.entries(element).some(
    ([name, value]) => typeof value === 'object' && isUnknown(value, { contained: at.contained || name === 'contained', name }),
  );
}

/** Begins the index key that says which patient a resource names; the patient's id follows. */
export const PATIENT_KEY = '@patient/';

type Walk = {
  readonly links: ReadonlyMap<string, string> | undefined;
  readonly base: string;
  readonly found: Set<string>;
  readonly contained: boolean;
};

function walk(node: unknown, state: Walk): void {
  if (Array.isArray(node)) {
    for (const item of node) walk(item, state);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const element = node as Readonly<Record<string, unknown>>;
  if (element['resourceType'] === 'Patient' && typeof element['id'] === 'string' && !state.contained) state.found.add(element['id']);
  for (const name in element) {
    const value = element[name];
    if (name === 'reference' && typeof value === 'string') addPatient(state.links?.get(value) ?? value, state);
    else if (typeof value === 'object') walk(value, name === 'contained' ? { ...state, contained: true } : state);
  }
}

/** Wider than what R4 allows as a reference: what follows the id does not matter. */
const PATIENT = /^(?:\.?\/)*Patient\/([A-Za-z0-9\-.]{1,64})(?![A-Za-z0-9\-.])/;

function addPatient(text: string, { base, found }: Walk): void {
  const id = text.includes('Patient') ? PATIENT.exec(relativeToBase(text.trim(), base))?.[1] : undefined;
  if (id !== undefined) found.add(id);
}
