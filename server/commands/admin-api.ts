/**
 * The admin API as the command line uses it: a token for the administrator of DATA_DIR/bootstrap.json, then requests to the running
 * server, so that its caches and the consent epoch move with every change. interface.md §2
 */
import { readFileSync } from 'node:fs';
import { readBootstrap } from '../authz/bootstrap.ts';
import type { Config } from '../config.ts';

export type AdminApi = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<unknown>;

/** Throws Error with a sentence for the operator. */
export async function connectAdminApi({ DATA_DIR }: Pick<Config, 'DATA_DIR'>): Promise<AdminApi> {
  const { tokenUrl, fhirBaseUrl, admin } = await readBootstrap(DATA_DIR);
  const base = fhirBaseUrl.replace(/\/fhir$/, '');
  const basic = Buffer.from(`${encodeURIComponent(admin.client_id)}:${encodeURIComponent(admin.client_secret)}`).toString('base64');
  const answer = await send(tokenUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'admin' }),
  });
  const token = (answer as { readonly access_token: string }).access_token;
  return (method, path, body) =>
    send(base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
}

async function send(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new Error(`The server at ${new URL(url).origin} does not answer: is it running?`, { cause });
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${problems(text)}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** The sentences of an OperationOutcome or of an OAuth error. */
function problems(text: string): string {
  try {
    const { issue, error, error_description } = JSON.parse(text) as {
      issue?: { diagnostics?: string }[];
      error?: string;
      error_description?: string;
    };
    return issue?.map(({ diagnostics }) => diagnostics).join(' ') ?? [error, error_description].filter(Boolean).join(': ');
  } catch {
    return text.slice(0, 200);
  }
}

export function print(value: unknown): void {
  if (value !== undefined) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** The JSON in a file, or on standard input for `-`. */
export function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'));
}
