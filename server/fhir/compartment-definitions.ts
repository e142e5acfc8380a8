/**
 * The five compartments of R4: type → search parameters through which a resource of that type enters a compartment.
 * https://hl7.org/fhir/R4/compartmentdefinition.html
 */
import { patientCompartment } from './compartments.ts';

export type Compartment = Readonly<Record<string, readonly string[]>>;

/** Each line `Type: parameter parameter`; `{def}` is the resource the compartment is named after. */
function table(lines: string): Compartment {
  const rows = lines
    .trim()
    .split('\n')
    .map((line) => {
      const [type = '', parameters = ''] = line.trim().split(': ');
      return [type, parameters.split(' ')] as const;
    });
  return Object.fromEntries(rows);
}

const encounter = table(`
  CarePlan: encounter
  CareTeam: encounter
  ChargeItem: context
  Claim: encounter
  ClinicalImpression: encounter
  Communication: encounter
  CommunicationRequest: encounter
  Composition: encounter
  Condition: encounter
  DeviceRequest: encounter
  DiagnosticReport: encounter
  DocumentManifest: related-ref
  DocumentReference: encounter
  Encounter: {def}
  ExplanationOfBenefit: encounter
  Media: encounter
  MedicationAdministration: context
  MedicationRequest: encounter
  NutritionOrder: encounter
  Observation: encounter
  Procedure: encounter
  QuestionnaireResponse: encounter
  RequestGroup: encounter
  ServiceRequest: encounter
  VisionPrescription: encounter`);

const relatedPerson = table(`
  AdverseEvent: recorder
  AllergyIntolerance: asserter
  Appointment: actor
  AppointmentResponse: actor
  Basic: author
  CarePlan: performer
  CareTeam: participant
  ChargeItem: enterer performer-actor
  Claim: payee
  Communication: sender recipient
  CommunicationRequest: sender recipient requester
  Composition: author
  Condition: asserter
  Coverage: policy-holder subscriber payor
  DocumentManifest: author recipient
  DocumentReference: author
  Encounter: participant
  ExplanationOfBenefit: payee
  Invoice: recipient
  MedicationAdministration: performer
  MedicationStatement: source
  Observation: performer
  Patient: link
  Person: link
  Procedure: performer
  Provenance: agent
  QuestionnaireResponse: author source
  RelatedPerson: {def}
  RequestGroup: participant
  Schedule: actor
  ServiceRequest: performer
  SupplyRequest: requester`);

const practitioner = table(`
  Account: subject
  AdverseEvent: recorder
  AllergyIntolerance: recorder asserter
  Appointment: actor
  AppointmentResponse: actor
  AuditEvent: agent
  Basic: author
  CarePlan: performer
  CareTeam: participant
  ChargeItem: enterer performer-actor
  Claim: enterer provider payee care-team
  ClaimResponse: requestor
  ClinicalImpression: assessor
  Communication: sender recipient
  CommunicationRequest: sender recipient requester
  Composition: subject author attester
  Condition: asserter
  CoverageEligibilityRequest: enterer provider
  CoverageEligibilityResponse: requestor
  DetectedIssue: author
  DeviceRequest: requester performer
  DiagnosticReport: performer
  DocumentManifest: subject author recipient
  DocumentReference: subject author authenticator
  Encounter: practitioner participant
  EpisodeOfCare: care-manager
  ExplanationOfBenefit: enterer provider payee care-team
  Flag: author
  Group: member
  Immunization: performer
  Invoice: participant
  Linkage: author
  List: source
  Media: subject operator
  MedicationAdministration: performer
  MedicationDispense: performer receiver
  MedicationRequest: requester
  MedicationStatement: source
  MessageHeader: receiver author responsible enterer
  NutritionOrder: provider
  Observation: performer
  Patient: general-practitioner
  PaymentNotice: provider
  PaymentReconciliation: requestor
  Person: practitioner
  Practitioner: {def}
  PractitionerRole: practitioner
  Procedure: performer
  Provenance: agent
  QuestionnaireResponse: author source
  RequestGroup: participant author
  ResearchStudy: principalinvestigator
  RiskAssessment: performer
  Schedule: actor
  ServiceRequest: performer requester
  Specimen: collector
  SupplyDelivery: supplier receiver
  SupplyRequest: requester
  VisionPrescription: prescriber`);

const device = table(`
  Account: subject
  Appointment: actor
  AppointmentResponse: actor
  AuditEvent: agent
  ChargeItem: enterer performer-actor
  Claim: procedure-udi item-udi detail-udi subdetail-udi
  Communication: sender recipient
  CommunicationRequest: sender recipient
  Composition: author
  DetectedIssue: author
  Device: {def}
  DeviceRequest: device subject requester performer
  DeviceUseStatement: device
  DiagnosticReport: subject
  DocumentManifest: subject author
  DocumentReference: subject author
  ExplanationOfBenefit: procedure-udi item-udi detail-udi subdetail-udi
  Flag: author
  Group: member
  Invoice: participant
  List: subject source
  Media: subject
  MedicationAdministration: device
  MessageHeader: target
  Observation: subject device
  Provenance: agent
  QuestionnaireResponse: author
  RequestGroup: author
  RiskAssessment: performer
  Schedule: actor
  ServiceRequest: performer requester
  Specimen: subject
  SupplyRequest: requester`);

const compartments: Readonly<Record<string, Compartment>> = {
  // The definition leaves the Patient itself to its text: it is in its own compartment.
  Patient: { ...patientCompartment, Patient: ['{def}', ...(patientCompartment['Patient'] ?? [])] },
  Encounter: encounter,
  RelatedPerson: relatedPerson,
  Practitioner: practitioner,
  Device: device,
};

/** Undefined for a type that no compartment is named after. */
export function compartmentOf(type: string): Compartment | undefined {
  return Object.hasOwn(compartments, type) ? compartments[type] : undefined;
}

/** Stands for the resource the compartment is named after. */
export const ITSELF = '{def}';
