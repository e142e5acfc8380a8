/** Everything malformed is a 4xx OperationOutcome: never a stack trace, never a 5xx, nothing stored. */
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';
import { heldBytes } from '../support/held-memory.ts';

let http: ServedApp;
let alice: string;
/** What was taken, so that nothing else may be there. */
let taken = 0;
beforeAll(async () => {
  http = await createServedApp();
  alice = await http.tokenOf('alice');
});
afterAll(async () => {
  const { json } = await call(http, 'GET', 'Patient?_summary=count');
  await http.stop();
  expect(json.total).toBe(taken);
});

function created({ status }: { readonly status: number }): void {
  expect(status).toBe(201);
  taken++;
}

async function refused(answer: Awaited<ReturnType<typeof call>>, status: number): Promise<void> {
  expect([answer.status, answer.json?.resourceType, answer.headers['content-type']]).toEqual([
    status,
    'OperationOutcome',
    'application/fhir+json; charset=utf-8',
  ]);
  expect(answer.text).not.toMatch(/\.ts:\d|node_modules|\n\s*at /);
}

describe('malformed bodies', () => {
  const patient = '{"resourceType":"Patient"}';
  it.each<[string, string | Buffer, number]>([
    ['no JSON', '{"resourceType":', 400],
    ['empty', '', 400],
    ['a trailing comma', '{"resourceType":"Patient",}', 400],
    ['a duplicate key', '{"resourceType":"Patient","id":"a","id":"b"}', 400],
    ['an array', '[]', 400],
    ['null', 'null', 400],
    ['no resourceType', '{}', 400],
    ['another type', '{"resourceType":"Observation"}', 400],
    ['a depth bomb', '['.repeat(50_000), 400],
    ['a deep resource', `{"resourceType":"Patient","a":${'['.repeat(30)}${']'.repeat(30)}}`, 400],
    ['two documents', patient + patient, 400],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
    ['a byte order mark', `\uFEFF${patient}`, 400],
    ['a lone surrogate', '{"resourceType":"Patient","x":"\\ud800"}', 400],
    ['a prototype', '{"resourceType":"Patient","__proto__":{"a":1},"__proto__":2}', 400],
    ['too much', `{"resourceType":"Patient","x":"${'x'.repeat(100_000)}"}`, 413],
  ])('%s', async (_name, body, status) => {
    await refused(await call(http, 'POST', 'Patient', { body }), status);
  });

  it.each([
    ['text/plain', 415],
    ['text/turtle', 415],
    ['json', 415],
    ['application/fhir+xml; charset=utf-16', 415],
    ['nonsense', 415],
    ['application/json; charset=latin1', 415],
    ['application/fhir+json; fhirVersion=5.0', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
  ])('Content-Type %s', async (type, status) => {
    await refused(await call(http, 'POST', 'Patient', { body: patient, headers: { 'content-type': type } }), status);
  });

  it('a body without a media type', async () => {
    const headers = { authorization: `Bearer ${alice}` };
    const answer = await fetch(`${http.base}/Patient`, { method: 'POST', headers, body: Buffer.from(patient) });
    expect([answer.status, ((await answer.json()) as { resourceType: string }).resourceType]).toEqual([415, 'OperationOutcome']);
  });

  it.each(['application/json', 'application/fhir+json;charset=UTF-8', 'application/fhir+json; fhirVersion=4.0'])('but %s is fine', async (type) => {
    created(await call(http, 'POST', 'Patient', { body: patient, headers: { 'content-type': type } }));
  });
});

describe('malformed requests', () => {
  it.each([
    ['GET', 'Patient/%E0%A4%A', 400],
    ['GET', 'Patient/a?_pretty=%zz', 400],
    ['GET', 'Patient/a?_summary=count', 400],
    ['GET', 'Patient/a?_summary=most', 400],
    ['GET', 'Patient/a?_summary=true&_elements=name', 400],
    ['GET', 'Patient/a?_format=ttl', 406],
    ['GET', 'Patient/a/_history?_count=-1', 400],
    ['GET', 'Patient/a/_history?_since=2024', 400],
    ['POST', 'Patient?x=1', 400],
  ] as const)('%s %s', async (method, url, status) => {
    await refused(await call(http, method, url, method === 'POST' ? { body: { resourceType: 'Patient' } } : {}), status);
  });

  it.each([
    'application/fhir+turtle',
    'text/turtle',
    'application/fhir+xml; q=0',
    'application/fhir+json; q=0',
    'application/fhir+json; fhirVersion=3.0',
  ])('Accept: %s', async (accept) => {
    await refused(await call(http, 'GET', 'Patient/a', { headers: { accept } }), 406);
  });

  it.each([
    'text/html,application/xhtml+xml,*/*;q=0.8',
    'application/json',
    'application/fhir+json; fhirVersion=4.0',
    'application/fhir+xml, application/*;q=0.1',
  ])('but Accept: %s is fine', async (accept) => {
    expect((await call(http, 'GET', 'metadata', { headers: { accept } })).status).toBe(200);
  });

  it.each(['json', 'application/json', 'application/fhir%2Bjson', 'application/fhir+json', 'text/json'])('_format=%s is fine', async (format) => {
    expect((await call(http, 'GET', `metadata?_format=${format}`, { headers: { accept: 'application/fhir+xml' } })).status).toBe(200);
  });

  it('no HTTP at all, and headers without end', async () => {
    for (const [bytes, status] of [
      ['nonsense\r\n\r\n', '400'],
      [`GET /fhir/metadata HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, '431'],
    ] as const) {
      const text = await raw(bytes);
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '').resourceType).toBe('OperationOutcome');
    }
  });
});

describe('compressed bodies', () => {
  const patient = Buffer.from('{"resourceType":"Patient"}');
  const encodings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync } as const;

  for (const [encoding, compress] of Object.entries(encodings)) {
    it(`${encoding} is read`, async () => {
      created(await call(http, 'POST', 'Patient', { body: compress(patient), headers: { 'content-encoding': encoding } }));
    });

    it(`a ${encoding} bomb of 64 MB stops at the limit, memory flat`, async () => {
      const bomb = compress(Buffer.alloc(64_000_000, 0x20));
      const before = heldBytes();
      await refused(await call(http, 'POST', 'Patient', { body: bomb, headers: { 'content-encoding': encoding } }), 413);
      expect(heldBytes() - before).toBeLessThan(50_000_000);
    });

    it(`what is not ${encoding} is refused`, async () => {
      await refused(await call(http, 'POST', 'Patient', { body: patient, headers: { 'content-encoding': encoding } }), 400);
      await refused(await call(http, 'POST', 'Patient', { body: compress(patient).subarray(0, 10), headers: { 'content-encoding': encoding } }), 400);
    });
  }

  it('an unknown encoding, or several', async () => {
    await refused(await call(http, 'POST', 'Patient', { body: patient, headers: { 'content-encoding': 'zstd-x' } }), 415);
    await refused(await call(http, 'POST', 'Patient', { body: patient, headers: { 'content-encoding': 'gzip, gzip' } }), 415);
  });
});

describe('a body without end', () => {
  it('is answered at the limit while it still comes, holding nothing', async () => {
    const chunk = 'x'.repeat(16_384);
    const before = heldBytes();
    const { answer, sent } = await flood(
      `POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${alice}\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n`,
      chunk,
    );
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toContain('OperationOutcome');
    expect(sent).toBeLessThan(64_000_000);
    expect(heldBytes() - before).toBeLessThan(50_000_000);
  });

  it('is not read at all without a token, or on a declared length beyond the limit', async () => {
    const head = 'POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n';
    expect(await raw(`${head}Content-Length: 99999999\r\n\r\n`)).toMatch(/^HTTP\/1.1 401 /);
    expect(await raw(`${head}Authorization: Bearer ${alice}\r\nContent-Length: 99999999\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 /);
  });
});

describe('a caller that hangs up', () => {
  it.each(['', 'Content-Encoding: gzip\r\n'])('in the middle of its body leaves the server as it was (%j)', async (header) => {
    const socket = connect(http.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      `POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${alice}\r\nContent-Type: application/fhir+json\r\n${header}Content-Length: 5000\r\n\r\n`,
    );
    socket.write(gzipSync('x'.repeat(100)), () => socket.destroy());
    await closed;
    expect((await call(http, 'GET', 'metadata')).status).toBe(200);
  });
});

/** Sends bytes and resolves with the head and body of the answer. */
function raw(bytes: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(http.port, '127.0.0.1', () => socket.write(bytes));
  let text = '';
  socket.on('data', (data) => {
    text += String(data);
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.POSITIVE_INFINITY);
    if ((text.split('\r\n\r\n')[1] ?? '').length < length) return;
    socket.destroy();
    resolve(text);
  });
  socket.on('error', reject);
  return promise;
}

/** Sends chunks until an answer comes. */
function flood(head: string, chunk: string): Promise<{ readonly answer: string; readonly sent: number }> {
  const { promise, resolve } = Promise.withResolvers<{ readonly answer: string; readonly sent: number }>();
  let sent = 0;
  let answer = '';
  const piece = `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
  const socket = connect(http.port, '127.0.0.1', () => {
    socket.write(head);
    pump();
  });
  const pump = (): void => {
    if (answer !== '' || socket.destroyed) return;
    sent += chunk.length;
    socket.write(piece, () => setImmediate(pump));
  };
  socket.on('data', (data) => {
    answer += String(data);
    if (answer.endsWith('}')) {
      socket.destroy();
      resolve({ answer, sent });
    }
  });
  socket.on('error', () => resolve({ answer, sent }));
  socket.on('close', () => resolve({ answer, sent }));
  return promise;
}
