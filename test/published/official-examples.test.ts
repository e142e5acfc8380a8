/**
 * The official examples of R4, stored over HTTP as JSON and as XML and read back in both: the same but for id and meta, with every digit. hl7.fhir.r4.examples
 * 4.0.1.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDocument } from '../../server/fhir/json.ts';
import { parseXml } from '../../server/fhir/xml/read.ts';
import { xmlText } from '../../server/fhir/xml/write.ts';
import { published } from '../support/published.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

const limits = { maxDepth: 64, maxBytes: 20_000_000 };
const JSON_TYPE = 'application/fhir+json';
const XML_TYPE = 'application/fhir+xml';
/** What lacks required elements is refused. */
const INVALID = 'Questionnaire-qs1.json';
/** Its securityContext decides who reads it, and that is nobody here: its writer sees it in the answer to the write only. */
const ANOTHERS = 'Binary-example.json';
/** Read by the administrator; all else by who wrote it. */
const RECORDS = new Set(['AuditEvent', 'Consent', 'Provenance', 'Task']);

type Example = { readonly name: string; readonly type: string; readonly id: string; readonly text: string };

let app: ServedApp;
let examples: readonly Example[];

describe('the official examples', () => {
  beforeAll(async () => {
    app = await createServedApp({ ASSENT_MAX_BODY_BYTES: String(limits.maxBytes), ASSENT_MAX_JSON_DEPTH: String(limits.maxDepth) });
    const folder = published('r4-examples');
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    examples = files.map((name) => exampleOf(name, readFileSync(join(folder, name), 'utf8')));
    // Under their own ids, so that what refers to another finds it: a Provenance is shown to who may see its targets.
    await each(async ({ type, id, text }) => (await send(type, { method: 'PUT', url: `${type}/${id}`, body: text })).text);
  });
  afterAll(() => app.stop());

  test('are as many as were published', () => expect(examples.length).toBe(726));

  test.each([
    ['JSON', JSON_TYPE],
    ['XML', XML_TYPE],
  ])('sent as %s come back as both, but for the one that is not valid', async (_name, type) => {
    const problems = await each((example) => roundTrip(example, type));
    expect(problems.filter((problem) => !problem.startsWith(INVALID))).toEqual([]);
    expect(problems.map((problem) => problem.slice(0, INVALID.length + 5))).toEqual([`${INVALID}: 422`]);
  });
});

function exampleOf(name: string, text: string): Example {
  const { resourceType: type, id } = JSON.parse(text) as { readonly resourceType: string; readonly id: string };
  return { name, type, id, text };
}

/** What went wrong with which, a few at a time. */
async function each(attempt: (example: Example) => Promise<string>): Promise<string[]> {
  const queue = [...examples];
  const problems: string[] = [];
  const work = async (): Promise<void> => {
    for (let example = queue.shift(); example; example = queue.shift()) {
      const problem = await attempt(example).catch(String);
      if (problem !== '') problems.push(`${example.name}: ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return problems;
}

type Sending = {
  readonly method: 'PUT' | 'POST' | 'GET';
  readonly url: string;
  readonly body?: string;
  readonly format?: string;
  readonly accept?: string;
};

function send(type: string, { method, url, body, format = JSON_TYPE, accept = JSON_TYPE }: Sending): ReturnType<typeof call> {
  return call(app, method, url, { token: RECORDS.has(type) ? 'admin' : 'alice', headers: { accept, 'content-type': format }, body });
}

async function roundTrip({ name, type, text }: Example, format: string): Promise<string> {
  const compact = parseDocument(text, limits).text;
  const post = (accept: string) => send(type, { method: 'POST', url: type, body: format === XML_TYPE ? xmlText(compact) : compact, format, accept });
  const made = await post(JSON_TYPE);
  if (made.status !== 201) return `${made.status} ${made.text.slice(0, 300)}`;
  const get = (accept: string) => (name === ANOTHERS ? post(accept) : send(type, { method: 'GET', url: `${type}/${made.json.id}`, accept }));
  const [json, xml] = [await get(JSON_TYPE), await get(XML_TYPE)];
  if (json.status >= 300 || xml.status >= 300) return `read: ${json.status} ${xml.status}`;
  const sent = plain(parseDocument(text, limits));
  if (plain(parseDocument(json.text, limits)) !== sent) return 'is another as JSON';
  return plain(parseXml(xml.text, limits)) === sent ? '' : 'is another as XML';
}

type Document = { readonly text: string; readonly value: { readonly [member: string]: unknown } };

/** One spelling of what a resource says apart from its id and meta, and of every number in it as it is written. */
function plain({ text, value: { id: _id, meta: _meta, ...rest } }: Document): string {
  const numbers = (text.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? []).sort();
  return JSON.stringify([sorted(rest), numbers]);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
