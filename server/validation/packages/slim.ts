/** A StructureDefinition without what validation never reads: texts, mappings, examples. https://hl7.org/fhir/R4/structuredefinition.html */

/** Begins the canonical of each definition that is R4's own. */
export const CORE = 'http://hl7.org/fhir/StructureDefinition/';

export type ProfileSource = {
  readonly url: string;
  readonly version: string;
  readonly type: string;
  readonly kind: string;
  readonly derivation: string | undefined;
  readonly baseDefinition: string | undefined;
  /** Whether `elements` say everything (a snapshot) or only what differs from the base. */
  readonly isWhole: boolean;
  readonly elements: readonly SlimElement[];
};

export type Slicing = {
  readonly discriminator?: readonly { readonly type?: string; readonly path?: string }[];
  readonly ordered?: boolean;
  readonly rules?: string;
};

/** As publishers write it: whatever R4 requires of an element may be missing. */
type Element = {
  readonly id?: string;
  readonly path?: string;
  readonly sliceName?: string;
  readonly min?: number;
  readonly max?: string;
  readonly maxLength?: number;
  readonly contentReference?: string;
  readonly slicing?: Slicing;
  readonly type?: readonly { readonly code?: string; readonly profile?: readonly string[]; readonly targetProfile?: readonly string[] }[];
  readonly binding?: { readonly strength?: string; readonly valueSet?: string };
  readonly constraint?: readonly { readonly key?: string; readonly severity?: string; readonly human?: string; readonly expression?: string }[];
};

export type SlimElement = Element & {
  readonly fixed?: { readonly value: unknown };
  readonly pattern?: { readonly value: unknown };
  readonly least?: { readonly value: unknown };
  readonly most?: { readonly value: unknown };
};

type Json = Readonly<Record<string, unknown>>;
type Elements = { readonly element?: readonly Json[] } | undefined;

export function slimProfile(definition: Json): ProfileSource {
  const whole = (definition['snapshot'] as Elements)?.element;
  const text = (name: string): string => (typeof definition[name] === 'string' ? definition[name] : '');
  return {
    url: text('url'),
    version: text('version'),
    type: text('type'),
    kind: text('kind'),
    derivation: text('derivation') || undefined,
    baseDefinition: text('baseDefinition') || undefined,
    isWhole: whole !== undefined,
    elements: (whole ?? (definition['differential'] as Elements)?.element ?? []).map(slimElement),
  };
}

const KEPT = ['id', 'path', 'sliceName', 'min', 'max', 'contentReference', 'slicing', 'maxLength'] as const;

function slimElement(element: Json): SlimElement {
  const slim: Record<string, unknown> = {};
  for (const name of KEPT) if (element[name] !== undefined) slim[name] = element[name];
  for (const name of Object.keys(element)) {
    const [, rule] = /^(fixed|pattern|minValue|maxValue)[A-Z]/.exec(name) ?? [];
    if (rule !== undefined) slim[rule === 'minValue' ? 'least' : rule === 'maxValue' ? 'most' : rule] = { value: element[name] };
  }
  const { type, binding, constraint } = element as Element;
  if (type) slim['type'] = type.map(({ code, profile, targetProfile }) => ({ code, profile, targetProfile }));
  if (binding) slim['binding'] = { strength: binding.strength, valueSet: binding.valueSet };
  if (constraint) slim['constraint'] = constraint.map(({ key, severity, human, expression }) => ({ key, severity, human, expression }));
  return slim as SlimElement;
}
