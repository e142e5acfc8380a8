/**
 * Batch and transaction bundles: reading their entries, giving every created resource its id and rewriting the references to it,
 * and writing answer bundles around bodies that are already text. https://hl7.org/fhir/R4/http.html#transaction
 *
 * Invariant: a resource's text passes through unchanged except for the reference strings that name another entry; bodies of
 * answers are never parsed.
 */
import { AssentError, type Issue } from '../errors.ts';
import { elementTexts, memberText, objectText, replaceStrings } from './json-text.ts';
import { isObject, type ResourceDocument, type ResourceValue } from './resource.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type EntryMethod = (typeof METHODS)[number];

export type BundleEntry = {
  /** Place in the bundle as sent: answers keep this order. */
  readonly index: number;
  readonly fullUrl: string | undefined;
  readonly method: EntryMethod;
  /** As sent, without a leading slash, e.g. `Patient/1` or `Patient?identifier=…`. */
  readonly url: string;
  readonly resource: ResourceDocument | undefined;
  /** JSON Patch of a PATCH, exact text out of its Binary. */
  readonly patch?: string;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly ifNoneExist: string | undefined;
  readonly ifModifiedSince: string | undefined;
};

/** The FHIRPath location of an entry. */
export function entryPath(index: number, rest = ''): string {
  return `Bundle.entry[${index}]${rest}`;
}

/**
 * The entries of a batch or transaction, in order. Throws AssentError: invalid-request with every malformed entry's location,
 * too-large when there are more than `maxEntries`.
 */
export function readBundle(document: ResourceDocument, { maxEntries = Number.POSITIVE_INFINITY } = {}): BundleEntry[] {
  const { resourceType, type, entry } = document.value;
  if (resourceType !== 'Bundle') throw refuse('Only a Bundle can be sent here.', 'resourceType');
  if (type !== 'batch' && type !== 'transaction') throw refuse('The bundle must be of type batch or transaction.', 'Bundle.type');
  if (entry === undefined) return [];
  if (!Array.isArray(entry)) throw refuse('The entries must be an array.', 'Bundle.entry');
  if (entry.length > maxEntries) throw new AssentError('too-large', `The bundle has more than ${maxEntries} entries.`);
  const issues: Issue[] = [];
  const texts = elementTexts(memberText(document.text, 'entry') ?? '[]');
  const entries = entry.flatMap((value: unknown, index) => {
    const read = readEntry(value, texts[index] ?? '{}', index);
    if ('diagnostics' in read) issues.push(read);
    return 'diagnostics' in read ? [] : [read];
  });
  if (issues.length > 0) throw new AssentError('invalid-request', issues);
  return entries;
}

function refuse(diagnostics: string, location: string): AssentError {
  return new AssentError('invalid-request', [issue(diagnostics, location)]);
}

function issue(diagnostics: string, ...expression: string[]): Issue {
  return { diagnostics, expression };
}

function readEntry(value: unknown, text: string, index: number): BundleEntry | Issue {
  if (!isObject(value)) return issue('An entry must be an object.', entryPath(index));
  const { request, fullUrl, resource } = value;
  if (!isObject(request)) return issue('An entry needs a request with method and url.', entryPath(index, '.request'));
  const method = METHODS.find((known) => known === request['method']);
  if (!method) return issue(`The method must be one of ${METHODS.join(', ')}.`, entryPath(index, '.request.method'));
  const url = request['url'];
  if (typeof url !== 'string' || url === '') return issue('The request needs a url.', entryPath(index, '.request.url'));
  if (fullUrl !== undefined && typeof fullUrl !== 'string') return issue('fullUrl must be a string.', entryPath(index, '.fullUrl'));
  const conditions = readConditions(request, index);
  if ('diagnostics' in conditions) return conditions;
  if (resource !== undefined && !(isObject(resource) && typeof resource['resourceType'] === 'string'))
    return issue('The resource must be an object with a resourceType.', entryPath(index, '.resource'));
  if (resource === undefined && (method === 'PUT' || method === 'PATCH' || (method === 'POST' && !/_search$|\$/.test(url))))
    return issue(`${method} needs a resource.`, entryPath(index, '.resource'));
  const document = resource && { value: resource as ResourceValue, text: memberText(text, 'resource') ?? '{}' };
  return { index, fullUrl, method, url: url.replace(/^\//, ''), resource: document, ...conditions };
}

const CONDITIONS = ['ifMatch', 'ifNoneMatch', 'ifNoneExist', 'ifModifiedSince'] as const;
type Conditions = Pick<BundleEntry, (typeof CONDITIONS)[number]>;

function readConditions(request: Readonly<Record<string, unknown>>, index: number): Conditions | Issue {
  const wrong = CONDITIONS.find((name) => request[name] !== undefined && typeof request[name] !== 'string');
  if (wrong) return issue(`${wrong} must be a string.`, entryPath(index, `.request.${wrong}`));
  return Object.fromEntries(CONDITIONS.map((name) => [name, request[name]])) as Conditions;
}

/** An entry of a transaction that knows what it is about: `type`, and `id` where the request names or creates one resource. */
export type ResolvedEntry = BundleEntry & { readonly type: string; readonly id: string | undefined; readonly version?: string | undefined };

const ORDER: Readonly<Record<EntryMethod, number>> = { DELETE: 0, POST: 1, PUT: 2, PATCH: 2, GET: 3, HEAD: 3 };

export type TransactionPlan = {
  /** In the order a server must process them: DELETE, POST, PUT and PATCH, GET. */
  readonly entries: readonly ResolvedEntry[];
  /** The entry with every link that names another entry's fullUrl rewritten to Type/id. Each is work for itself: a large bundle is linked in turns. */
  readonly link: (entry: ResolvedEntry) => ResolvedEntry;
};

/**
 * What each entry of a transaction is about. `assignId` gives the id of an entry whose url does not carry one: new for a create,
 * the match's for a conditional request; it may answer undefined for a conditional one whose match only the store knows. `versionOf` gives
 * the version an entry's resource will have, for links to it that name its version.
 * `known`: further whole strings to rewrite, e.g. conditional references already looked up.
 * Throws AssentError('invalid-request') naming both entries that share an identity, or an entry whose url and resource disagree.
 */
export function planTransaction(
  entries: readonly BundleEntry[],
  assignId: (entry: BundleEntry, type: string) => string | undefined,
  known: ReadonlyMap<string, string> = new Map(),
  versionOf: (entry: BundleEntry) => string | undefined = () => undefined,
): TransactionPlan {
  const resolved = entries.map((entry) => ({ ...identify(entry, assignId), version: versionOf(entry) }));
  refuseSharedIdentities(resolved);
  const targets = new Map<string, Target>([...known].map(([text, path]) => [text, { path, sent: undefined, version: undefined }]));
  for (const { fullUrl, type, id, method, version, resource } of resolved) {
    if (fullUrl === undefined || id === undefined || (method !== 'POST' && method !== 'PUT')) continue;
    const { versionId: sent } = (resource?.value['meta'] ?? {}) as { readonly versionId?: unknown };
    targets.set(fullUrl, { path: `${type}/${id}`, sent, version });
  }
  const shortest = shortestReference(targets);
  return {
    entries: resolved.sort((a, b) => ORDER[a.method] - ORDER[b.method] || a.index - b.index),
    link: (entry) => rewriteEntry(entry, { targets, shortest }),
  };
}

function identify(entry: BundleEntry, assignId: (entry: BundleEntry, type: string) => string | undefined): ResolvedEntry {
  const [path = ''] = entry.url.split('?');
  const [type = '', id, ...rest] = path.split('/');
  const writes = entry.method !== 'GET' && entry.method !== 'HEAD';
  if (!/^[A-Z][A-Za-z]*$/.test(type)) {
    if (writes) throw refuse('The url must start with a resource type.', entryPath(entry.index, '.request.url'));
    return { ...entry, type: '', id: undefined };
  }
  if (writes) checkWrite(entry, type, { id, rest });
  const assigned = writes && id === undefined ? assignId(entry, type) : id;
  return { ...entry, type, id: assigned };
}

function checkWrite({ index, method, url, resource }: BundleEntry, type: string, { id, rest }: { id: string | undefined; rest: string[] }): void {
  const location = entryPath(index, '.request.url');
  if (rest.length > 0 || (method === 'POST' && id !== undefined)) throw refuse(`${method} cannot be sent to this url in a transaction.`, location);
  if (method !== 'POST' && id === undefined && !url.includes('?')) throw refuse(`${method} needs the id of a resource or criteria.`, location);
  if (!resource || method === 'PATCH' || method === 'DELETE') return;
  if (resource.value.resourceType !== type)
    throw new AssentError('invalid-request', [issue('The url and the resource name different types.', location, entryPath(index, '.resource'))]);
  if (method === 'PUT' && id !== undefined && resource.value.id !== id)
    throw new AssentError('invalid-request', [issue('The url and the resource name different ids.', location, entryPath(index, '.resource.id'))]);
}

/** https://hl7.org/fhir/R4/http.html#trules: the same identity more than once makes the whole transaction invalid. */
function refuseSharedIdentities(entries: readonly ResolvedEntry[]): void {
  const seen = new Map<string, number>();
  const claim = (identity: string, index: number, part: string): void => {
    const other = seen.get(identity);
    if (other !== undefined && other !== index) {
      const words = `Entries ${other} and ${index} are about the same resource; a transaction may name each resource once.`;
      throw new AssentError('invalid-request', [issue(words, entryPath(other, part), entryPath(index, part))]);
    }
    seen.set(identity, index);
  };
  for (const { index, method, type, id, fullUrl } of entries) {
    if (method === 'GET' || method === 'HEAD') continue;
    if (id !== undefined) claim(`${type}/${id}`, index, '.request.url');
    if (fullUrl !== undefined && fullUrl !== '' && method !== 'DELETE') claim(`fullUrl ${fullUrl}`, index, '.fullUrl');
  }
}

/** Relative references are shorter than the absolute fullUrls they stand for; without such fullUrls most strings need no look. */
function shortestReference(targets: Targets['targets']): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (const key of targets.keys()) shortest = Math.min(shortest, key.startsWith('http') ? 3 : key.length);
  return shortest;
}

/** What a fullUrl stands for: Type/id, the version it was sent with and the version it gets. */
type Target = { readonly path: string; readonly sent: unknown; readonly version: string | undefined };
type Targets = { readonly targets: ReadonlyMap<string, Target>; readonly shortest: number };

function rewriteEntry(entry: ResolvedEntry, { targets, shortest }: Targets): ResolvedEntry {
  if (targets.size === 0) return entry;
  const links = linksFrom(entry.fullUrl, targets);
  // What a patch puts where is for the patch to say: in it any string may be a link.
  const anywhere = entry.method === 'PATCH';
  const replace = (decoded: string, member: string): string | undefined => {
    if (member === 'div' && decoded.startsWith('<')) return rewriteNarrative(decoded, links);
    return anywhere || isLink(member) ? links(decoded, member) : undefined;
  };
  if (entry.patch !== undefined) return { ...entry, patch: replaceStrings(entry.patch, replace, shortest) };
  if (!entry.resource) return entry;
  const text = replaceStrings(entry.resource.text, replace, shortest);
  return text === entry.resource.text ? entry : { ...entry, resource: { text, value: JSON.parse(text) as ResourceValue } };
}

/**
 * Members that hold a reference or a uri, url, oid or uuid somewhere in R4: servers replace links in these, and not in canonicals, strings or
 * codes. https://hl7.org/fhir/R4/http.html#trules
 */
export function isLink(member: string): boolean {
  return LINKS.has(member) || /(?:Uri|Url|Oid|Uuid)$/.test(member);
}

// biome-ignore format: one subject, one place
const LINKS: ReadonlySet<string> = new Set([
  'address', 'authority', 'code', 'contentReference', 'definition', 'detail', 'endpoint', 'identifier', 'implicitRules', 'instantiates', 'issuer',
  'jurisdiction', 'link', 'location', 'onlineInformation', 'policy', 'project', 'property', 'protocol', 'reference', 'relativePath', 'rendering',
  'source', 'system', 'target', 'type', 'uri', 'url',
]);

type LookUp = (text: string, member: string) => string | undefined;

function linksFrom(fullUrl: string | undefined, targets: Targets['targets']): LookUp {
  // A relative reference is relative to its own entry's fullUrl: https://hl7.org/fhir/R4/bundle.html#references
  const base = /^(https?:\/\/.+\/)[A-Z][A-Za-z]*\/[^/]+$/.exec(fullUrl ?? '')?.[1];
  const targetOf = (url: string, member: string): Target | undefined =>
    targets.get(url) ?? (base !== undefined && member === 'reference' ? targets.get(base + url) : undefined);
  return (text, member) => {
    const hash = text.indexOf('#');
    const [whole, fragment] = hash === -1 ? [text, ''] : [text.slice(0, hash), text.slice(hash)];
    const found = targetOf(whole, member);
    if (found) return found.path + fragment;
    const [, url, version] = /^(.+)\/_history\/([^/]+)$/.exec(whole) ?? [];
    const versioned = url === undefined ? undefined : targetOf(url, member);
    // Only what names the version in the bundle: any other is one the server has already.
    const meant = versioned?.version !== undefined && (versioned.sent === version || (versioned.sent === undefined && whole.startsWith('urn:')));
    return meant ? `${versioned.path}/_history/${versioned.version}${fragment}` : undefined;
  };
}

function rewriteNarrative(div: string, lookUp: LookUp): string | undefined {
  const rewritten = div.replace(/(\s(?:href|src)\s*=\s*)(?:"([^"]*)"|'([^']*)')/g, (all, start: string, double?: string, single?: string) => {
    const target = lookUp(double ?? single ?? '', 'reference');
    return target === undefined ? all : `${start}"${target}"`;
  });
  return rewritten === div ? undefined : rewritten;
}

/** Conditional references (`Practitioner?identifier=…`) in the resource or patch of an entry of a transaction, each once. */
export function conditionalReferences({ resource, patch }: Pick<BundleEntry, 'resource' | 'patch'>): ReadonlySet<string> {
  const found = new Set<string>();
  const text = patch ?? resource?.text ?? '';
  // Most resources have no question mark, as such or escaped.
  if (!/\?|\\u003f/i.test(text)) return found;
  replaceStrings(text, (decoded, member) => {
    if (member === 'reference' && /^[A-Z][A-Za-z]*\?./.test(decoded)) found.add(decoded);
    return undefined;
  });
  return found;
}

export type AnswerEntry = {
  readonly fullUrl?: string;
  /** Exact text of the resource. */
  readonly resourceText?: string;
  readonly search?: { readonly mode: 'match' | 'include' | 'outcome' };
  readonly request?: { readonly method: string; readonly url: string };
  readonly response?: {
    readonly status: string;
    readonly location?: string;
    readonly etag?: string;
    /** FHIR instant. */
    readonly lastModified?: string;
    /** Text of an OperationOutcome. */
    readonly outcomeText?: string;
  };
};

export type Answer = {
  readonly id?: string;
  readonly type: 'searchset' | 'history' | 'batch-response' | 'transaction-response' | 'collection';
  readonly total?: number;
  readonly links?: readonly { readonly relation: string; readonly url: string }[];
  readonly entries: readonly AnswerEntry[];
};

/** A bundle as text, built around bodies that stay as they are. */
export function bundleText({ id, type, total, links, entries }: Answer): string {
  return objectText([
    ['resourceType', '"Bundle"'],
    ['id', json(id)],
    ['type', json(type)],
    ['total', json(total)],
    // FHIR has no empty arrays.
    ['link', links && links.length > 0 ? json(links) : undefined],
    ['entry', entries.length > 0 ? `[${entries.map(answerEntryText).join(',')}]` : undefined],
  ]);
}

function answerEntryText({ fullUrl, resourceText, search, request, response }: AnswerEntry): string {
  const { outcomeText, ...plain } = response ?? { status: '' };
  const responseText =
    response && objectText([...Object.entries(plain).map(([name, value]) => [name, json(value)] as const), ['outcome', outcomeText]]);
  return objectText([
    ['fullUrl', json(fullUrl)],
    ['resource', resourceText],
    ['search', json(search)],
    ['request', json(request)],
    ['response', responseText],
  ]);
}

/** JSON text of a value of ours; undefined stays undefined. */
function json(value: unknown): string | undefined {
  return JSON.stringify(value);
}
