/**
 * Editing of resources as text, so that no digit of a decimal is lost on the way: every function takes JSON text without
 * insignificant white space (what `parseDocument` made) and answers such text. https://hl7.org/fhir/R4/json.html#decimal
 *
 * Invariant: tokens that are not replaced come out byte-identical. None of these functions recurses.
 */

/** The index after the closing quote of the string token that opens at `at`. */
export function stringEnd(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
  return text.length;
}

/** The index after the value that starts at `at`. */
function valueEnd(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = stringEnd(text, i) - 1;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
    else if (depth > 0) continue;
    else while (i + 1 < text.length && !isDelimiter(text.charCodeAt(i + 1))) i++;
    if (depth === 0) return i + 1;
  }
  return text.length;
}

function isDelimiter(c: number): boolean {
  return c === 0x2c || c === 0x7d || c === 0x5d;
}

/** The string of a string token. */
export function decode(token: string): string {
  return token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1);
}

/** The members of an object in order, each with the exact text of its value. */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  for (let at = 1; text.charCodeAt(at) === 0x22; ) {
    const nameEnd = stringEnd(text, at);
    const end = valueEnd(text, nameEnd + 1);
    members.set(decode(text.slice(at, nameEnd)), text.slice(nameEnd + 1, end));
    at = end + 1;
  }
  return members;
}

/** The exact text of one member of an object; undefined where there is none. */
export function memberText(text: string, name: string): string | undefined {
  for (let at = 1; text.charCodeAt(at) === 0x22; ) {
    const nameEnd = stringEnd(text, at);
    const end = valueEnd(text, nameEnd + 1);
    if (decode(text.slice(at, nameEnd)) === name) return text.slice(nameEnd + 1, end);
    at = end + 1;
  }
  return undefined;
}

/** The exact texts of an array's items. */
export function elementTexts(text: string): string[] {
  const items: string[] = [];
  for (let at = 1; at < text.length - 1; ) {
    const end = valueEnd(text, at);
    items.push(text.slice(at, end));
    at = end + 1;
  }
  return items;
}

/** An object from the texts of its members; undefined leaves the member out. */
export function objectText(members: Iterable<readonly [string, string | undefined]>): string {
  const parts: string[] = [];
  for (const [name, value] of members) if (value !== undefined) parts.push(`${JSON.stringify(name)}:${value}`);
  return `{${parts.join(',')}}`;
}

/** Sets (a JSON text) or removes (undefined) members of an object. `first` lead in the order given, the others keep their places, new ones come last. */
export function withMemberTexts(text: string, changes: Readonly<Record<string, string | undefined>>, first: readonly string[]): string {
  return changed(memberTexts(text), changes, first);
}

function changed(members: Map<string, string>, changes: Readonly<Record<string, string | undefined>>, first: readonly string[]): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) members.delete(name);
    else members.set(name, value);
  }
  const leading = first.map((name) => [name, members.get(name)] as const);
  for (const name of first) members.delete(name);
  return objectText([...leading, ...members]);
}

/**
 * Sets (any JSON value) or removes (undefined) top-level members of a resource; resourceType, id and meta lead. `meta` is not
 * replaced: its own members are set the same way, versionId and lastUpdated first, and the rest of meta stays exactly as it is.
 */
export function withMembers(
  text: string,
  { meta, ...members }: { readonly meta?: Readonly<Record<string, unknown>>; readonly [name: string]: unknown },
): string {
  const present = memberTexts(text);
  const changes = textsOf(members);
  if (meta) {
    const before = present.get('meta');
    changes['meta'] = withMemberTexts(before?.startsWith('{') ? before : '{}', textsOf(meta), ['versionId', 'lastUpdated']);
  }
  return changed(present, changes, ['resourceType', 'id', 'meta']);
}

function textsOf(members: Readonly<Record<string, unknown>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]));
}

/**
 * Replaces whole string values, never member names. `replace` gets the decoded string and the name of the member it belongs to
 * (of an array's items too) and answers the new string or undefined. Tokens shorter than `shortest` characters are not asked about.
 */
export function replaceStrings(text: string, replace: (decoded: string, member: string) => string | undefined, shortest = 0): string {
  let out = '';
  let copied = 0;
  let nameStart = 0;
  let nameEnd = 0;
  for (let at = text.indexOf('"'); at !== -1; ) {
    const end = stringEnd(text, at);
    if (text.charCodeAt(end) === 0x3a) {
      nameStart = at;
      nameEnd = end;
    } else if (end - at - 2 >= shortest) {
      const replacement = replace(decode(text.slice(at, end)), nameEnd === 0 ? '' : decode(text.slice(nameStart, nameEnd)));
      if (replacement !== undefined) {
        out += text.slice(copied, at) + JSON.stringify(replacement);
        copied = end;
      }
    }
    at = text.indexOf('"', end);
  }
  return copied === 0 ? text : out + text.slice(copied);
}

/** The same tokens, two spaces per level, for `_pretty`. */
export function pretty(text: string): string {
  const parts: string[] = [];
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  for (let at = 0; at < text.length; ) {
    const c = text.charAt(at);
    const end = c === '"' ? stringEnd(text, at) : at + 1;
    if ((c === '{' || c === '[') && text.charAt(end) !== (c === '{' ? '}' : ']')) {
      depth++;
      parts.push(c, line());
    } else if ((c === '}' || c === ']') && text.charAt(at - 1) !== (c === '}' ? '{' : '[')) {
      depth--;
      parts.push(line(), c);
    } else if (c === ',') parts.push(c, line());
    else if (c === ':') parts.push(': ');
    else parts.push(text.slice(at, end));
    at = end;
  }
  return parts.join('');
}
