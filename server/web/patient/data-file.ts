/**
 * All that is written about a patient as one file: a Bundle, streamed. https://hl7.org/fhir/R4/patient-operation-everything.html
 *
 * Invariants: it is read in the patient's own view, each part recorded before its first byte; what breaks off is no valid JSON, so that nobody takes a
 * part for the whole.
 */
import { Readable } from 'node:stream';
import type { Gate, GatherPlace, GatherResult } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { compartmentOf } from '../../fhir/compartment-definitions.ts';
import { membership, typesOf } from '../../http/compartment.ts';
import { SUPPORTING } from '../../http/operations/everything.ts';
import { all } from '../../search/expression.ts';
import type { RecordPages } from './record-pages.ts';
import type { PatientSession } from './sessions.ts';

const AT_ONCE = 500;

type Found = GatherResult & { readonly kind: 'found' };
type NextPage = (after?: GatherPlace) => Promise<Found>;

/** Resolves when the first part is there: what goes wrong before is an answer, after it the file breaks off. */
export async function dataFile(pages: RecordPages, session: PatientSession): Promise<Readable> {
  const { base, clock } = pages;
  const read = reading(pages, session, pages.gateFor(session.caller));
  const first = await read();
  const head = `{"resourceType":"Bundle","type":"collection","timestamp":"${new Date(clock()).toISOString()}"`;
  return Readable.from(bundle(first, { head, base, read }));
}

function reading({ search }: RecordPages, { patient }: PatientSession, gate: Gate): NextPage {
  const owner = { type: 'Patient', id: patient.slice('Patient/'.length) };
  const sent = new Set<string>();
  // Who read what is no part of a record of care, and would grow while it is read.
  const types = typesOf(compartmentOf('Patient') ?? {}, 'Patient').filter((type) => type !== 'AuditEvent');
  const parts = types.map((type) => ({ type, where: membership(search, owner, type) }));
  const follow = { types: new Map(SUPPORTING.map((type) => [type, all])), sent: (reference: string) => sent.has(reference) };
  return async (after) => {
    const found = await gate.gather({
      interaction: 'operation',
      type: undefined,
      subject: owner,
      parts,
      count: AT_ONCE,
      ...(after ? { after } : {}),
      follow,
      query: `${patient}/$everything`,
    });
    if (found.kind === 'absent') throw new AssentError('not-found');
    for (const { type, id } of found.followed) sent.add(`${type}/${id}`);
    return found;
  };
}

type Writing = { readonly head: string; readonly base: string; readonly read: NextPage };

async function* bundle(first: Found, { head, base, read }: Writing): AsyncGenerator<string> {
  // FHIR has no empty arrays; the first entry is always there: the Patient.
  let before = `${head},"entry":[`;
  for (let found: Found | undefined = first; found; found = found.next && (await read(found.next))) {
    for (const { type, id, body } of [...found.rows, ...found.followed]) {
      yield `${before}{"fullUrl":${JSON.stringify(`${base}/${type}/${id}`)},"resource":${body}}`;
      before = ',\n';
    }
  }
  yield ']}\n';
}
