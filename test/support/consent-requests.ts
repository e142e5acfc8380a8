/** Asking for a Consent, approving and refusing it, as the parties' own software does it. docs/operations/requests.md */
import canonicalize from 'canonicalize';
import { type Answer, type Json, jws, type Key, type Session } from '../../server/commands/demo/session.ts';

export type Task = Json & { readonly id: string; readonly status: string; readonly focus: { readonly reference: string } };
type Input = { readonly type: { readonly text: string }; readonly valueString: string };

/** What the parties sign, and about which Consent. */
export type Asked = { readonly own: Task; readonly consent: string; readonly statement: string; readonly digest: string };

const parameters = (...parameter: readonly object[]): Json => ({ resourceType: 'Parameters', parameter });

/** `until`: instant. */
export function askFor(by: Session, terms: Json, until: string): Promise<Answer> {
  return by.call('POST', 'Consent/$request', parameters({ name: 'consent', resource: terms }, { name: 'deadline', valueInstant: until }));
}

/** The Tasks of requests that this caller sees: `approval` is asked of a party, `consent` by the requester. */
export async function requestTasks(session: Session, code: 'approval' | 'consent' = 'approval'): Promise<readonly Task[]> {
  const answer = await session.call('GET', `Task?_count=200&code=urn:assent:request|${code}`);
  if (answer.status !== 200) throw new Error(`Task: ${answer.status}`);
  return ((answer.json['entry'] ?? []) as { resource: Task }[]).map(({ resource }) => resource);
}

/** As one of the parties is told by their Task. */
export async function toldOf(own: Task, party: Session): Promise<Asked> {
  const task = (await requestTasks(party)).find(({ focus }) => focus.reference === own.focus.reference);
  const input = (name: string) => ((task?.['input'] ?? []) as Input[]).find(({ type }) => type.text === name)?.valueString ?? '';
  return { own, consent: own.focus.reference, statement: input('statement'), digest: input('digest') };
}

export function approve(by: Session, { consent, statement }: Pick<Asked, 'consent' | 'statement'>, keys: readonly Key[]): Promise<Answer> {
  const signatures = keys.map((key) => ({
    name: 'signature',
    part: [
      { name: 'who', valueReference: { reference: key.owner } },
      { name: 'jws', valueString: jws(key, statement, true) },
    ],
  }));
  return by.call('POST', `${consent}/$approve`, parameters(...signatures));
}

/** `more`: other than what is refused so. */
export function refuse(
  by: Session,
  asked: Pick<Asked, 'consent' | 'digest'>,
  { key, now, more }: { readonly key: Key; readonly now: number; readonly more?: Json },
): Promise<Answer> {
  const { consent, digest } = asked;
  const said = canonicalize({ type: 'urn:assent:refusal:1', consent, digest, created: new Date(now).toISOString(), ...more }) as string;
  return by.call('POST', `${consent}/$refuse`, parameters({ name: 'jws', valueString: jws(key, said, false) }));
}
