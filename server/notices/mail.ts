/**
 * E-mail through the operator's own relay. https://www.rfc-editor.org/rfc/rfc5321, https://www.rfc-editor.org/rfc/rfc3834
 *
 * Invariants: one message has one recipient, and what stands in an address can name no other; to a relay outside this machine it goes over TLS or not
 * at all.
 */
import nodemailer from 'nodemailer';
import { AssentError } from '../errors.ts';

type Letter = {
  /** The same every time it is sent. */
  readonly id: string;
  /** One that isMailAddress takes. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
};

/**
 * `refused`: this recipient for good; `later`: the relay wants to be asked again. Throws AssentError('unavailable') where the relay itself cannot be
 * used, with a sentence that names nobody.
 */
export type Mail = (letter: Letter) => Promise<'accepted' | 'refused' | 'later'>;

/** `url`: smtp://user@host:port or smtps://…; `password` where there is a user. */
type MailDependencies = { readonly url: string; readonly from: string; readonly password?: string | undefined };

const TIMEOUT_MS = 10_000;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
const PORTS: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 };

export function createMail({ url, from, password = '' }: MailDependencies): Mail {
  const { protocol, hostname, port, username } = new URL(url);
  const transport = nodemailer.createTransport({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? PORTS[protocol] : Number(port),
    secure: protocol === 'smtps:',
    requireTLS: !LOOPBACK.has(hostname),
    ...(username === '' ? {} : { auth: { user: decodeURIComponent(username), pass: password } }),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = from.slice(from.lastIndexOf('@') + 1).replace(/>$/, '');
  return async ({ id, to, subject, text }) => {
    try {
      await transport.sendMail({
        from,
        to: { name: '', address: to },
        subject,
        text,
        messageId: `<${id}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated' },
        xMailer: false,
      });
      return 'accepted';
    } catch (fault) {
      return outcomeOf(fault);
    }
  };
}

/** Of one recipient, or of the relay. */
function outcomeOf(fault: unknown): 'refused' | 'later' {
  const { code, responseCode = 0 } = fault as { readonly code?: string; readonly responseCode?: number };
  if (code === 'EENVELOPE') return responseCode >= 500 ? 'refused' : 'later';
  throw new AssentError('unavailable', `The relay for e-mail cannot be used${code === undefined ? '' : ` (${code})`}.`);
}

/** One mailbox and nothing that a list, a header or a route is made with. */
export function isMailAddress(text: unknown): text is string {
  return typeof text === 'string' && text.length <= 254 && /^[^\s@,;:<>()[\]\\"]{1,64}@[^\s@,;:<>()[\]\\"]+$/.test(text);
}
