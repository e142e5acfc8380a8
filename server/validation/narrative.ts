/**
 * Whether a narrative is safe to show: only the XHTML that FHIR allows, no script, no event handler, nothing loaded by style sheets.
 * https://hl7.org/fhir/R4/narrative.html#xhtml
 *
 * A div without content (txt-2) is let pass: four of the specification's own examples have one.
 * Invariant: what is not on the lists is refused, so a new HTML feature cannot get through unknown. Linear in the text's length.
 */

const ELEMENTS: ReadonlySet<string> = new Set(
  (
    'a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins ' +
    'kbd li map ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var font'
  ).split(' '),
);

const ATTRIBUTES: ReadonlySet<string> = new Set(
  (
    'abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class clear color colspan compact coords ' +
    'datetime dir face frame headers height href hreflang hspace id ismap lang longdesc name nohref noshade nowrap rel rev rowspan rules scope shape size ' +
    'span src start style summary tabindex target title type usemap valign value vspace width xml:lang xml:space xmlns'
  ).split(' '),
);

/** A picture beside the document or within it, as published narratives have behind the lines of a table: it reaches no other host. */
const OWN_IMAGE =
  /url\(\s*(["']?)(?:[\w-]+(?:\/[\w-]+)*\.(?:png|gif|jpe?g)|data: ?image\/(?:png|jpe?g|gif|webp|bmp);base64,[A-Za-z0-9+/= ]*)\1\s*\)/g;

/** What XML itself defines, and numbers of characters it allows: https://hl7.org/fhir/R4/narrative.html#xhtml */
const BAD_ENTITY =
  /&(?!(?:amp|lt|gt|quot|apos|#(?:9|10|13|3[2-9]|[4-9]\d|[1-9]\d{2,6})|#x0{0,4}(?:9|[aAdD]|[2-9a-fA-F][0-9a-fA-F]|[1-9a-fA-F][0-9a-fA-F]{2,5}));)/;
const ENTITY_WORDS =
  'The narrative has an & that is no entity of XML (&amp;, &lt;, &gt;, &quot;, &apos; or a number); HTML names like &nbsp; are not.';

const TAG = /<(\/?)([A-Za-z][A-Za-z0-9]*)((?:\s+[A-Za-z_][\w:.-]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
const ATTRIBUTE = /\s+([A-Za-z_][\w:.-]*)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/g;

/** What is wrong with the narrative, in words without its content; undefined when it is acceptable. */
export function narrativeProblem(div: string): string | undefined {
  if (!/^\s*<div[\s>/]/.test(div)) return 'A narrative must be one XHTML div element.';
  const open: string[] = [];
  let closed = false;
  for (let at = 0; at < div.length; ) {
    const tagAt = div.indexOf('<', at);
    const text = div.slice(at, tagAt === -1 ? undefined : tagAt);
    if (open.length === 0 && /\S/.test(text)) return 'A narrative must be one XHTML div element.';
    if (BAD_ENTITY.test(text)) return ENTITY_WORDS;
    if (tagAt === -1) break;
    if (div.startsWith('<!--', tagAt)) {
      const end = div.indexOf('-->', tagAt + 4);
      if (end === -1) return 'A comment in the narrative does not end.';
      at = end + 3;
      continue;
    }
    TAG.lastIndex = tagAt;
    const tag = TAG.exec(div);
    if (!tag) return 'The narrative is not well-formed XHTML.';
    const [whole, closing, name = '', attributes = '', selfClosing] = tag;
    if (!ELEMENTS.has(name)) return 'The narrative uses an element that FHIR does not allow.';
    const problem = attributesProblem(attributes);
    if (problem) return problem;
    if (closed) return 'A narrative must be one XHTML div element.';
    if (closing && open.pop() !== name) return 'The elements of the narrative are not nested properly.';
    if (!closing && !selfClosing) open.push(name);
    closed = open.length === 0;
    at = tagAt + whole.length;
  }
  if (open.length > 0) return 'The elements of the narrative are not nested properly.';
  return undefined;
}

function attributesProblem(attributes: string): string | undefined {
  if (BAD_ENTITY.test(attributes)) return ENTITY_WORDS;
  for (const [, name = '', double, single] of attributes.matchAll(ATTRIBUTE)) {
    if (!ATTRIBUTES.has(name)) return 'The narrative uses an attribute that FHIR does not allow (scripts and event handlers never are).';
    if (name === 'xmlns' && (double ?? single) !== 'http://www.w3.org/1999/xhtml')
      return 'The namespace of a narrative is http://www.w3.org/1999/xhtml.';
    const value = unescape(double ?? single ?? '');
    if (['href', 'src', 'cite', 'longdesc', 'usemap'].includes(name) && !isSafeTarget(value))
      return 'The narrative links to a target of a kind that is not allowed.';
    if (name === 'style' && /url\s*\(|expression\s*\(|@import|behaviou?r\s*:|-moz-binding|\\/i.test(value.replaceAll(OWN_IMAGE, '')))
      return 'A style in the narrative loads or runs something.';
  }
  return undefined;
}

/** Character references can hide a scheme; browsers drop white space and control characters inside it. */
function unescape(value: string): string {
  const number = (code: number): string => (code >= 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '');
  const named: Readonly<Record<string, string>> = { colon: ':', tab: '', newline: '', amp: '&', lpar: '(', sol: '/' };
  return value
    .replace(/&#x([0-9a-f]{1,8});?/gi, (_all, hex: string) => number(Number.parseInt(hex, 16)))
    .replace(/&#(\d{1,8});?/g, (_all, digits: string) => number(Number(digits)))
    .replace(/&(\w+);/g, (all, name: string) => named[name.toLowerCase()] ?? all);
}

function isSafeTarget(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly what browsers ignore inside a URL
  const packed = value.replace(/[\u0000-\u0020]/g, '').toLowerCase();
  const scheme = /^([^/?#]*?):/.exec(packed)?.[1];
  if (scheme === undefined) return true;
  if (scheme === 'data') return /^data:image\/(png|jpe?g|gif|webp|bmp)[;,]/.test(packed);
  return ['http', 'https', 'mailto', 'tel', 'urn', 'cid', 'ftp'].includes(scheme);
}
