/** The first page: is the server well, how long is the log, what was signed and anchored last; and the way to sign in. */
import { type Html, html } from '../html.ts';
import { time } from '../layout.ts';

/** What the server says about itself; nothing about any patient. Times in ms since 1970. */
export type Status = {
  readonly ready: boolean;
  /** Entries of the log, signed or not yet. */
  readonly logSize: number;
  readonly checkpoint: { readonly size: number; readonly signedAt: number; readonly text: string } | undefined;
  readonly witnessed: { readonly size: number; readonly signedAt: number; readonly by: number } | undefined;
  readonly anchors: readonly { readonly name: string; readonly size: number; readonly at: number }[];
};

export function homePage(status: Status, { signedIn, notice }: { readonly signedIn: boolean; readonly notice?: string }): Html {
  return html`${notice === undefined ? undefined : html`<p class="bad" role="alert">${notice}</p>`}
${statusSection(status)}
${signedIn ? undefined : signInForm()}`;
}

function statusSection({ ready, logSize, checkpoint, witnessed, anchors }: Status): Html {
  return html`<h2>Server</h2>
<dl>
<dt>Health</dt><dd>${ready ? html`<span class="good">Ready</span>` : html`<span class="bad">Not ready</span>`}</dd>
<dt>Log entries</dt><dd>${logSize}</dd>
<dt>Last checkpoint</dt><dd>${checkpoint ? html`${checkpoint.size} entries, ${time(checkpoint.signedAt)}` : 'none yet'}</dd>
<dt>Witnessed</dt><dd>${witnessed ? html`${witnessed.size} entries, ${time(witnessed.signedAt)}, cosigned by ${witnessed.by}` : 'no checkpoint yet'}</dd>
<dt>Anchors</dt><dd>${anchors.length === 0 ? 'none yet' : html`<ul>${anchors.map((a) => html`<li>${a.name}: ${a.size} entries, ${time(a.at)}</li>`)}</ul>`}</dd>
</dl>
${checkpoint && html`<details><summary>The signed checkpoint</summary><pre>${checkpoint.text}</pre></details>`}
<p>Anyone may check the log: <a href="/ledger/checkpoint">checkpoint</a>, <a href="/ledger/key">verifier key</a>, <a href="/ledger/verify.html">a page that proves receipts</a>.</p>`;
}

function signInForm(): Html {
  return html`<h2>Sign in</h2>
<p>With the client of an administrator, or of somebody with a duty of administration. The first one stands in <code>bootstrap.json</code> in the data folder.</p>
<form method="post" action="/console/sign-in">
<label for="client">Client id</label>
<input id="client" name="client" required autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="secret">Client secret</label>
<input id="secret" name="secret" type="password" required autocomplete="current-password">
<button>Sign in</button>
</form>`;
}
