/**
 * The registry of search parameters: for a type, the parameters of R4. https://hl7.org/fhir/R4/searchparameter-registry.html
 *
 * The table is built from the R4 definitions by test/support/fhir-tables.ts, because reading those at start would cost seconds and
 * hundreds of megabytes; a test keeps the two equal.
 */
import table from './search-parameters.json' with { type: 'json' };

export type SearchParameterType = 'number' | 'date' | 'string' | 'token' | 'reference' | 'composite' | 'quantity' | 'uri' | 'special' | 'text';

export type SearchParameter = {
  /** The type it was defined on; `Resource` for those every type has. With `name` it is the parameter's identity. */
  readonly base: string;
  readonly name: string;
  /** `text`: R4 calls it a string, but it is asked by words. */
  readonly type: SearchParameterType;
  /** FHIRPath, only the parts that can apply to this type. */
  readonly expression: string;
  /** Types a reference may point to; undefined: any. */
  readonly targets: readonly string[] | undefined;
  /** Tokens that are bare codes: the one code system all values are from, '' for none. Undefined: values are Codings, Identifiers, …. */
  readonly system: string | undefined;
  /**
   * Of a composite: its parts, each named as the parameter that asks for it alone. Their expressions start at one value of the composite's
   * own expression, or at `%resource`.
   */
  readonly components?: readonly SearchParameter[];
  /** Of a parameter that is not R4's own: what makes it this one and no other. */
  readonly definition?: string;
};

/** For a type, name → parameter. What `searchParameters` gives, or that and more. */
export type SearchParameters = (type: string) => ReadonlyMap<string, SearchParameter>;

type Row = readonly [string, SearchParameterType, string, readonly string[] | null, string | null, (readonly Row[])?];
const rows = table.parameters as unknown as Readonly<Record<string, readonly Row[]>>;

/** Name of a choice element (`value` for `value[x]`) → the types it may have anywhere in R4. */
export const choiceTypes: Readonly<Record<string, readonly string[]>> = table.choices;

const registry = new Map<string, ReadonlyMap<string, SearchParameter>>();

/**
 * What is not asked of a type by words: there is no narrative, or no text at all. An AuditEvent is written before every answer, so words of
 * it would cost each read.
 */
const NO_WORDS: Readonly<Record<string, readonly string[]>> = {
  AuditEvent: ['_text', '_content'],
  Binary: ['_text', '_content'],
  Bundle: ['_text'],
  Parameters: ['_text'],
};

/** Name → parameter, with those of every resource. Empty for what is no type with parameters. */
export function searchParameters(type: string): ReadonlyMap<string, SearchParameter> {
  let known = registry.get(type);
  if (!known) {
    const without = Object.hasOwn(NO_WORDS, type) ? NO_WORDS[type] : [];
    known = new Map([...read('Resource'), ...read('DomainResource'), ...read(type)].filter(([name]) => !without?.includes(name)));
    if (Object.hasOwn(rows, type)) registry.set(type, known);
  }
  return known;
}

function read(base: string): (readonly [string, SearchParameter])[] {
  const own = Object.hasOwn(rows, base) ? (rows[base] as readonly Row[]) : [];
  return own.map((row) => [row[0], parameter(base, row)]);
}

function parameter(base: string, [name, type, expression, targets, system, components]: Row): SearchParameter {
  const plain = { base, name, type, expression, targets: targets ?? undefined, system: system ?? undefined };
  return components ? { ...plain, components: components.map((row) => parameter(base, row)) } : plain;
}

/** Every row of the registry, for documentation and tests. */
export function allSearchParameters(): readonly SearchParameter[] {
  return Object.keys(rows).flatMap((base) => read(base).map(([, parameter]) => parameter));
}
