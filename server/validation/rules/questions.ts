/** Which values answer which type of question. https://hl7.org/fhir/R4/valueset-item-type.html */

/** `Decimal` of `valueDecimal`, `answerDecimal`; undefined: the type is no question. */
const ANSWERS: ReadonlyMap<string, readonly string[]> = new Map([
  ['boolean', ['Boolean']],
  ['decimal', ['Decimal', 'Integer']],
  ['integer', ['Integer']],
  ['date', ['Date']],
  ['dateTime', ['DateTime', 'Date']],
  ['time', ['Time']],
  ['string', ['String']],
  ['text', ['String']],
  ['url', ['Uri', 'String']],
  // An option of a choice is an integer, a date, a time, a string, a Coding or a Reference.
  ['choice', ['Coding', 'Integer', 'Date', 'Time', 'String', 'Reference']],
  ['open-choice', ['Coding', 'Integer', 'Date', 'Time', 'String', 'Reference']],
  ['attachment', ['Attachment']],
  ['reference', ['Reference']],
  ['quantity', ['Quantity']],
]);

export function isQuestion(type: unknown): boolean {
  return typeof type !== 'string' || (type !== 'group' && type !== 'display');
}

/** The kind of value under `value…` or `answer…`, e.g. `Decimal`; undefined when there is none. */
export function kindOf(owner: object, prefix: 'value' | 'answer'): string | undefined {
  const key = Object.keys(owner).find((name) => name.startsWith(prefix) || name.startsWith(`_${prefix}`));
  return key?.slice(key.indexOf(prefix) + prefix.length);
}

/** Whether a value of this kind answers a question of this type; types this table does not know are not judged. */
export function answers(type: unknown, kind: string): boolean {
  const kinds = typeof type === 'string' ? ANSWERS.get(type) : undefined;
  return !kinds || kinds.includes(kind);
}
