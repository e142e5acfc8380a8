/**
 * A transaction: all of its entries or none. https://hl7.org/fhir/R4/http.html#trules
 *
 * Invariants: every check of scope, form and validity is done before the one write; that write is a single call of the Gate; a failure
 * names its entry and leaves nothing stored.
 */
import type { WriteOperation, WriteResult } from '../consent/gate.ts';
import { AssentError, type Issue } from '../errors.ts';
import { type BundleEntry, bundleText, entryPath, type ResolvedEntry, resolveTransaction } from '../fhir/bundle.ts';
import { newId } from '../fhir/ids.ts';
import { newIds } from '../fhir/new-ids.ts';
import { checkAccess } from './access.ts';
import { etag, versionUrl } from './answer.ts';
import { runEntry } from './batch.ts';
import { conditionalIds, linkedReferences } from './conditional-references.ts';
import { conditionOf } from './condition.ts';
import { locate } from './dispatch.ts';
import { type AnswerEntry, entryCall, statusLine } from './entry-call.ts';
import { atEntry } from './entry-error.ts';
import { refuseConsentProvenance, signedTransaction } from './inline-signature.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { expectedVersion } from './preconditions.ts';
import { preferenceOf } from './prefer.ts';
import type { Services } from './services.ts';
import { refuseSubset } from './subset.ts';
import { checkId } from './target.ts';
import { errorsAmong, invalid } from './validity.ts';

const OFFERED = new Set(['create', 'update', 'delete', 'read', 'vread', 'search-type', 'history-instance']);

export async function transaction(request: FhirRequest, entries: readonly BundleEntry[], services: Services): Promise<Answer> {
  for (const entry of entries) atEntry(entry.index, () => admit(request, entry, services));
  const signed = await signedTransaction(request, entries, services);
  if (signed) return signed;
  for (const { index, resource } of entries) if (resource) atEntry(index, () => refuseConsentProvenance(resource.value));
  for (const { index, method, resource } of entries) if (resource && method === 'PUT') atEntry(index, () => refuseSubset(resource.value));
  const matched = await conditionalIds(request, entries, services);
  const known = await linkedReferences(request, entries, services);
  const ids = newIds(entries, { matched, links: known, base: services.base });
  const resolved = resolveTransaction(entries, ({ index }) => ids.get(index) ?? newId(), known);
  const writes = resolved.filter(isWrite);
  await refuseInvalidEntries(writes, services);
  const results = await writeAll(request, writes, services);
  const answers = new Map(writes.map((entry, i) => [entry.index, writtenEntry(request, results[i], services)]));
  for (const entry of resolved) if (!isWrite(entry)) answers.set(entry.index, await runEntry(request, entry, services));
  const inOrder = entries.map(({ index }) => answers.get(index)).filter((answer) => answer !== undefined);
  return { status: 200, headers: {}, body: bundleText({ type: 'transaction-response', entries: inOrder }) };
}

function isWrite({ method }: BundleEntry): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Whether this entry may be in a transaction of this caller, by its request alone. */
function admit(request: FhirRequest, entry: BundleEntry, services: Services): void {
  if (isWrite(entry) && entry.method !== 'POST' && entry.url.includes('?'))
    throw new AssentError('not-supported', 'Conditional update and delete are not offered.');
  const { route, target } = locate(entry.method, entry.url, services);
  if (!OFFERED.has(route.interaction)) throw new AssentError('not-supported', 'This interaction cannot be part of a transaction.');
  checkAccess(route, target.type, request.gate.caller, services.allows);
  if (target.id !== '') checkId(target.id);
  if (isWrite(entry) && entry.ifNoneMatch !== undefined) throw new AssentError('invalid-request', 'ifNoneMatch has no meaning for a write.');
}

async function refuseInvalidEntries(writes: readonly ResolvedEntry[], { validate }: Services): Promise<void> {
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

async function writeAll(request: FhirRequest, writes: readonly ResolvedEntry[], services: Services): Promise<readonly WriteResult[]> {
  if (writes.length === 0) return [];
  const operations = writes.map((entry) => atEntry(entry.index, () => operationOf(request, entry, services)));
  try {
    return await request.gate.write(operations);
  } catch (error) {
    throw fromOperation(error, writes);
  }
}

function operationOf(request: FhirRequest, entry: ResolvedEntry, services: Services): WriteOperation {
  const { type, id, resource } = entry;
  const call = entryCall(request, entry);
  if (id === undefined) throw new AssentError('invalid-request', 'The entry names no resource.');
  if (entry.method === 'DELETE') return { kind: 'delete', type, id, ...expectedVersion(call) };
  if (!resource) throw new AssentError('invalid-request', 'The entry needs a resource.');
  if (entry.method === 'POST') return { kind: 'create', id, resource, ...conditionOf({ type, header: call.header, gate: call.gate }, services) };
  return { kind: 'update', id, resource, ...expectedVersion(call) };
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

function writtenEntry(request: FhirRequest, result: WriteResult | undefined, { base }: Services): AnswerEntry {
  if (!result) throw new AssentError('internal');
  const { kind, row } = result;
  const response = {
    status: statusLine(row.deleted ? 204 : statusOf[kind]),
    ...(row.deleted ? {} : { location: versionUrl(base, row) }),
    etag: etag(row.version),
    lastModified: new Date(row.lastUpdated).toISOString(),
  };
  // What an unchanged entry matched was there before: it is sent only through a read, with its receipt.
  const sendsBack = /return=/i.test(request.header('prefer') ?? '') && preferenceOf(request.header('prefer')).return === 'representation';
  return sendsBack && kind !== 'unchanged' && !row.deleted ? { resourceText: row.body, response } : { response };
}
