/**
 * HTML as tagged templates. https://html.spec.whatwg.org/multipage/syntax.html
 * Invariant: every value is escaped unless it is itself the result of `html`, so text from a record can never become markup.
 */

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Marked by identity, not by shape: an object out of a JSON body that looks like markup is still escaped. */
const made = new WeakSet<Html>();
export type Html = { readonly markup: string };
type Value = Html | string | number | undefined | readonly Html[];

export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  const result = { markup: strings.reduce((text, part, i) => text + render(values[i - 1]) + part) };
  made.add(result);
  return result;
}

function render(value: Value): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(render).join('');
  if (typeof value === 'object' && made.has(value as Html)) return (value as Html).markup;
  // Text of a record may have any JSON type, whatever its definition says.
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.replace(/[&<>"']/g, (character) => escapes[character] ?? '');
}
