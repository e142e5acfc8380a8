/**
 * The resource types of R4 and what the consent room asks of a type: is it in the Patient compartment, is it open by scope alone.
 * https://hl7.org/fhir/R4/resourcelist.html, consent.md §2 rule 5
 *
 * Invariant: a type is closed unless it is listed here as open.
 */
import { patientCompartment } from './compartments.ts';

const list = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Every concrete type of R4 4.0.1, in alphabetical order (its count of 148 includes the abstract Resource and DomainResource). */
export const resourceTypes: readonly string[] = list(`
  Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
  BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition
  Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest CompartmentDefinition Composition ConceptMap
  Condition Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition
  DeviceMetric DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter
  Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario
  ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
  ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location Measure
  MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement
  MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
  MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
  MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionOrder Observation
  ObservationDefinition OperationDefinition OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice
  PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
  RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment
  RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap
  Subscription Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
  SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet VerificationResult
  VisionPrescription`);

const known = new Set(resourceTypes);

export function isResourceType(text: string): boolean {
  return known.has(text);
}

/** Types whose instances R4 places in a Patient's compartment. */
export function inPatientCompartment(type: string): boolean {
  return Object.hasOwn(patientCompartment, type);
}

const open = new Set([
  // The directory.
  ...list(`Organization OrganizationAffiliation Practitioner PractitionerRole Location HealthcareService Endpoint InsurancePlan`),
  // What is given, not to whom.
  ...list(`Medication MedicationKnowledge Substance`),
  // Conformance.
  ...list(`CapabilityStatement StructureDefinition ImplementationGuide SearchParameter MessageDefinition OperationDefinition
    CompartmentDefinition StructureMap GraphDefinition ExampleScenario TestScript`),
  // Terminology.
  ...list(`CodeSystem ValueSet ConceptMap NamingSystem TerminologyCapabilities`),
  // Definitions of care, evidence and research.
  ...list(`ActivityDefinition PlanDefinition Questionnaire Library Measure EventDefinition ChargeItemDefinition ObservationDefinition
    SpecimenDefinition DeviceDefinition ResearchDefinition ResearchElementDefinition Evidence EvidenceVariable EffectEvidenceSynthesis
    RiskEvidenceSynthesis`),
  // Definitions of products and substances.
  ...list(`MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication
    MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
    MedicinalProductPharmaceutical MedicinalProductUndesirableEffect SubstanceNucleicAcid SubstancePolymer SubstanceProtein
    SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification`),
]);

/** Rule 5: a resource of this type that names no patient needs no consent, only the scope. */
export function opensByScopeAlone(type: string): boolean {
  return open.has(type);
}
