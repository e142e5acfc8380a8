/** The places of R4 where a Reference may stand, from the definitions, and resources that refer to something there. */
import type { Json } from '../../server/commands/demo/session.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import type { Property, Shape } from '../../server/validation/shapes.ts';
import type { Check } from '../../server/validation/validate.ts';
import { shapes, valueOf } from '../validation/samples.ts';

type Step = { readonly key: string; readonly property: Property };
/** `targets`: types that may be referred to there; undefined: any. */
export type Place = { readonly type: string; readonly path: readonly Step[]; readonly targets: ReadonlySet<string> | undefined };

const DEEPEST = 4;
/** These may stand in every element, of every type. */
const GENERIC = new Set(['extension', 'modifierExtension']);

export const pathOf = ({ type, path }: Place) => [type, ...path.map(({ key }) => key)].join('.');

export function placesOf(type: string): readonly Place[] {
  return placesIn(type, shapes.resource(type) as Shape, []);
}

/** Down to where definitions begin to repeat themselves. */
function placesIn(type: string, shape: Shape, path: readonly Step[]): Place[] {
  return [...shape.properties].flatMap(([key, property]): Place[] => {
    if (property.isTwin || property.type.kind !== 'complex' || GENERIC.has(property.element.name)) return [];
    const steps = [...path, { key, property }];
    const { name, targets } = property.type;
    if (name === 'Reference') return [{ type, path: steps, targets }];
    const within = property.type.shape();
    const repeats = steps.length >= DEEPEST || path.some((step) => step.property.type.kind === 'complex' && step.property.type.shape() === within);
    return repeats ? [] : placesIn(type, within, steps);
  });
}

type Naming = { readonly sample: Json; readonly reference: string; readonly patient: string; readonly check: Check };

/** A valid resource that refers to this there, and wherever else it names a patient to that one; undefined: its rules do not let it. */
export function naming(place: Place, { check, ...named }: Naming): Json | undefined {
  const isValid = (value: Json) => check.check({ value: value as ResourceValue, text: '' }).every(({ severity }) => severity !== undefined);
  return [false, true].map((bare) => planting(place, { ...named, bare })).find(isValid);
}

/** `bare`: in what holds the place stands no more than must. */
function planting({ path }: Place, { sample, reference, patient, bare }: Omit<Naming, 'check'> & { readonly bare: boolean }): Json {
  const made = JSON.parse(JSON.stringify(sample).replace(/"Patient\/[^"]+"/g, `"${patient}"`)) as Json;
  let owner = made as Record<string, unknown>;
  for (const [i, { key, property }] of path.entries()) {
    for (const other of property.element.keys) if (other !== key) delete owner[other];
    const last = i === path.length - 1;
    const [before] = [owner[key]].flat();
    const value = (last ? { reference } : bare || before === undefined ? valueOf(property, DEEPEST) : before) as Record<string, unknown>;
    owner[key] = property.element.isList ? [value] : value;
    owner = value;
  }
  return made;
}
