/**
 * The instant a resource is sorted by unless asked otherwise: when it happened, by its type's main clinical date.
 * https://hl7.org/fhir/R4/fivews.html
 */
import { choiceTypes } from '../fhir/search-parameters.ts';
import { rangeOf } from '../fhir/dates.ts';

/** Elements in the order they are tried. */
const mainDates: Readonly<Record<string, readonly string[]>> = {
  AdverseEvent: ['date', 'detected', 'recordedDate'],
  AllergyIntolerance: ['onset', 'recordedDate'],
  Appointment: ['start', 'created'],
  AuditEvent: ['recorded'],
  CarePlan: ['period', 'created'],
  CareTeam: ['period'],
  ChargeItem: ['occurrence', 'enteredDate'],
  Claim: ['billablePeriod', 'created'],
  ClaimResponse: ['created'],
  ClinicalImpression: ['effective', 'date'],
  Communication: ['sent', 'received'],
  CommunicationRequest: ['authoredOn', 'occurrence'],
  Composition: ['date'],
  Condition: ['onset', 'recordedDate'],
  Consent: ['dateTime'],
  Coverage: ['period'],
  DetectedIssue: ['identified'],
  DeviceRequest: ['authoredOn', 'occurrence'],
  DeviceUseStatement: ['timing', 'recordedOn'],
  DiagnosticReport: ['effective', 'issued'],
  DocumentManifest: ['created'],
  DocumentReference: ['date'],
  Encounter: ['period'],
  EpisodeOfCare: ['period'],
  ExplanationOfBenefit: ['billablePeriod', 'created'],
  FamilyMemberHistory: ['date'],
  Flag: ['period'],
  Goal: ['start', 'statusDate'],
  GuidanceResponse: ['occurrenceDateTime'],
  ImagingStudy: ['started'],
  Immunization: ['occurrence', 'recorded'],
  ImmunizationEvaluation: ['date'],
  ImmunizationRecommendation: ['date'],
  Invoice: ['date'],
  List: ['date'],
  MeasureReport: ['date', 'period'],
  Media: ['created', 'issued'],
  MedicationAdministration: ['effective'],
  MedicationDispense: ['whenHandedOver', 'whenPrepared'],
  MedicationRequest: ['authoredOn'],
  MedicationStatement: ['effective', 'dateAsserted'],
  NutritionOrder: ['dateTime'],
  Observation: ['effective', 'issued'],
  Procedure: ['performed'],
  Provenance: ['occurred', 'recorded'],
  QuestionnaireResponse: ['authored'],
  RequestGroup: ['authoredOn'],
  ResearchSubject: ['period'],
  RiskAssessment: ['occurrence'],
  Schedule: ['planningHorizon'],
  ServiceRequest: ['authoredOn', 'occurrence'],
  Slot: ['start'],
  Specimen: ['receivedTime'],
  SupplyDelivery: ['occurrence'],
  SupplyRequest: ['authoredOn', 'occurrence'],
  Task: ['authoredOn'],
  VisionPrescription: ['dateWritten', 'created'],
};

const members = new Map(
  Object.entries(mainDates).map(([type, names]) => [
    type,
    names.flatMap((name) => [name, ...(choiceTypes[name] ?? []).map((choice) => name + choice[0]?.toUpperCase() + choice.slice(1))]),
  ]),
);

/** Whether a date parameter of the type, by its expression, is on the element that is tried first. */
export function isOnMainDate(type: string, expression: string): boolean {
  const [first] = mainDates[type] ?? [];
  const isFirst = (branch: string): boolean => branch.replace(/\.ofType\(\w+\)|[\s()]/g, '') === `${type}.${first}`;
  return first !== undefined && expression.split('|').every(isFirst);
}

/** ms since 1970: the low bound of the date, its high bound where the beginning is open; undefined when there is none. */
export function instantOf(resource: { readonly resourceType: string; readonly [element: string]: unknown }): number | undefined {
  for (const name of members.get(resource.resourceType) ?? []) {
    const range = rangeOf(resource[name]);
    if (range) return Number.isFinite(range.low) ? range.low : range.high;
  }
  return undefined;
}
