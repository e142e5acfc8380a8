/**
 * What holds a Questionnaire together: unique linkIds (que-2), conditions that ask questions there are, for answers these can have (que-7), and
 * initial values of the question's type. https://hl7.org/fhir/R4/questionnaire.html
 *
 * Invariant: linear in the number of items.
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { JsonObject, Visit } from '../structure.ts';
import { answers, isQuestion, kindOf } from './questions.ts';

type Item = { readonly item: JsonObject; readonly place: Place };

export function questionnaireFindings({ value, place }: Visit): Finding[] {
  const items = itemsBelow(value, place);
  const findings: Finding[] = [];
  const types = new Map<unknown, unknown>();
  for (const { item, place: at } of items) {
    const linkId = item['linkId'];
    if (types.has(linkId))
      findings.push({
        place: { up: at, step: '.linkId' },
        diagnostics: 'Constraint que-2 not met: a linkId must be unique within the questionnaire.',
        code: 'invariant',
      });
    types.set(linkId, item['type']);
  }
  for (const { item, place: at } of items) findings.push(...conditionFindings(item, at, types), ...initialFindings(item, at));
  return findings;
}

function itemsBelow(owner: JsonObject, place: Place): Item[] {
  const found: Item[] = [];
  const open: Item[] = [{ item: owner, place }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { item, place: up } = next;
    const inner = ((item['item'] ?? []) as JsonObject[]).map((child, index): Item => ({ item: child, place: { up, step: '.item', index } }));
    found.push(...inner);
    open.push(...inner);
  }
  return found;
}

function conditionFindings(item: JsonObject, up: Place, types: ReadonlyMap<unknown, unknown>): Finding[] {
  return ((item['enableWhen'] ?? []) as JsonObject[]).flatMap((condition, index): Finding[] => {
    const place: Place = { up, step: '.enableWhen', index };
    const { question, operator } = condition;
    const kind = kindOf(condition, 'answer') ?? '';
    const at = (step: string, diagnostics: string, code: string): Finding[] => [{ place: { up: place, step }, diagnostics, code }];
    if (typeof question === 'string' && !types.has(question)) return at('.question', 'No item of the questionnaire has this linkId.', 'not-found');
    if (operator === 'exists')
      return kind === 'Boolean' ? [] : at('.answer', "Constraint que-7 not met: with the operator 'exists' the answer is a boolean.", 'invariant');
    const type = types.get(question);
    if (!isQuestion(type)) return at('.question', 'The item with this linkId asks no question.', 'value');
    return answers(type, kind) ? [] : at('.answer', 'A question of its type cannot have an answer of this type.', 'value');
  });
}

function initialFindings({ type, initial }: JsonObject, up: Place): Finding[] {
  return ((initial ?? []) as JsonObject[]).flatMap((value, index): Finding[] => {
    const kind = kindOf(value, 'value');
    // For groups and displays the published invariant que-8 speaks.
    if (kind === undefined || !isQuestion(type) || answers(type, kind)) return [];
    return [
      {
        place: { up: { up, step: '.initial', index }, step: '.value' },
        diagnostics: 'A question of this type cannot have an initial value of this type.',
        code: 'value',
      },
    ];
  });
}
