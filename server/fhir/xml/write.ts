/**
 * A resource's JSON text as FHIR XML. https://hl7.org/fhir/R4/xml.html
 *
 * Invariant: nothing is lost and nothing is rounded: number tokens are copied, strings keep every character, narratives stand as they
 * are. What XML cannot carry is refused, never left out.
 */
import { AssentError } from '../../errors.ts';
import { type ElementInfo, elementsOf } from '../elements/elements.ts';
import { decode, elementTexts, memberTexts } from '../json-text.ts';
import { isResourceType } from '../resource-types.ts';
import { narrativeXml } from './narrative.ts';

const FHIR = 'http://hl7.org/fhir';
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';

/** The whole document. `text`: JSON without insignificant white space. Throws AssentError('not-acceptable'). */
export function xmlText(text: string, options: XmlOptions = {}): string {
  return [...xmlParts(text, options)].join('');
}

/** `pretty`: each element on a line of its own, but for what is in a narrative. */
type XmlOptions = { readonly pretty?: boolean };
/** What stands before a tag: nothing, or a line feed and the indentation. */
type Margin = string;

/** The same in pieces, one for each entry of a Bundle, so that a large one can be written with pauses. */
export function* xmlParts(text: string, { pretty = false }: XmlOptions = {}): Generator<string> {
  const type = typeOf(text);
  const margin = pretty ? '\n' : '';
  yield `${DECLARATION}${margin}<${type} xmlns="${FHIR}">`;
  for (const { info, value, extra } of membersOf(text, type)) {
    if (type !== 'Bundle' || info.name !== 'entry' || value === undefined) {
      yield member({ info, value, extra }, within(margin));
      continue;
    }
    for (const entry of elementTexts(value)) yield element({ info, value: entry, extra: undefined }, within(margin));
  }
  yield `${margin}</${type}>`;
}

function within(margin: Margin): Margin {
  return margin === '' ? '' : `${margin}  `;
}

type Member = { readonly info: ElementInfo; readonly value: string | undefined; readonly extra: string | undefined };

function typeOf(text: string): string {
  const type = decode(/^\{"resourceType":("[A-Za-z]+")/.exec(text)?.[1] ?? memberTexts(text).get('resourceType') ?? '""');
  if (!isResourceType(type)) throw beyond();
  return type;
}

/** What an object holds, in the order XML wants; `_name` beside `name`. */
function membersOf(text: string, type: string): Member[] {
  const elements = elementsOf(type);
  const texts = memberTexts(text);
  const found = new Map<string, Member>();
  for (const name of texts.keys()) {
    const plain = name.startsWith('_') ? name.slice(1) : name;
    const info = elements?.get(plain);
    // ExampleScenario.instance has an element of this name.
    if (name === 'resourceType' && !info) continue;
    if (!info) throw beyond();
    if (!found.has(plain)) found.set(plain, { info, value: texts.get(plain), extra: texts.get(`_${plain}`) });
  }
  return [...found.values()].sort((a, b) => a.info.order - b.info.order);
}

function member({ info, value, extra }: Member, margin: Margin): string {
  if (!info.many) return element({ info, value, extra }, margin);
  const values = value === undefined ? [] : elementTexts(value);
  const extras = extra === undefined ? [] : elementTexts(extra);
  const count = Math.max(values.length, extras.length);
  return Array.from({ length: count }, (_item, i) => element({ info, value: given(values[i]), extra: given(extras[i]) }, margin)).join('');
}

function given(text: string | undefined): string | undefined {
  return text === 'null' ? undefined : text;
}

function element({ info, value, extra }: Member, margin: Margin): string {
  const { name, holds } = info;
  if (holds === 'elements') return value === undefined ? '' : complex(info, value, '', margin);
  if (holds === 'resource') return value === undefined ? '' : `${margin}<${name}>${resource(value, within(margin))}${margin}</${name}>`;
  if (holds === 'xhtml') return margin + xhtml(value);
  const attribute = value === undefined ? '' : ` value="${plain(holds, value)}"`;
  return extra === undefined ? `${margin}<${name}${attribute}/>` : complex({ ...info, type: 'Element' }, extra, attribute, margin);
}

function complex({ name, type }: ElementInfo, text: string, before: string, margin: Margin): string {
  if (!text.startsWith('{')) throw beyond();
  let attributes = before;
  let children = '';
  for (const inner of membersOf(text, type)) {
    if (inner.info.attribute && inner.value !== undefined) attributes += ` ${inner.info.name}="${plain(inner.info.holds, inner.value)}"`;
    else children += member(inner, within(margin));
  }
  return `${margin}<${name}${attributes}${children === '' ? '/>' : `>${children}${margin}</${name}>`}`;
}

function resource(text: string, margin: Margin): string {
  const type = typeOf(text);
  const children = membersOf(text, type).map((inner) => member(inner, within(margin)));
  return `${margin}<${type}>${children.join('')}${margin}</${type}>`;
}

function xhtml(value: string | undefined): string {
  const div = value?.startsWith('"') ? narrativeXml(decode(value)) : undefined;
  if (div === undefined) throw new AssentError('not-acceptable', 'A narrative in the answer is not well-formed; ask for application/fhir+json.');
  return div;
}

function plain(holds: ElementInfo['holds'], token: string): string {
  const isString = token.startsWith('"');
  if (isString !== (holds === 'string')) throw beyond();
  return isString ? escaped(decode(token)) : token;
}

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly what XML 1.0 has no way to write
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text))
    throw new AssentError('not-acceptable', 'The answer holds a character that XML cannot carry; ask for application/fhir+json.');
  return text.replace(/[&<>"\t\n\r]/g, (character) => references[character] ?? character);
}

function beyond(): AssentError {
  return new AssentError('not-acceptable', 'The answer holds an element that R4 does not define; ask for application/fhir+json.');
}
