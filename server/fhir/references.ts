/**
 * Reads the text of a reference: relative, absolute, urn or to a contained resource. https://hl7.org/fhir/R4/references.html#literal
 *
 * Invariant: a reference under our own base means the same as the relative one, with or without a version.
 */
import { isId } from './ids.ts';

export type ParsedReference =
  /** On this server. */
  | { readonly kind: 'local'; readonly type: string; readonly id: string; readonly version?: string }
  /** Elsewhere. `type` and `id` when the URL looks like a RESTful one; `url` is without `/_history/…`. */
  | { readonly kind: 'absolute'; readonly url: string; readonly type?: string; readonly id?: string }
  | { readonly kind: 'urn'; readonly urn: string }
  | { readonly kind: 'contained'; readonly id: string }
  /** Nothing R4 allows, e.g. a search (`Patient?identifier=…`) outside a transaction. */
  | { readonly kind: 'unreadable' };

/** The form of nearly all references that are written. */
const PLAIN = /^([A-Z][A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/([^/?#|\s]+))?$/;
const RESTFUL = /^(.*?)([A-Z][A-Za-z]+)\/([^/?#|]+)(?:\/_history\/([^/?#|]+))?\/?(?:#.*)?$/;

/** `base`: our own FHIR base URL without a slash at its end; '' knows no absolute URL as our own. */
export function parseReference(text: string, base = ''): ParsedReference {
  const plain = PLAIN.exec(text);
  if (plain) return local(plain[1] as string, plain[2] as string, plain[3]);
  if (text.startsWith('#')) return { kind: 'contained', id: text.slice(1) };
  const path = relativeToBase(text.trim(), base);
  if (/^urn:/i.test(path)) return { kind: 'urn', urn: path };
  const match = RESTFUL.exec(path);
  const [, before = '', type = '', id = '', version] = match ?? [];
  const restful = match !== null && isId(id);
  if (/^[a-z][a-z0-9+.-]*:/i.test(path)) {
    if (!restful || !before.endsWith('/')) return { kind: 'absolute', url: path };
    return { kind: 'absolute', url: `${before}${type}/${id}`, type, id };
  }
  if (!restful || !/^\.?\/?$/.test(before)) return { kind: 'unreadable' };
  return local(type, id, version);
}

function local(type: string, id: string, version: string | undefined): ParsedReference {
  return version === undefined ? { kind: 'local', type, id } : { kind: 'local', type, id, version };
}

/** The text after our own base, or the text itself. */
export function relativeToBase(text: string, base: string): string {
  if (base === '' || text.length <= base.length) return text;
  // Scheme and host are case-insensitive; taking the whole base so can only recognise more as our own.
  return text[base.length] === '/' && text.slice(0, base.length).toLowerCase() === base.toLowerCase() ? text.slice(base.length + 1) : text;
}

/** The type a Reference points to, as far as its own words tell: by its URL, else by Reference.type. */
export function referencedType(reference: { readonly reference?: unknown; readonly type?: unknown }): string | undefined {
  if (typeof reference.reference === 'string') {
    const parsed = parseReference(reference.reference);
    if ((parsed.kind === 'local' || parsed.kind === 'absolute') && parsed.type !== undefined) return parsed.type;
  }
  return typeof reference.type === 'string' ? reference.type : undefined;
}
