/** Serves docs/examples/app, which is another origin than the FHIR server's, as an app is in life. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** `address`: where the app is opened, and called back. */
export type ExampleApp = { readonly address: string; stop(): Promise<void> };

/** As the page names itself. */
export const EXAMPLE_APP = 'example-app';

const folder = new URL('../../../docs/examples/app/', import.meta.url);
const types: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'fhir-client.pure.min.js': 'text/javascript; charset=utf-8',
};

/** On a free port of this machine. */
export async function serveExampleApp(): Promise<ExampleApp> {
  const files = new Map(Object.entries(types).map(([name, type]) => [name, { type, content: readFileSync(new URL(name, folder)) }]));
  const server = createServer((request, response) => {
    const file = files.get((request.url ?? '').replace(/\?.*$/s, '').slice(1) || 'index.html');
    if (!file) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': file.type, 'cache-control': 'no-store' }).end(file.content);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, 'localhost', resolve);
  });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { address: `http://localhost:${(server.address() as AddressInfo).port}/`, stop };
}
