/**
 * Signing with a key file in the browser: the file is read here, and nothing of it is sent. https://www.rfc-editor.org/rfc/rfc7515,
 * https://www.rfc-editor.org/rfc/rfc7638
 *
 * A module, for its names are not those of the other script on the page. A form says in data-key-file how it is signed: `detached` (the statement is sent beside) or `attached`; its field "statement" is what is signed, its field
 * "jws" takes the signature.
 */
const encoded = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** In pieces: a statement may be longer than a call takes arguments. */
function encodedText(text) {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const kinds = {
  'P-256': { alg: 'ES256', key: { name: 'ECDSA', namedCurve: 'P-256' }, sign: { name: 'ECDSA', hash: 'SHA-256' } },
  Ed25519: { alg: 'EdDSA', key: { name: 'Ed25519' }, sign: { name: 'Ed25519' } },
};

async function keyIn(file) {
  if (!file) throw new Error('Choose the key file.');
  const jwk = JSON.parse(await file.text().catch(() => ''));
  const kind = kinds[jwk.crv];
  if (!kind || typeof jwk.d !== 'string') throw new Error('The file is no private key (JWK) on P-256 or Ed25519.');
  const { crv, kty, x, y, d } = jwk;
  const members = kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x };
  const kid = encoded(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(members))));
  return { kind, kid, key: await crypto.subtle.importKey('jwk', { ...members, d }, kind.key, false, ['sign']) };
}

async function signed(statement, file, isDetached) {
  const { kind, kid, key } = await keyIn(file);
  const [header, payload] = [encodedText(JSON.stringify({ alg: kind.alg, kid })), encodedText(statement)];
  const signature = encoded(await crypto.subtle.sign(kind.sign, key, new TextEncoder().encode(`${header}.${payload}`)));
  return `${header}.${isDetached ? '' : payload}.${signature}`;
}

async function act(form) {
  const [problem, { statement, jws, file }] = [form.querySelector('[data-key-problem]'), form.elements];
  problem.textContent = '';
  try {
    jws.value = await signed(statement.value, file.files[0], form.dataset.keyFile === 'detached');
    form.submit();
  } catch (error) {
    problem.textContent = error instanceof SyntaxError ? 'The file is not JSON.' : error.message;
  }
}

for (const form of document.querySelectorAll('form[data-key-file]')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(form);
  });
}
