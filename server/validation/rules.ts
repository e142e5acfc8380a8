/**
 * The third step of validation: rules of single types that the published invariants leave out, or place too coarsely to be acted on.
 * https://hl7.org/fhir/R4/resourcelist.html
 *
 * Invariant: runs on resources whose shape is proven; findings carry places and words of ours, no values.
 */
import type { Finding } from './finding.ts';
import { bundleFindings } from './rules/bundle.ts';
import { containedFindings } from './rules/contained.ts';
import { attachmentFindings, identifierFindings, systemFindings } from './rules/data-types.ts';
import { extensionFindings } from './rules/extension.ts';
import { periodFindings } from './rules/period.ts';
import { questionnaireResponseFindings } from './rules/questionnaire-response.ts';
import { questionnaireFindings } from './rules/questionnaire.ts';
import { codeSystemFindings, structureDefinitionFindings } from './rules/unique.ts';
import type { Visit } from './structure.ts';

const OF_TYPE: ReadonlyMap<string, (visit: Visit) => Finding[]> = new Map([
  ['Attachment', attachmentFindings],
  ['Bundle', bundleFindings],
  ['CodeSystem', codeSystemFindings],
  ['Coding', systemFindings],
  ['Extension', extensionFindings],
  ['Identifier', identifierFindings],
  ['Period', periodFindings],
  ['Questionnaire', questionnaireFindings],
  ['QuestionnaireResponse', questionnaireResponseFindings],
  ['StructureDefinition', structureDefinitionFindings],
]);

export function ruleFindings(visit: Visit): Finding[] {
  const findings = OF_TYPE.get(visit.shape.name)?.(visit) ?? [];
  return visit.shape.isResource ? [...containedFindings(visit), ...findings] : findings;
}
