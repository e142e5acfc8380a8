/** Relatives who act for a patient, as an app and a custodian's desk do it over HTTP. */
import { type Answer, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import { keyStatement, sendSigned } from './key-ceremony.ts';
import { put, type RealServer, register } from './real-server.ts';

export const YEAR = 365.25 * 86_400_000;

export type Relative = { readonly reference: string; readonly key: Key; readonly session: Session };

/** On record as a relative of the patient, with a key and a client of their own. */
export async function relative(server: RealServer, id: string, patient: string): Promise<Relative> {
  const reference = `RelatedPerson/${id}`;
  await put(server, { resourceType: 'RelatedPerson', id, active: true, patient: { reference: patient } });
  const { session } = await register(server, { actor: reference, purposes: ['PATRQT', 'TREAT'] });
  return { reference, session, key: await enrolKey(server.admin, reference) };
}

type Granting = { readonly patient: string; readonly delegate: string; readonly by: Key; readonly said?: Json; readonly session?: Session };

/** By default on the patient's word, for everything, for a year. */
export function grant(server: RealServer, { patient, delegate, by, said = {}, session = server.admin }: Granting): Promise<Answer> {
  const [from, until] = [server.now() - 60_000, server.now() + YEAR].map((at) => new Date(at).toISOString());
  const terms = { patient, delegate, basis: 'patient', acts: ['sign', 'withdraw', 'read'], from, until, ...said };
  return sendSigned(session, '$grant-authority', keyStatement(server, 'authority', terms), [by]);
}

export function end(
  server: RealServer,
  {
    authority,
    by,
    said = {},
    session = server.admin,
  }: { readonly authority: string; readonly by: Key; readonly said?: Json; readonly session?: Session },
): Promise<Answer> {
  return sendSigned(session, '$end-authority', keyStatement(server, 'authority-end', { authority, reason: 'moved away', ...said }), [by]);
}

export function authorityOf({ json }: Answer): string {
  const found = (json['parameter'] as Json[] | undefined)?.find(({ name }) => name === 'authority');
  return String(found?.['valueString']);
}
