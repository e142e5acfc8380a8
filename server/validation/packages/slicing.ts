/**
 * Which values belong to which slice, by the discriminators value, pattern, exists, type and profile.
 * https://hl7.org/fhir/R4/profiling.html#discriminator
 *
 * Invariant: a value is of the first slice whose discriminators all match; what cannot be told apart is of no slice.
 */
import { codeFindings } from '../bindings.ts';
import type { Run } from './conformance.ts';
import { equals, includes } from './equality.ts';
import { containedTargets, type Item, itemsOf } from './items.ts';
import { type Rules, unversioned } from './rules.ts';
import type { Slicing } from './slim.ts';

export type Assigned = {
  readonly slices: ReadonlyMap<Rules, readonly Item[]>;
  /** Values of no slice. */
  readonly rest: readonly Item[];
  /** Values that stand before a slice they must follow. */
  readonly misplaced: readonly Item[];
};

type Discriminator = NonNullable<Slicing['discriminator']>[number];

export function assign(run: Run, rules: Rules, items: readonly Item[]): Assigned {
  const discriminators: readonly Discriminator[] = rules.slicing?.discriminator ?? [];
  const slices = new Map([...rules.slices.values()].map((slice) => [slice, [] as Item[]] as const));
  const rest: Item[] = [];
  const misplaced: Item[] = [];
  const order = [...slices.keys()];
  let reached = 0;
  for (const item of items) {
    // Without discriminators nothing tells the slices apart.
    const index = discriminators.length === 0 ? -1 : order.findIndex((slice) => discriminators.every((one) => matches(run, one, { slice, item })));
    const slice = order[index];
    if (!slice) {
      rest.push(item);
      if (rules.slicing?.rules === 'openAtEnd') reached = order.length;
      continue;
    }
    slices.get(slice)?.push(item);
    if ((rules.slicing?.ordered || rules.slicing?.rules === 'openAtEnd') && index < reached) misplaced.push(item);
    if (rules.slicing?.ordered) reached = Math.max(reached, index);
  }
  return { slices, rest, misplaced };
}

type Pair = { readonly slice: Rules; readonly item: Item };
type Found = { readonly items: readonly Item[]; readonly rules: readonly Rules[] };

function matches(run: Run, { type, path = '$this' }: Discriminator, { slice, item }: Pair): boolean {
  // Extensions are told apart by the address of their definition.
  if (path === 'url' && item.type === 'Extension' && slice.types.some(({ profiles }) => profiles.length > 0)) {
    const url = (item.value as { readonly url?: unknown } | undefined)?.url;
    return slice.types.some(({ profiles }) => profiles.some((profile) => unversioned(profile) === url));
  }
  const found = follow(run, path, { items: [item], rules: [slice] });
  switch (type) {
    case 'value':
    case 'pattern':
      return found.items.some((value) => found.rules.some((rules) => fits(run, rules, value) === 'fits'));
    case 'exists':
      return found.rules.some(({ min, max }) => (max === 0 ? found.items.length === 0 : min > 0 && found.items.length > 0));
    case 'type':
      return found.items.some((value) => found.rules.some(({ types }) => types.some(({ code }) => code === value.type)));
    case 'profile':
      return found.items.some((value) => found.rules.some((rules) => meetsProfile(run, rules, value)));
    default:
      return false;
  }
}

const STEP = /extension\('([^']+)'\)|resolve\(\)|ofType\(([A-Za-z]+)\)|([A-Za-z]\w*)/g;

/** Goes the discriminator's path in the value and in the rules at once. */
function follow(run: Run, path: string, start: Found): Found {
  let at = start;
  for (const [step, extension, type, name] of path.replace('$this', '').matchAll(STEP)) {
    if (extension !== undefined) at = intoExtension(run, at, extension);
    else if (step === 'resolve()')
      at = { items: at.items.flatMap((item) => resolved(run, item)), rules: at.rules.map((rules) => targetRules(run, rules)) };
    else if (type !== undefined) at = { items: at.items.filter((item) => item.type === type), rules: at.rules };
    else if (name !== undefined) at = into(run, at, name);
  }
  return at;
}

function into(run: Run, { items, rules }: Found, name: string): Found {
  return {
    items: items.flatMap((item) => [...itemsOf(item, name, run.shapes), ...itemsOf(item, `${name}[x]`, run.shapes)]),
    rules: rules.flatMap((one) => childRules(run, one, name)),
  };
}

/** Those of the slice itself, of its parts in slices, or of the profile of its type. */
function childRules(run: Run, rules: Rules, name: string): readonly Rules[] {
  const child = rules.children.get(name) ?? rules.children.get(`${name}[x]`);
  if (child) return [child, ...child.slices.values()];
  return rules.types.flatMap(({ profiles }) =>
    profiles.flatMap((canonical) => {
      const profile = run.profiles.find(canonical, run.profile);
      return profile ? childRules({ ...run, profile }, profile.root, name) : [];
    }),
  );
}

function intoExtension(run: Run, { items, rules }: Found, url: string): Found {
  const isIt = (value: unknown) => (value as { readonly url?: unknown } | undefined)?.url === url;
  return {
    items: items.flatMap((item) => itemsOf(item, 'extension', run.shapes)).filter(({ value }) => isIt(value)),
    rules: rules.flatMap((one) =>
      [...(one.children.get('extension')?.slices.values() ?? [])].filter(({ types }) => types.some(({ profiles }) => profiles.includes(url))),
    ),
  };
}

/** Only what is inside the resource can be looked at; of anything else the type is known at most. */
function resolved(run: Run, item: Item): readonly Item[] {
  const { value, place } = item;
  const { reference, type } = (value ?? {}) as { readonly reference?: unknown; readonly type?: unknown };
  if (typeof reference !== 'string') return typeof type === 'string' ? [{ value: {}, twin: undefined, type, shape: undefined, place }] : [];
  const inside = run.follows ? containedTargets(item, run) : [];
  if (inside.length > 0) return inside;
  const named =
    (reference.startsWith('#') ? run.scope.contained(reference.slice(1)) : run.scope.entry(reference)) ??
    /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/[^/]+)?$/.exec(reference)?.[1];
  return named === undefined ? [] : [{ value: {}, twin: undefined, type: named, shape: undefined, place }];
}

/** What is asked of a reference's target, as the rules of that target. */
function targetRules(run: Run, rules: Rules): Rules {
  const canonicals = rules.types.flatMap(({ targets }) => targets);
  const types = canonicals.flatMap((canonical) => {
    const code = run.profiles.typeOf(canonical, run.profile);
    return code === undefined ? [] : [{ code, profiles: run.profiles.find(canonical, run.profile) ? [canonical] : [], targets: [] }];
  });
  return { ...rules, types };
}

function meetsProfile(run: Run, { types }: Rules, item: Item): boolean {
  return types.some(({ code, profiles }) => {
    if (code !== item.type) return false;
    if (!item.shape || profiles.length === 0) return true;
    return profiles.some((canonical) => {
      const profile = run.profiles.find(canonical, run.profile);
      return profile !== undefined && run.conforms(profile, item);
    });
  });
}

/** Whether a value is what rules fix, ask for or bind; 'silent' where they do none of it. */
function fits(run: Run, rules: Rules, item: Item): 'fits' | 'differs' | 'silent' {
  const { fixed, pattern, binding } = rules;
  if (fixed && !equals(item.value, fixed.value)) return 'differs';
  if (pattern && !includes(item.value, pattern.value)) return 'differs';
  const isBound = binding?.strength === 'required' && item.value !== undefined;
  if (isBound && codeFindings({ type: item.type, value: item.value, binding }, run.valueSets).some(({ severity }) => severity === undefined))
    return 'differs';
  let speaks = fixed !== undefined || pattern !== undefined || isBound;
  for (const [name, child] of rules.children) {
    const verdicts = itemsOf(item, name, run.shapes).map((value) => fits(run, child, value));
    if (verdicts.includes('differs') && !verdicts.includes('fits')) return 'differs';
    if (verdicts.length === 0 && child.min > 0) return 'differs';
    if (verdicts.includes('fits')) speaks = true;
  }
  return speaks ? 'fits' : 'silent';
}
