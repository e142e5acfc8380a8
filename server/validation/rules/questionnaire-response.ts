/**
 * Answers against their questions: nesting below an answer or below the item, never both (qrs-1), and, where the questionnaire is contained, that
 * each item is one of its items, with answers of its type, as many as it takes, and all that it requires. https://hl7.org/fhir/R4/questionnaireresponse.html
 */
import type { Place } from '../../fhir/place.ts';
import type { Finding } from '../finding.ts';
import type { JsonObject, Visit } from '../structure.ts';
import { answers, isQuestion, kindOf } from './questions.ts';

type Level = { readonly owner: JsonObject; readonly place: Place; readonly asked: readonly JsonObject[] | undefined };

export function questionnaireResponseFindings({ value, place, scope }: Visit): Finding[] {
  const asked = questionnaireOf(value, scope.container)?.['item'] as readonly JsonObject[] | undefined;
  const isDone = value['status'] === 'completed' || value['status'] === 'amended';
  const findings: Finding[] = [];
  const questionOf = createQuestions();
  const open: Level[] = [{ owner: value, place, asked }];
  for (let level = open.pop(); level; level = open.pop()) {
    const items = (level.owner['item'] ?? []) as readonly JsonObject[];
    if (isDone) findings.push(...missingFindings(items, level));
    const seen = new Set<unknown>();
    for (const [index, item] of items.entries()) {
      const at: Place = { up: level.place, step: '.item', index };
      const question = level.asked && questionOf(level.asked, item['linkId']);
      if (level.asked && !question)
        findings.push({ place: { up: at, step: '.linkId' }, diagnostics: 'The questionnaire has no item with this linkId here.', code: 'not-found' });
      if (question) findings.push(...answerFindings(item, question, at), ...repeatFindings({ item, question, seen, place: at }));
      findings.push(...nestingFindings(item, at));
      open.push(...levelsBelow(item, at, level.asked && ((question?.['item'] ?? []) as readonly JsonObject[])));
    }
  }
  return findings;
}

/** Finds a question by linkId without walking its level anew for each answer. */
function createQuestions(): (asked: readonly JsonObject[], linkId: unknown) => JsonObject | undefined {
  const levels = new Map<readonly JsonObject[], ReadonlyMap<unknown, JsonObject>>();
  return (asked, linkId) => {
    const known = levels.get(asked) ?? new Map(asked.map((question) => [question['linkId'], question] as const));
    levels.set(asked, known);
    return known.get(linkId);
  };
}

function questionnaireOf({ questionnaire }: JsonObject, container: JsonObject): JsonObject | undefined {
  if (typeof questionnaire !== 'string' || !questionnaire.startsWith('#')) return undefined;
  const contained = (container['contained'] ?? []) as readonly JsonObject[];
  return contained.find(({ id, resourceType }) => resourceType === 'Questionnaire' && `#${String(id)}` === questionnaire);
}

function levelsBelow(item: JsonObject, place: Place, asked: readonly JsonObject[] | undefined): Level[] {
  const given = ((item['answer'] ?? []) as JsonObject[]).map(
    (owner, index): Level => ({ owner, place: { up: place, step: '.answer', index }, asked }),
  );
  // Below a question items hang on its answers; only a group (or a question left open) has them itself.
  return item['item'] !== undefined || given.length === 0
    ? [{ owner: item, place, asked }, ...given.filter(({ owner }) => owner['item'] !== undefined)]
    : given;
}

function nestingFindings(item: JsonObject, place: Place): Finding[] {
  if (item['answer'] === undefined || item['item'] === undefined) return [];
  return [{ place, diagnostics: 'Constraint qrs-1 not met: items are nested in the answer or in the item, not in both.', code: 'invariant' }];
}

function answerFindings(item: JsonObject, { type, repeats }: JsonObject, up: Place): Finding[] {
  const given = (item['answer'] ?? []) as readonly JsonObject[];
  const at = (step: string, diagnostics: string): Finding => ({ place: { up, step }, diagnostics, code: 'value' });
  if (given.length > 0 && !isQuestion(type)) return [at('.answer', 'The item asks no question, so it has no answer.')];
  const findings = given.length > 1 && repeats !== true ? [at('.answer', 'The question takes one answer.')] : [];
  const wrong = given.flatMap((answer, index): Finding[] => {
    const kind = kindOf(answer, 'value');
    if (kind === undefined || answers(type, kind)) return [];
    return [
      { place: { up: { up, step: '.answer', index }, step: '.value' }, diagnostics: 'The question takes answers of another type.', code: 'value' },
    ];
  });
  return [...findings, ...wrong];
}

type Repeat = { readonly item: JsonObject; readonly question: JsonObject; readonly seen: Set<unknown>; readonly place: Place };

function repeatFindings({ item, question, seen, place }: Repeat): Finding[] {
  const isAgain = seen.has(item['linkId']);
  seen.add(item['linkId']);
  if (!isAgain || (question['type'] === 'group' && question['repeats'] === true)) return [];
  return [{ place, diagnostics: 'Only a repeating group may be given again; the answers of a question stand in one item.', code: 'structure' }];
}

/** A question under a condition may rightly be left out. */
function missingFindings(items: readonly JsonObject[], { asked, place }: Level): Finding[] {
  const given = new Set(items.map(({ linkId }) => linkId));
  return (asked ?? [])
    .filter(({ linkId, required, enableWhen, type }) => required === true && enableWhen === undefined && type !== 'display' && !given.has(linkId))
    .map(() => ({ place: { up: place, step: '.item' }, diagnostics: 'An item that the questionnaire requires is missing.', code: 'required' }));
}
