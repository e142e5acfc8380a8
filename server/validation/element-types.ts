/** Which type an element of a definition has, choice elements included. https://hl7.org/fhir/R4/formats.html#choice */

export type ElementsByName = Readonly<Record<string, { readonly type: readonly { readonly code: string }[] }>>;

/** `valueQuantity` among elements with `value[x]` → { element: 'value', type: 'Quantity' }; undefined for other names. */
export function choiceOf(elements: ElementsByName, name: string): { element: string; type: string } | undefined {
  if (Object.hasOwn(elements, name)) return undefined;
  for (const key of choicesOf(elements)) {
    if (!name.startsWith(key.slice(0, -3))) continue;
    const rest = name.slice(key.length - 3);
    const found = elements[key]?.type.find(({ code }) => code.charAt(0).toUpperCase() + code.slice(1) === rest);
    if (found) return { element: key.slice(0, -3), type: found.code };
  }
  return undefined;
}

export function typeOf(elements: ElementsByName, name: string): string | undefined {
  return Object.hasOwn(elements, name) ? elements[name]?.type[0]?.code : undefined;
}

const choices = new WeakMap<ElementsByName, readonly string[]>();

function choicesOf(elements: ElementsByName): readonly string[] {
  const known = choices.get(elements);
  if (known) return known;
  const found = Object.keys(elements).filter((key) => key.endsWith('[x]'));
  choices.set(elements, found);
  return found;
}
