/** The bare baseline: Fastify with @fastify/jwt, serving the same bytes from memory. Reads { body, token payload secret } from argv; prints its port. */
import jwt from '@fastify/jwt';
import fastify from 'fastify';

const [, , body = '{}', publicKey = '', privateKey = ''] = process.argv;
const app = fastify({ logger: false });
await app.register(jwt, {
  secret: { public: publicKey, private: privateKey },
  sign: { algorithm: 'RS256', expiresIn: '10m' },
  verify: { algorithms: ['RS256'], cache: true },
});
app.get('/token', async () => app.jwt.sign({ sub: 'bench' }));
// A route and nothing else: what CPU figures of other machines are scaled by.
app.get('/plain', async (_request, reply) => reply.type('application/fhir+json; charset=utf-8').send(body));
app.get('/resource', { preHandler: async (request) => request.jwtVerify() }, async (_request, reply) =>
  reply.type('application/fhir+json; charset=utf-8').send(body),
);
await app.listen({ port: 0, host: '127.0.0.1' });
const address = app.server.address();
process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' && address ? address.port : 0 })}\n`);
process.on('SIGTERM', () => void app.close());
