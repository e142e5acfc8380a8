/**
 * All that a page of ours does in the browser: it hands what the server asks to the authenticator, and its answer back.
 * https://www.w3.org/TR/webauthn-3/ §5.1
 *
 * A form says in data-passkey what is to be done when it is sent:
 *   enrol, sign-in  ask the server for options at action + "/options", post the answer to action, go where it says; a new passkey that is to replace lost
 *                   ones signs for that first;
 *   add             the same for a passkey more, which both the new one and one of the others sign for;
 *   sign            sign data-challenge (base64url) with one of data-credentials, put the answer into the field "webauthn", and send the form.
 */
const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

const known = (credentials = []) => credentials.map(({ id, ...rest }) => ({ ...rest, type: 'public-key', id: bytes(id) }));

async function post(url, fields) {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(fields) });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const [issue] = body.issue ?? [];
  throw Object.assign(new Error(), { said: issue?.diagnostics });
}

async function created({ challenge, user, excludeCredentials, ...options }) {
  const publicKey = { ...options, challenge: bytes(challenge), user: { ...user, id: bytes(user.id) }, excludeCredentials: known(excludeCredentials) };
  const { id, type, response } = await navigator.credentials.create({ publicKey });
  const answer = { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) };
  return { id, rawId: id, type, response: answer, clientExtensionResults: {} };
}

async function signed({ challenge, allowCredentials, ...options }) {
  const publicKey = { ...options, challenge: bytes(challenge), allowCredentials: known(allowCredentials) };
  const { id, type, response } = await navigator.credentials.get({ publicKey });
  const answer = {
    authenticatorData: text(response.authenticatorData),
    clientDataJSON: text(response.clientDataJSON),
    signature: text(response.signature),
    ...(response.userHandle ? { userHandle: text(response.userHandle) } : {}),
  };
  return { id, rawId: id, type, response: answer, clientExtensionResults: {} };
}

async function withOptions(form, answerTo) {
  const action = form.getAttribute('action');
  const fields = Object.fromEntries(new FormData(form));
  const answer = await answerTo(await post(`${action}/options`, fields));
  const { location: next } = await post(action, { ...fields, answer: JSON.stringify(answer) });
  location.assign(next);
}

async function enrol(form) {
  const action = form.getAttribute('action');
  const fields = Object.fromEntries(new FormData(form));
  const answer = await created(await post(`${action}/options`, fields));
  const { location: next, statement, made } = await post(action, { ...fields, answer: JSON.stringify(answer) });
  if (next) return location.assign(next);
  const proposed = await post(`${action}/recovery`, { ...fields, statement, made: JSON.stringify(await signed(made)) });
  return location.assign(proposed.location);
}

async function add(form) {
  const action = form.getAttribute('action');
  const fields = Object.fromEntries(new FormData(form));
  const answer = await created(await post(`${action}/options`, fields));
  const { statement, ...asked } = await post(`${action}/statement`, { ...fields, answer: JSON.stringify(answer) });
  const [made, present] = [await signed(asked.made), await signed(asked.present)];
  const { location: next } = await post(action, { ...fields, statement, made: JSON.stringify(made), present: JSON.stringify(present) });
  location.assign(next);
}

async function sign(form) {
  const { challenge, rpId, credentials } = form.dataset;
  const allowCredentials = credentials.split(' ').map((id) => ({ id }));
  const answer = await signed({ challenge, rpId, allowCredentials, userVerification: 'required' });
  form.elements.webauthn.value = JSON.stringify(answer);
  form.submit();
}

const acts = { add, enrol, 'sign-in': (form) => withOptions(form, signed), sign };

/** The page brings the words: data-cancelled, data-known, data-refused, data-unsupported. */
function sentence(error, words) {
  if (error.name === 'NotAllowedError' || error.name === 'AbortError') return words.cancelled;
  if (error.name === 'InvalidStateError') return words.known;
  return error.said ?? (navigator.credentials ? words.refused : words.unsupported);
}

async function act(form) {
  const [problem, buttons] = [form.querySelector('[data-passkey-problem]'), form.querySelectorAll('button')];
  problem.textContent = '';
  for (const button of buttons) button.disabled = true;
  try {
    await acts[form.dataset.passkey](form);
  } catch (error) {
    problem.textContent = sentence(error, problem.dataset);
  }
  for (const button of buttons) button.disabled = false;
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(form);
  });
}
