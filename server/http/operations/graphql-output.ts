/**
 * The answer of a GraphQL query as it grows: fields in their order, their values as exact texts. https://hl7.org/fhir/R4/graphql.html#directives
 * Invariant: a value that came from a resource is written as it stands there.
 */
import { objectText } from '../../fhir/json-text.ts';

export type Value = string | Output;

type Field = { many: boolean; readonly values: Value[] };
export type Output = Map<string, Field>;

/** Flattened fields give their values to one field one by one, so it may be there already. `many`: an array whatever it holds. */
export function addValue(output: Output, key: string, { many }: { readonly many: boolean }, ...values: readonly Value[]): void {
  const field = output.get(key) ?? { many, values: [] };
  field.many ||= many;
  field.values.push(...values);
  output.set(key, field);
}

/** A field that was asked for and holds nothing is null, unless it is collected from several places. */
export function addNothing(output: Output, key: string): void {
  if (!output.has(key)) output.set(key, { many: false, values: [] });
}

export function outputText(output: Output): string {
  return objectText([...output].map(([key, field]) => [key, fieldText(field)]));
}

function fieldText({ many, values }: Field): string {
  const texts = values.map((value) => (typeof value === 'string' ? value : outputText(value)));
  return many ? `[${texts.join(',')}]` : (texts[0] ?? 'null');
}
