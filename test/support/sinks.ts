/** Receivers of notices on this machine: a webhook's, and a relay for e-mail that keeps what it is given. Each can be told to misbehave. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

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

export type Letter = { readonly to: readonly string[]; readonly text: string };
/** `refuse`: SMTP's answer to a recipient, instead of taking them. */
export type MailSink = { readonly url: string; readonly letters: Letter[]; refuse: (recipient: string) => string | undefined; stop(): Promise<void> };

/** Without TLS: to `127.0.0.1` a letter may go so, to any other host not. */
export async function startMailSink(host = '127.0.0.1'): Promise<MailSink> {
  const server = createSocketServer((socket) => void converse(socket, sink));
  server.listen(0, host);
  await once(server, 'listening');
  const sink: MailSink = {
    url: `smtp://${host}:${(server.address() as AddressInfo).port}`,
    letters: [],
    refuse: () => undefined,
    async stop() {
      server.close();
      await once(server, 'close');
    },
  };
  return sink;
}

async function converse(socket: Socket, sink: MailSink): Promise<void> {
  socket.on('error', () => socket.destroy());
  const say = (line: string) => socket.write(`${line}\r\n`);
  let to: string[] = [];
  let data: string[] | undefined;
  say('220 sink');
  for await (const line of createInterface({ input: socket })) {
    if (data && line === '.') {
      sink.letters.push({ to, text: data.join('\n') });
      [to, data] = [[], undefined];
      say('250 taken');
    } else if (data) data.push(line);
    else if (/^(EHLO|HELO|MAIL|RSET|NOOP)/i.test(line)) say('250 sink');
    else if (/^RCPT/i.test(line)) {
      const recipient = /<(.*)>/.exec(line)?.[1] ?? '';
      const refused = sink.refuse(recipient);
      if (refused === undefined) to.push(recipient);
      say(refused ?? '250 yes');
    } else if (/^DATA/i.test(line)) {
      data = [];
      say('354 go on');
    } else if (/^QUIT/i.test(line)) {
      say('221 bye');
      socket.end();
    } else say('502 what?');
  }
}
