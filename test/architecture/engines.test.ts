/** Everything under test/http runs on both engines, as what users notice does not depend on which one stores it. What cannot is named here, with the reason. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const folder = new URL('../http/', import.meta.url);
const suites = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));

/** Each of these takes the engine that ASSENT_TEST_ENGINE names; process.test.ts starts processes and asks for it itself. */
const EITHER_ENGINE = /\bstartRealServer\(|\bstartNamedServer\(|\bcreateServedApp\(|\bchooseEngine\(|\bcreateLogFixture\(|ASSENT_TEST_ENGINE/;
const ONE_OR_NONE = /\/http-app\.ts'|\/fake-gate\.ts'|createEmbeddedEngine|createMongoEngine/;

const elsewhere: Readonly<Record<string, string>> = {
  'above-the-gate.test.ts': 'No store: a fake Gate gives the answers that a store cannot be brought to give at will.',
  'several-servers.test.ts': 'Several processes on one database are possible on a replica set only; it runs on one, whatever is chosen.',
  'stored-parameters-processes.test.ts': 'Two processes on one database, as several-servers.test.ts.',
};

describe('test/http', () => {
  it.each(suites)('%s runs on either engine, or says why not', (name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const either = EITHER_ENGINE.test(text) && !ONE_OR_NONE.test(text);
    expect(either, `${name}: start from test/support/served-app.ts or real-server.ts, or give a reason here`).toBe(!(name in elsewhere));
  });

  it('has every suite that is excused', () => {
    expect(suites).toEqual(expect.arrayContaining(Object.keys(elsewhere)));
  });
});
