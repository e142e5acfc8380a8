/** The console over HTTP as a browser asks it, signed in with a client's secret. */
import type { Client } from '../../server/commands/demo/session.ts';
import { getPage, type Page, postForm } from './patient-pages.ts';

export type ConsoleReader = {
  get(path: string): Promise<Page>;
  send(path: string, form?: Readonly<Record<string, string>>): Promise<Page>;
};

/** `origin`: of the console's pages. */
export async function consoleAs(origin: string, { client_id: client, client_secret: secret }: Client): Promise<ConsoleReader> {
  const { cookie, status } = await postForm(origin, '/console/sign-in', { client, secret });
  if (status !== 303) throw new Error(`Not signed in: ${status}`);
  const token = fieldOf((await getPage(origin, '/', cookie)).text, 'token');
  return {
    get: (path) => getPage(origin, path, cookie),
    send: (path, form = {}) => postForm(origin, path, { token, ...form }, { cookie }),
  };
}

/** The value of the first such field of a page. */
export function fieldOf(page: string, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '';
}
