/**
 * A transaction: all of its entries or none. https://hl7.org/fhir/R4/http.html#trules
 *
 * Invariants: every check of scope, form and validity is done before the one write; that write is a single call of the Gate; a failure
 * names its entry and leaves nothing stored. What entries with criteria matched and what patches were applied to is part of what the write
 * rests on: if it changed, the transaction looks again.
 */
import type { ReadResult, WriteOperation, WriteResult } from '../consent/gate.ts';
import { AssentError, type Issue } from '../errors.ts';
import { type BundleEntry, bundleText, entryPath, planTransaction, type ResolvedEntry } from '../fhir/bundle.ts';
import { newId, newVersion } from '../fhir/ids.ts';
import { newIds } from '../fhir/new-ids.ts';
import { checkAccess } from './access.ts';
import { etag, RECEIPT_HEADER, receiptHeaders, versionUrl } from './answer.ts';
import { runEntry } from './batch.ts';
import { isConditional, linkedReferences, type Settled, settle } from './conditional-references.ts';
import { lookAgain } from './condition.ts';
import { locate } from './dispatch.ts';
import { type AnswerEntry, entryCall, RECEIPT_EXTENSION, statusLine } from './entry-call.ts';
import { atEntry } from './entry-error.ts';
import { inTurns } from './in-turns.ts';
import { refuseConsentProvenance, signedTransaction } from './inline-signature.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { patched, patchOf, patchOperation, refuseUnreadable } from './patch.ts';
import { createOnly, expectedVersion } from './preconditions.ts';
import { preferenceOf } from './prefer.ts';
import type { Services } from './services.ts';
import { refuseSubset } from './subset.ts';
import { checkId } from './target.ts';
import { conditionalOperation } from './update.ts';
import { errorsAmong, invalid } from './validity.ts';

const OFFERED = new Set(['create', 'update', 'patch', 'delete', 'read', 'vread', 'search-type', 'search-system', 'history-instance']);

export async function transaction(request: FhirRequest, entries: readonly BundleEntry[], services: Services): Promise<Answer> {
  await inTurns(entries, (entry) => atEntry(entry.index, () => admit(request, entry, services)));
  const signed = await signedTransaction(request, entries, services);
  if (signed) return signed;
  const opened = await inTurns(entries, (entry) => atEntry(entry.index, () => open(entry, services)));
  const looks = opened.some((entry) => isConditional(entry) || entry.method === 'PATCH');
  const answers = await (looks ? lookAgain(() => writeEntries(request, opened, services)) : writeEntries(request, opened, services));
  for (const entry of entries) if (!isWrite(entry)) answers.set(entry.index, await runEntry(request, entry, services));
  const inOrder = entries.map(({ index }) => answers.get(index)).filter((answer) => answer !== undefined);
  return { status: 200, headers: {}, body: bundleText({ type: 'transaction-response', entries: inOrder }) };
}

function isWrite({ method }: BundleEntry): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Whether this entry may be in a transaction of this caller, by its request alone. */
function admit(request: FhirRequest, entry: BundleEntry, services: Services): void {
  const { route, target } = locate(entry.method, entry.url, services);
  if (!OFFERED.has(route.interaction)) throw new AssentError('not-supported', 'This interaction cannot be part of a transaction.');
  checkAccess(route, target.type, request.gate.caller, services.allows);
  if (target.id !== '') checkId(target.id);
  if (entry.method === 'PATCH') refuseUnreadable({ gate: request.gate, type: target.type }, services);
  if (isWrite(entry) && entry.ifNoneMatch !== undefined && entry.method !== 'PUT')
    throw new AssentError('invalid-request', 'ifNoneMatch has no meaning for this write.');
}

/** Looks at what is sent. A JSON Patch is taken out of its Binary, so that links in it are seen. */
function open(entry: BundleEntry, { limits }: Services): BundleEntry {
  if (!entry.resource) return entry;
  refuseConsentProvenance(entry.resource.value);
  if (entry.method === 'PUT') refuseSubset(entry.resource.value);
  if (entry.method !== 'PATCH') return entry;
  const patch = patchOf({ kind: 'resource', document: entry.resource }, limits);
  return patch.kind === 'json' ? { ...entry, patch: patch.text } : entry;
}

/** The answers to all writes, by index. */
async function writeEntries(request: FhirRequest, entries: readonly BundleEntry[], services: Services): Promise<Map<number, AnswerEntry>> {
  const settled = await settle(request, entries, services);
  const known = await linkedReferences(request, entries, services);
  const matched = new Map([...settled.found].flatMap(([index, { match }]) => (match ? [[index, match.id] as const] : [])));
  const made = newIds(settled.entries, { matched, links: known, base: services.base });
  const assignId = (entry: BundleEntry): string | undefined => idOf(entry, settled, made);
  const versionOf = ({ index, method }: BundleEntry): string =>
    (method === 'POST' ? settled.found.get(index)?.match?.version : undefined) ?? newVersion();
  const plan = planTransaction(settled.entries, assignId, known, versionOf);
  const linked = await inTurns(plan.entries.filter(isWrite), plan.link);
  const writes = await applyPatches(request, linked, { settled, services });
  await refuseInvalidEntries(writes, services);
  const results = await writeAll(request, writes, { settled, services });
  const answers = new Map(entries.filter(isNothing).map(({ index }) => [index, { response: { status: statusLine(204) } } as AnswerEntry]));
  for (const [i, entry] of writes.entries()) answers.set(entry.index, writtenEntry(request, { entry, result: results[i] }, services));
  return answers;
}

/** A conditional delete that matches nothing is answered all the same; one that matches is answered by its last deletion. */
function isNothing(entry: BundleEntry): boolean {
  return entry.method === 'DELETE' && isConditional(entry);
}

function idOf({ index, method, resource }: BundleEntry, { found }: Settled, made: ReadonlyMap<number, string>): string | undefined {
  const match = found.get(index)?.match;
  if (match) return match.id;
  if (method === 'PATCH') throw new AssentError('not-found', [{ diagnostics: 'No resource matches the criteria.', expression: [entryPath(index)] }]);
  return method === 'PUT' && typeof resource?.value.id === 'string' ? resource.value.id : (made.get(index) ?? newId());
}

/** A write with the content it leaves; of a patch also what it was applied to. */
type Write = ResolvedEntry & { readonly before?: ReadResult };
type Context = { readonly settled: Settled; readonly services: Services };

/** Each patch target is read through the Gate, like any read. */
async function applyPatches({ gate }: FhirRequest, entries: readonly ResolvedEntry[], { settled, services }: Context): Promise<readonly Write[]> {
  const writes: Write[] = [];
  for (const entry of entries) {
    const { index, type, id, method, resource } = entry;
    if (method !== 'PATCH' || id === undefined || !resource) {
      writes.push(entry);
      continue;
    }
    const before = await gate.read(type, id);
    const version = settled.found.get(index)?.match?.version;
    const patch = entry.patch === undefined ? ({ kind: 'fhirpath', document: resource } as const) : ({ kind: 'json', text: entry.patch } as const);
    const condition = expectedVersion(entryCall({ gate, header: () => undefined }, entry));
    writes.push({ ...entry, before, resource: atEntry(index, () => patched(before, { patch, version, ...condition }, services.limits)) });
  }
  return writes;
}

async function refuseInvalidEntries(writes: readonly Write[], { validate }: Services): Promise<void> {
  const withResource = writes.flatMap(({ index, resource }) => (resource ? [{ index, resource }] : []));
  const verdicts = await validate(withResource.map(({ resource }) => resource));
  if (verdicts.length !== withResource.length) throw new AssentError('unavailable');
  const issues = withResource.flatMap(({ index, resource }, i) =>
    errorsAmong(verdicts[i] ?? []).map((issue) => located(issue, index, resource.value.resourceType)),
  );
  if (issues.length > 0) throw invalid(issues);
}

/** `Patient.name[0]` of entry 3 is `Bundle.entry[3].resource.name[0]`. */
function located(issue: Issue, index: number, type: string): Issue {
  const inner = issue.expression ?? [];
  const path = entryPath(index, '.resource');
  const expression = inner.map((text) => (text === type || text.startsWith(`${type}.`) ? path + text.slice(type.length) : `${path}.${text}`));
  return { ...issue, expression: expression.length > 0 ? expression : [path] };
}

async function writeAll(request: FhirRequest, writes: readonly Write[], context: Context): Promise<readonly WriteResult[]> {
  if (writes.length === 0) return [];
  const operations = writes.map((entry) => atEntry(entry.index, () => operationOf(request, entry, context)));
  try {
    return await request.gate.write(operations);
  } catch (error) {
    throw fromOperation(error, writes);
  }
}

function operationOf(request: FhirRequest, entry: Write, { settled }: Context): WriteOperation {
  const { index, type, id, method, resource, version = newVersion() } = entry;
  const call = entryCall(request, entry);
  const condition = expectedVersion(call);
  if (id === undefined) throw new AssentError('invalid-request', 'The entry names no resource.');
  if (method === 'DELETE') {
    const matched = settled.matched.get(`${type}/${id}`);
    return { kind: 'delete', type, id, ...condition, ...(matched === undefined ? {} : { madeFrom: matched }) };
  }
  if (!resource) throw new AssentError('invalid-request', 'The entry needs a resource.');
  if (entry.before) return patchOperation(entry.before, resource, condition);
  const found = settled.found.get(index);
  if (method === 'PUT' && found) return { ...conditionalOperation(resource, { ...found, ...condition, ...createOnly(call) }, id), version };
  if (method === 'PUT') return { kind: 'update', id, resource, version, ...condition, ...createOnly(call) };
  if (found?.match) return { kind: 'keep', type, id, madeFrom: found.match.version };
  return { kind: 'create', id, resource, version, ...(found ? { ifNoneExist: found.where, ifMatched: 'conflict' } : {}) };
}

/** The Gate says which operation failed as `operation[i]`; the caller knows entries. */
function fromOperation(error: unknown, writes: readonly ResolvedEntry[]): unknown {
  if (!(error instanceof AssentError)) return error;
  const issues = error.issues.map((issue) => ({
    ...issue,
    expression: (issue.expression ?? []).map((text) =>
      text.replace(/^operation\[(\d+)\]/, (all, i: string) => (writes[Number(i)] ? entryPath(writes[Number(i)]?.index ?? 0) : all)),
    ),
  }));
  return new AssentError(error.code, issues, { cause: error.cause, ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }) });
}

const statusOf = { created: 201, updated: 200, unchanged: 200, deleted: 204 } as const;

type Written = { readonly entry: Write; readonly result: WriteResult | undefined };

function writtenEntry(request: FhirRequest, { entry: { before }, result }: Written, { base }: Services): AnswerEntry {
  if (!result) throw new AssentError('internal');
  const { kind, row } = result;
  // What a patch was applied to was disclosed to it.
  const { [RECEIPT_HEADER]: receipt } = receiptHeaders(base, before?.kind === 'found' ? before.receipt : undefined);
  const response = {
    status: statusLine(row.deleted ? 204 : statusOf[kind]),
    ...(row.deleted ? {} : { location: versionUrl(base, row) }),
    etag: etag(row.version),
    lastModified: new Date(row.lastUpdated).toISOString(),
    ...(receipt === undefined ? {} : { extension: [{ url: RECEIPT_EXTENSION, valueUrl: receipt }] }),
  };
  // What an unchanged entry matched was there before: it is sent only through a read, with its receipt.
  const sendsBack = /return=/i.test(request.header('prefer') ?? '') && preferenceOf(request.header('prefer')).return === 'representation';
  return sendsBack && kind !== 'unchanged' && !row.deleted ? { resourceText: row.body, response } : { response };
}
