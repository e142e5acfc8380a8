/**
 * Everything under test/http and test/anchoring runs on whichever engine is chosen (.ci/run says what it runs on MongoDB), as neither what users notice nor what the log proves depends on which one stores it.
 * What cannot is named here, with the reason.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const suitesIn = (folder: string): readonly string[] =>
  readdirSync(new URL(`../${folder}/`, import.meta.url), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
const isEither = (path: string): boolean => {
  const text = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  return EITHER_ENGINE.test(text) && !ONE_OR_NONE.test(text);
};

/** Each of these takes the engine that ASSENT_TEST_ENGINE names; process.test.ts starts processes and asks for it itself. */
const EITHER_ENGINE = /\bstartRealServer\(|\bstartNamedServer\(|\bcreateServedApp\(|\bchooseEngine\(|\bcreateLogFixture\(|ASSENT_TEST_ENGINE/;
const ONE_OR_NONE = /\/http-app\.ts'|\/fake-gate\.ts'|createEmbeddedEngine|createMongoEngine/;

const elsewhere: Readonly<Record<string, string>> = {
  'above-the-gate.test.ts': 'No store: a fake Gate gives the answers that a store cannot be brought to give at will.',
  'several-servers.test.ts': 'Several processes on one database are possible on a replica set only; it runs on one, whatever is chosen.',
  'stored-parameters-processes.test.ts': 'Two processes on one database, as several-servers.test.ts.',
};

describe('test/http', () => {
  const suites = suitesIn('http');
  it.each(suites)('%s runs on either engine, or says why not', (name) => {
    expect(isEither(`http/${name}`), `${name}: start from test/support/served-app.ts or real-server.ts, or give a reason here`).toBe(
      !(name in elsewhere),
    );
  });

  it('has every suite that is excused', () => {
    expect(suites).toEqual(expect.arrayContaining(Object.keys(elsewhere)));
  });
});

describe('test/anchoring', () => {
  const suites = suitesIn('anchoring');
  it.each(suites)('%s runs on either engine', (name) => {
    expect(isEither(`anchoring/${name}`), `${name}: start from createLogFixture of test/support/log-fixture.ts`).toBe(true);
  });

  it('has suites', () => {
    expect(suites.length).toBeGreaterThan(10);
  });
});
