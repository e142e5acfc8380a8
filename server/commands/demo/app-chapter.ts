/**
 * The chapter of the demo that whoever watches plays: the insurer's app in their browser, they as the patient with a passkey of their own, and the
 * hospital's signature at a press of Enter. What is theirs to do is printed with the addresses to open; the rest goes over HTTP, as before.
 */
import {
  type Bootstrap,
  type Client,
  createSession,
  enrolKey,
  expect,
  type Json,
  type Key,
  registerClient,
  type Session,
  signatures,
} from './session.ts';
import { EXAMPLE_APP, type ExampleApp, serveExampleApp } from './example-app.ts';

export type AppChapter = {
  /** Lines to print. */
  readonly steps: readonly string[];
  /** As the hospital, of all that waits for it. Resolves with how much that was. */
  countersign(): Promise<number>;
  stop(): Promise<void>;
};

type Parties = { readonly bootstrap: Bootstrap; readonly patient: string; readonly insurer: string; readonly hospital: string };

/** `insurer` runs the app, `hospital` keeps the record of `patient`: FHIR references. */
export async function openAppChapter({ bootstrap, patient, insurer, hospital }: Parties): Promise<AppChapter> {
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  const app = await serveExampleApp();
  await registerApp(admin, { actor: insurer, address: app.address });
  const [client, key] = [await registerClient(admin, 'Demo hospital', hospital, 'TREAT'), await enrolKey(admin, hospital)];
  const code = await admin.call('POST', '/admin/enrolments', { owner: patient, proofing: 'in-person' });
  expect('a code for a passkey', code.status === 201);
  return {
    steps: stepsFor({ bootstrap, app, code: String(code.json['code']) }),
    countersign: () => countersign(bootstrap, client, key),
    stop: () => app.stop(),
  };
}

async function registerApp(admin: Session, { actor, address }: { readonly actor: string; readonly address: string }): Promise<void> {
  const made = await admin.call('POST', '/admin/clients', {
    client_id: EXAMPLE_APP,
    client_name: 'Demo insurer’s app',
    scope: 'patient/Patient.rs patient/Observation.rs',
    actor,
    purposes: ['HPAYMT'],
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [address],
    token_endpoint_auth_method: 'none',
  });
  expect('registering the app', made.status === 201);
}

type Printed = { readonly bootstrap: Bootstrap; readonly app: ExampleApp; readonly code: string };

function stepsFor({ bootstrap, app, code }: Printed): readonly string[] {
  const { origin } = new URL(bootstrap.fhirBaseUrl);
  return [
    'a. make a passkey',
    `     ${origin}/patient/enrol`,
    `     the code you were given: ${code}`,
    'b. open the insurer’s app, and with it your record',
    `     ${app.address}?iss=${bootstrap.fhirBaseUrl}`,
    '     sign in with your passkey; take away what the app is not to see; read what it comes to, and sign',
    'c. your hospital keeps the record and has to sign as well: press Enter here, and it does',
    '     then "Look again" in the browser: the app shows what you let it see',
    'd. change your mind, with one more signature',
    `     ${origin}/patient/consents`,
    '     then "Read again" in the app: it sees nothing any more',
  ];
}

type Task = { readonly focus: { readonly reference: string }; readonly input: readonly { readonly type: Json; readonly valueString: string }[] };

async function countersign(bootstrap: Bootstrap, client: Client, key: Key): Promise<number> {
  const session = await createSession(bootstrap, client, 'system/*.rs');
  const waiting = await session.call('GET', 'Task?code=urn:assent:request|approval&status=requested');
  expect('the hospital sees what waits for it', waiting.status === 200);
  const tasks = ((waiting.json['entry'] ?? []) as { resource: Task }[]).map(({ resource }) => resource);
  for (const { focus, input } of tasks) {
    const statement = input.find(({ type }) => type['text'] === 'statement')?.valueString ?? '';
    const parameter = signatures(statement, [key]);
    const done = await session.call('POST', `${focus.reference}/$approve`, { resourceType: 'Parameters', parameter });
    expect('the hospital’s signature', done.status === 201);
  }
  return tasks.length;
}
