/** SearchParameters as somebody might post them, over the elements that the samples have. */
import fc from 'fast-check';
import type { SearchParameters } from '../../server/fhir/search-parameters.ts';
import { AssentError } from '../../server/errors.ts';
import { createParameters } from '../../server/search/registry.ts';
import { storedAfter, type StoredParameter, withStored } from '../../server/search/stored-parameters.ts';
import { resourceOf } from './samples.ts';

/** Paths to what there is in a value, some levels down. */
function pathsIn(value: unknown, path: string, into: Set<string>): void {
  if (Array.isArray(value)) return value.forEach((one) => pathsIn(one, path, into));
  into.add(path);
  if (typeof value !== 'object' || value === null || path.split('.').length > 4) return;
  for (const [name, member] of Object.entries(value)) {
    if (name === 'resourceType' || name === 'meta') continue;
    const [, choice, type] = /^(deceased|effective|value|onset|abatement|occurrence|probability)([A-Z]\w+)$/.exec(name) ?? [];
    const step =
      choice === undefined
        ? name
        : `${choice}.ofType(${/^(Boolean|String|Decimal)$/.test(type ?? '') ? type?.toLowerCase() : type === 'DateTime' ? 'dateTime' : type})`;
    pathsIn(member, `${path}.${step}`, into);
  }
}

const endings = [
  '',
  '',
  '',
  '',
  '.first()',
  '[0]',
  '.exists()',
  ".where(system = 'phone')",
  ".where(use = 'home')",
  '.where(resolve() is Patient)',
  '.where(code.exists())',
];
const kinds = ['string', 'token', 'reference', 'date', 'number', 'quantity', 'uri'];

/** Those of a type that are accepted, with how many were not. */
export function madeUpParameters(
  type: string,
  seed: number,
): { readonly parameters: SearchParameters; readonly names: readonly string[]; readonly refused: number } {
  const paths = new Set<string>();
  for (const resource of fc.sample(resourceOf(type), { numRuns: 60, seed })) pathsIn(resource, type, paths);
  const registry = createParameters([]);
  const drawn = fc.sample(
    fc.record({
      path: fc.constantFrom(...paths),
      ending: fc.constantFrom(...endings),
      kind: fc.constantFrom(...kinds),
      other: fc.constantFrom('', ...paths),
    }),
    { numRuns: 300, seed },
  );
  let stored: readonly StoredParameter[] = [];
  let refused = 0;
  const add = (code: string, kind: string, more: object): void => {
    const resource = { status: 'active', url: `http://example.org/SearchParameter/${type}-${code}`, code, base: [type], type: kind, ...more };
    try {
      stored = storedAfter(registry, stored, { id: code, version: code, resource });
    } catch (error) {
      if (!(error instanceof AssentError)) throw error;
      refused++;
    }
  };
  for (const [i, { path, ending, kind, other }] of drawn.entries()) {
    const expression = i % 5 === 0 && other !== '' ? `${path} | ${other}` : path + ending;
    if (stored.length < 24) add(`made-${i}`, kind, { expression });
  }
  // Pairs of what is in one element.
  const simple = stored.filter(({ definition }) => /^[\w.]+$/.test(definition.expression));
  for (const [i, { definition }] of simple.entries()) {
    const owner = definition.expression.replace(/\.\w+$/, '');
    const beside = simple.find((one) => one.definition !== definition && one.definition.expression.startsWith(`${owner}.`));
    const part = ({ url, expression }: StoredParameter['definition']) => ({ definition: url, expression: expression.slice(owner.length + 1) });
    if (beside && owner !== type) add(`pair-${i}`, 'composite', { expression: owner, component: [part(definition), part(beside.definition)] });
  }
  const ready = stored.map((one) => ({ ...one, pending: [] }));
  return { parameters: withStored(registry, ready).asked, names: ready.map(({ definition }) => definition.code), refused };
}
