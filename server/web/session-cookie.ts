/**
 * The cookie behind a session, and the form token bound to it. https://www.rfc-editor.org/rfc/rfc6265,
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 * Invariant: no script reads it, and over https it is for this very host and no other (`__Host-`).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export type SessionCookie = {
  /** The Set-Cookie header. */
  holding(value: string, lifetimeMs: number): string;
  readonly cleared: string;
  /** From a Cookie header. */
  read(header: string | undefined): string | undefined;
};

type Kind = { readonly sameSite: 'Strict' | 'Lax'; readonly secure: boolean };

export function createSessionCookie(plain: string, { sameSite, secure }: Kind): SessionCookie {
  const name = secure ? `__Host-${plain}` : plain;
  const written = (value: string, seconds: number) =>
    `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=${sameSite}${secure ? '; Secure' : ''}`;
  return {
    holding: (value, lifetimeMs) => written(value, lifetimeMs / 1000),
    cleared: written('', 0),
    read(header) {
      const pairs = (header ?? '').split(';').map((pair) => pair.trim());
      return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
    },
  };
}

/** Goes into each form: a request without it did not come from our page. */
export function formTokenOf(cookieValue: string): string {
  return createHmac('sha256', cookieValue).update('form').digest('base64url');
}

export function formTokenMatches({ formToken }: { readonly formToken: string }, sent: string): boolean {
  return timingSafeEqual(digest(formToken), digest(sent));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
