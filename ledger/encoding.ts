/**
 * Base64 read strictly. RFC 4648 §3.5
 * Invariant: one value has one spelling. A lax decoder ignores spare bits and foreign characters, so a proof could be changed
 * without changing what it says.
 */

export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

export function fromBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
