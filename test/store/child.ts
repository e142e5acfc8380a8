/** A process of its own for tests that kill it: writes without end and prints the id of each create that was acknowledged. */
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { any } from '../../server/search/expression.ts';
import { query, resource, writes } from '../contract/subject.ts';

const [dataDir = '', run = '', size = '10'] = process.argv.slice(2);
const { resources } = await createEmbeddedEngine({ dataDir, clock: () => 0 });
process.stdout.write('open\n');

async function writer(name: string): Promise<never> {
  for (let i = 0; ; i++) {
    const id = `${run}-${name}-${i}`;
    const row = resource('Observation', id, { version: id, keys: ['k', `id-${id}`], body: 'x'.repeat(Number(size)) });
    await resources.commit(writes([row], { log: [{ key: id, entry: id }] }));
    process.stdout.write(`${id}\n`);
  }
}

/** A full disk may still have room for something small: done when the store itself says that it cannot write. */
async function untilUnhealthy(name: string): Promise<string> {
  for (let round = 0; ; round++) {
    const refused = await writer(`${name}${round}`).catch((error: { code: string }) => error.code);
    const check = await resources.check().catch((error: { code: string }) => error.code);
    if (check !== undefined) return `write ${refused}, check ${check}`;
  }
}

for (const line of await Promise.all(['a', 'b', 'c', 'd', 'e'].map(untilUnhealthy))) process.stdout.write(`refused: ${line}\n`);
const found = await resources.find(query('Observation', { where: any(['k']), limit: 1 }));
process.stdout.write(`still reads: ${found.kind === 'rows' ? found.rows.length : found.kind}\n`);
await resources.close();
