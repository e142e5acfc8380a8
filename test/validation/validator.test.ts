import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ResourceDocument, ResourceValue } from '../../server/fhir/resource.ts';
import { createPool } from '../../server/validation/pool.ts';
import { createValidator } from '../../server/validation/validator.ts';

const document = (value: ResourceValue): ResourceDocument => ({ value, text: JSON.stringify(value) });
const good = document({ resourceType: 'Basic', code: { text: 'x' } });
const bad = document({ resourceType: 'Basic', code: { text: 1 } });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assent-pool-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function script(name: string, onMessage: string): Promise<URL> {
  const path = join(folder, `${name}.mjs`);
  await writeFile(path, `import { parentPort } from 'node:worker_threads';\nparentPort.on('message', ({ texts }) => { ${onMessage} });\n`);
  return pathToFileURL(path);
}

test('a few are judged here and many in threads, with the same issues in the same order', async () => {
  const validator = createValidator({ threads: 2 });
  const few = await validator.validate([good, bad, good]);
  expect(few.map((issues) => issues.length)).toEqual([0, 1, 0]);
  const many = await validator.validate(Array.from({ length: 450 }, (_, i) => (i % 7 === 3 ? bad : good)));
  expect(many).toEqual(Array.from({ length: 450 }, (_, i) => (i % 7 === 3 ? few[1] : [])));
  const large = document({ resourceType: 'Basic', code: { text: 'x'.repeat(100_000) }, extra: 1 });
  expect((await validator.validate([large]))[0]).toMatchObject([{ expression: ['Basic.extra'] }]);
  expect(await validator.validate([])).toEqual([]);
  await validator.close();
});

test('warming judges nothing and knows no fear of unknown types', async () => {
  const validator = createValidator({ threads: 1 });
  await validator.warm(['Basic', 'Nonsense']);
  expect(await validator.validate([good])).toEqual([[]]);
  await validator.close();
});

test('a thread that dies makes its job unavailable, and the next job runs', async () => {
  const pool = createPool({
    threads: 1,
    script: await script('dies', `if (texts.includes('die')) throw new Error('x'); parentPort.postMessage(texts.map(() => []));`),
  });
  await expect(pool.run(['a', 'die'])).rejects.toMatchObject({ code: 'unavailable', retryAfter: 5 });
  expect(await pool.run(['a', 'b'])).toEqual([[], []]);
  await pool.close();
});

test('a thread that exits, or answers too little, or never, makes its job unavailable', async () => {
  const exits = createPool({ threads: 1, script: await script('exits', 'process.exit(0)') });
  await expect(exits.run(['a'])).rejects.toMatchObject({ code: 'unavailable' });
  await exits.close();
  const lies = createPool({ threads: 1, deadline: 1000, script: await script('lies', 'parentPort.postMessage([])') });
  await expect(lies.run(['a'])).rejects.toMatchObject({ code: 'unavailable' });
  await lies.close();
  const hangs = createPool({ threads: 1, deadline: 200, script: await script('hangs', 'for (;;);') });
  await expect(hangs.run(['a'])).rejects.toMatchObject({ code: 'unavailable' });
  await hangs.close();
});

test('a script that cannot start is no verdict', async () => {
  const pool = createPool({ threads: 2, script: pathToFileURL(join(folder, 'missing.mjs')) });
  await expect(pool.run(['a'])).rejects.toMatchObject({ code: 'unavailable' });
  await pool.close();
});

test('the queue is bounded, but one job alone is taken whatever its size', async () => {
  const pool = createPool({ threads: 1, capacity: 10, script: await script('answers', 'parentPort.postMessage(texts.map(() => []))') });
  const first = pool.run(['a'.repeat(100)]);
  await expect(pool.run(['b'])).rejects.toMatchObject({ code: 'unavailable', retryAfter: 5 });
  expect(await first).toEqual([[]]);
  expect(await pool.run(['b'])).toEqual([[]]);
  await pool.close();
});

test('a long job does not hold up a short one', async () => {
  const pool = createPool({ threads: 1, script: await script('turns', 'parentPort.postMessage(texts.map(() => []))') });
  const order: string[] = [];
  const long = pool.run(Array.from({ length: 5000 }, () => 'x')).then(() => order.push('long'));
  const short = pool.run(['x']).then(() => order.push('short'));
  await Promise.all([long, short]);
  expect(order).toEqual(['short', 'long']);
  await pool.close();
});

test('closing refuses what is not done', async () => {
  const pool = createPool({ threads: 1, script: await script('waits', '') });
  const jobs = [pool.run(['a']), pool.run(['b'])];
  const outcome = Promise.allSettled(jobs);
  await pool.close();
  expect((await outcome).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(pool.run(['c'])).rejects.toMatchObject({ code: 'unavailable' });
});
