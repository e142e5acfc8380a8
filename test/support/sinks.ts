/** A receiver of webhooks on this machine that can be told to misbehave. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Delivered = { readonly headers: IncomingHttpHeaders; readonly body: string };
export type WebhookSink = { readonly url: string; readonly received: Delivered[]; answer: number | 'nothing'; stop(): Promise<void> };

export async function startWebhookSink(): Promise<WebhookSink> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      sink.received.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      if (sink.answer !== 'nothing') response.writeHead(sink.answer, { location: '/elsewhere' }).end('thanks');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sink: WebhookSink = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received: [],
    answer: 204,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return sink;
}
