/**
 * What `_filter` asks, in the same criteria and joins as every other search: one meaning, one Gate, one budget.
 * https://hl7.org/fhir/R4/search_filter.html
 *
 * Invariant: a test that cannot be answered whole refuses the filter; nothing in it is left out.
 */
import { type SearchParameter, type SearchParameters, searchParameters } from '../fhir/search-parameters.ts';
import { type FilterTest, type FilterTree, type Operator, readFilterTree, type Step } from './filter-syntax.ts';
import { WHOLE_BYTES } from './keys.ts';
import { readTest } from './modifiers.ts';
import { paramCode } from './param-codes.ts';
import type { Given, JoinReader, Why } from './parse-joins.ts';
import type { Criteria, Criterion, Formula, SearchValue } from './query.ts';
import type { Terms } from './terms.ts';
import { foldText } from './text.ts';

type Options = { readonly base: string; readonly now: number; readonly terms: Terms; readonly parameters?: SearchParameters };
type Context = { readonly options: Options; readonly reader: JoinReader };

const MOST_STEPS = 6;

export function readFilter({ value, type }: Given, context: Context): Formula | Why {
  const tree = readFilterTree(value);
  return tree.kind === 'unread' ? tree : formulaOf(tree, type, context);
}

function formulaOf(tree: FilterTree, type: string, context: Context): Formula | Why {
  switch (tree.kind) {
    case 'test': {
      const criteria = readPath(tree, tree.path, type, context);
      return 'why' in criteria ? criteria : { kind: 'criteria', criteria };
    }
    case 'not': {
      const of = formulaOf(tree.of, type, context);
      return 'why' in of ? of : { kind: 'not', of };
    }
    default: {
      const of: Formula[] = [];
      for (const part of tree.of) {
        const one = formulaOf(part, type, context);
        if ('why' in one) return one;
        of.push(one);
      }
      return { kind: tree.kind, of };
    }
  }
}

/** `path`: what is left of the test's. */
function readPath(test: FilterTest, path: readonly Step[], type: string, context: Context): Criteria | Why {
  const [step, ...rest] = path;
  if (!step) throw new Error('A test has no path.'); // filter-syntax.ts lets none through
  if (test.path.length > MOST_STEPS) return at(test, `leads over more than ${MOST_STEPS - 1} references`);
  if (rest.length === 0) return readLast(test, step.name, type, context);
  const given = { name: `${step.name}.${rest.map(({ name }) => name).join('.')}`, value: test.value, type };
  const join = context.reader.join(given, (inner) => readStep(test, { ...step, rest }, inner.type, context));
  if (!join) return at(test, `goes on from ${step.name}, which is no reference of ${type} that can be followed`);
  return 'why' in join ? join : { type, criteria: [], joins: [join] };
}

function readStep(test: FilterTest, { where, rest }: Step & { readonly rest: readonly Step[] }, type: string, context: Context): Criteria | Why {
  const criteria = readPath(test, rest, type, context);
  if ('why' in criteria || !where) return criteria;
  const formula = formulaOf(where, type, context);
  return 'why' in formula ? formula : { ...criteria, joins: [...criteria.joins, { kind: 'formula', of: formula }] };
}

function at({ at: place }: FilterTest, why: string): Why {
  return { why: `has a test at character ${place} that ${why}` };
}

function readLast(test: FilterTest, name: string, type: string, { options }: Context): Criteria | Why {
  const parameter = (options.parameters ?? searchParameters)(type).get(name);
  if (!parameter || paramCode(parameter) === undefined) return at(test, `asks for what is not known for ${type}`);
  const way = wayOf(test.operator, parameter);
  if (!way) return at(test, `uses ${test.operator}, which a parameter of the kind ${parameter.type} does not take here`);
  const value = 'missing' in way ? (test.value === 'true' ? 'false' : test.value === 'false' ? 'true' : '') : escaped(test.value, parameter);
  const read = readTest({ parameter, modifier: way.modifier, value: (way.prefix ?? '') + value }, options);
  if (read.test === 'unusable') return at(test, read.why);
  const criterion = way.as && read.test !== 'missing' ? retold(read, way.as) : read;
  return 'why' in criterion ? at(test, criterion.why) : { type, criteria: [criterion], joins: [] };
}

/** One value, whatever is in it: escapes are for the query of a URL. A | parts a token and a quantity, a $ a composite. */
function escaped(value: string, { type }: SearchParameter): string {
  if (type === 'string' || type === 'uri') return value.replace(/[\\,|$]/g, '\\$&');
  return value.replace(type === 'composite' ? /[\\,]/g : /[\\,$]/g, '\\$&');
}

type Way = {
  readonly modifier?: string;
  readonly prefix?: string;
  readonly as?: 'equals' | 'ends' | 'differs' | 'overlaps';
  readonly missing?: true;
};

/** The search that asks the same. Undefined: there is none. */
function wayOf(operator: Operator, { type, name }: SearchParameter): Way | undefined {
  if (operator === 'pr') return name === '_id' || type === 'text' ? undefined : { modifier: 'missing', missing: true };
  if (name === '_id') return operator === 'eq' ? {} : operator === 'ne' ? { modifier: 'not' } : undefined;
  return WAYS[type]?.[operator];
}

const measured: Readonly<Partial<Record<Operator, Way>>> = Object.fromEntries(
  ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb'].map((prefix) => [prefix, { prefix }]),
);

const WAYS: Readonly<Partial<Record<SearchParameter['type'], Readonly<Partial<Record<Operator, Way>>>>>> = {
  string: { eq: { as: 'equals' }, ne: { as: 'differs' }, co: { modifier: 'contains' }, sw: {}, ew: { as: 'ends' } },
  token: {
    eq: {},
    ne: { as: 'differs' },
    in: { modifier: 'in' },
    ni: { modifier: 'not-in' },
    ss: { modifier: 'below' },
    sb: { modifier: 'above' },
  },
  reference: { eq: {}, re: {}, ne: { as: 'differs' } },
  uri: { eq: {}, ne: { as: 'differs' }, sw: { modifier: 'below' } },
  date: { ...measured, po: { as: 'overlaps' } },
  number: measured,
  quantity: measured,
  composite: { eq: {} },
  special: { eq: {} },
  text: { eq: {} },
};

function retold(read: Criterion, as: NonNullable<Way['as']>): Criterion | Why {
  const why = read.values.map((value) => whyNot(value, as)).find((one) => one !== undefined);
  if (why !== undefined) return { why };
  if (as !== 'overlaps') return { ...read, test: as };
  // Of `ap` it has the meaning and not the margin.
  return { ...read, values: read.values.map((value) => (value.kind === 'date' ? { ...value, prefix: 'ap' } : value)) };
}

function whyNot(value: SearchValue, as: NonNullable<Way['as']>): string | undefined {
  if (as === 'overlaps') return value.kind === 'date' && value.prefix !== 'eq' ? 'has a prefix in its value' : undefined;
  if (value.kind === 'string' && Buffer.byteLength(foldText(value.text)) > WHOLE_BYTES) return `compares more than ${WHOLE_BYTES} bytes`;
  if (value.kind === 'token' && value.value === undefined) return 'needs a code to differ from';
  if (value.kind === 'reference' && value.versioned !== undefined) return 'compares a version with ne';
  return undefined;
}

/** Whether the formula holds where this says which of its criteria do. */
export function holdsFormula(formula: Formula, holds: (criteria: Criteria) => boolean): boolean {
  switch (formula.kind) {
    case 'criteria':
      return holds(formula.criteria);
    case 'not':
      return !holdsFormula(formula.of, holds);
    case 'and':
      return formula.of.every((part) => holdsFormula(part, holds));
    case 'or':
      return formula.of.some((part) => holdsFormula(part, holds));
  }
}
