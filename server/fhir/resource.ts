/** A resource as the server carries it: `text` is what is stored and served, `value` is for looking at. */
export type ResourceValue = { readonly resourceType: string; readonly id?: string; readonly [element: string]: unknown };
export type ResourceDocument = { readonly value: ResourceValue; readonly text: string };

/** A JSON object: an element with members of its own. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
