/** Lists of what is registered, for the registrar, and the policies, for everybody with an account. */
import type { Row } from '../../consent/gate.ts';
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';
import type { Session } from './sessions.ts';

/** As the admin API shows it. */
export type ListedClient = { readonly client_id: string; readonly [member: string]: unknown };

export type RegisteredKey = {
  readonly kid: string;
  readonly role: string;
  readonly registeredAt: string;
  readonly passkey?: object | undefined;
  readonly revoked?: { readonly at: string; readonly reason?: string } | undefined;
};

export function clientsPage({ formToken }: Session, clients: readonly ListedClient[], next: string | undefined): Html {
  const text = (value: unknown): string => (Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : '');
  return html`<p>Registered and changed by <code>/admin/clients</code> and <code>npm run assent -- client</code>.</p>
<ol>${clients.map(
    (client) => html`<li class="card">
<h3>${text(client['client_name'])}</h3>
<dl>
<dt>Client id</dt><dd><code>${client.client_id}</code></dd>
<dt>Acts for</dt><dd>${text(client['actor'])}</dd>
<dt>Scope</dt><dd><code>${text(client['scope'])}</code></dd>
<dt>Purposes</dt><dd>${text(client['purposes'])}</dd>
<dt>Signs in by</dt><dd>${text(client['token_endpoint_auth_method'])}</dd>
</dl>
</li>`,
  )}</ol>
${next === undefined ? undefined : html`<form method="post" action="/console/clients"><input type="hidden" name="after" value="${next}"><input type="hidden" name="token" value="${formToken}"><button class="plain">More</button></form>`}`;
}

/** `custodians`: references of those with a custodian's key in use. */
export function organizationsPage(
  { formToken }: Session,
  rows: readonly Row[],
  { custodians, next }: { readonly custodians: ReadonlySet<string>; readonly next: string | undefined },
): Html {
  return html`<p>Those that hold records here have a key as custodian.</p>
${rows.length === 0 ? html`<p role="status">There is none.</p>` : undefined}
<ol>${rows.map(({ id, body }) => {
    const { name, active } = JSON.parse(body) as { readonly name?: unknown; readonly active?: unknown };
    return html`<li class="card">
<h3>${typeof name === 'string' ? name : 'Without a name'}</h3>
<dl><dt>Reference</dt><dd><code>Organization/${id}</code></dd>
<dt>Custodian</dt><dd>${custodians.has(`Organization/${id}`) ? html`<span class="good">yes</span>` : 'no'}</dd>
${active === false ? html`<dt>Active</dt><dd><span class="bad">no</span></dd>` : undefined}</dl>
${keysForm(formToken, `Organization/${id}`, html`<button class="plain">Its keys</button>`)}
</li>`;
  })}</ol>
${next === undefined ? undefined : html`<form method="post" action="/console/organizations"><input type="hidden" name="page" value="${next}"><input type="hidden" name="token" value="${formToken}"><button class="plain">More</button></form>`}`;
}

function keysForm(formToken: string, owner: string, button: Html): Html {
  return html`<form method="post" action="/console/keys"><input type="hidden" name="owner" value="${owner}"><input type="hidden" name="token" value="${formToken}">${button}</form>`;
}

type Keys = { readonly owner: string; readonly keys?: readonly RegisteredKey[]; readonly problem?: string };

export function keysPage({ formToken }: Session, { owner, keys, problem }: Keys): Html {
  const described = problem === undefined ? undefined : html`aria-invalid="true" aria-describedby="owner-problem"`;
  return html`${keys === undefined ? undefined : keyList(owner, keys)}
<form method="post" action="/console/keys">
<label for="owner">Whose keys</label>
<input id="owner" name="owner" required placeholder="Patient/123" value="${owner}" autocomplete="off" autocapitalize="none" spellcheck="false" ${described}>
${problem === undefined ? undefined : html`<p class="bad" id="owner-problem" role="alert">${problem}</p>`}
<input type="hidden" name="token" value="${formToken}">
<button>Show the keys</button>
</form>
<p class="soft">Keys are registered and revoked by <code>/admin/keys</code> and <code>npm run assent -- key</code>.</p>`;
}

function keyList(owner: string, keys: readonly RegisteredKey[]): Html {
  return html`<h2>${owner}</h2>
${keys.length === 0 ? html`<p role="status">There is no key of this owner.</p>` : undefined}
<ol>${keys.map(
    ({ kid, role, registeredAt, passkey, revoked }) => html`<li class="card${revoked ? ' refused' : ''}">
<h3>${passkey ? 'Passkey' : 'Key'} of a ${role} ${revoked ? html`<span class="bad">revoked</span>` : html`<span class="good">in use</span>`}</h3>
<dl>
<dt>Since</dt><dd>${time(Date.parse(registeredAt))}</dd>
${revoked ? html`<dt>Until</dt><dd>${time(Date.parse(revoked.at))}</dd>` : undefined}
<dt>Kid</dt><dd><code>${kid}</code></dd>
</dl>
</li>`,
  )}</ol>`;
}

/** Names and what they say, in the order in which they are asked. */
export type PolicyRows = readonly (readonly [name: string, says: string])[];

export function policiesPage(policies: PolicyRows): Html {
  return html`<p>What decides beside the patients’ Consents, in the order in which it is asked.</p>
<dl>${policies.map(([name, says]) => html`<dt><code>${name}</code></dt><dd>${says}</dd>`)}</dl>`;
}
