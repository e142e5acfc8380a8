/** `assent explain 'Observation?…'`: how a search runs, the command-line twin of /admin/explain. docs/operations/search.md */
import { parseArgs } from 'node:util';
import type { Config } from '../config.ts';
import type { Explanation } from '../http/explain.ts';
import { explainWords } from '../http/explain-words.ts';
import { connectAdminApi, print } from './admin-api.ts';

const usage = `Usage:
  assent explain 'Observation?code=8867-4' [--as CLIENT [--purpose TREAT]] [--json]    in the view of a client, or in the administrator's
`;

const options = { as: { type: 'string' }, purpose: { type: 'string' }, json: { type: 'boolean' } } as const;

export async function explain(config: Pick<Config, 'DATA_DIR'>, args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const [search, ...more] = positionals;
  if (search === undefined || more.length > 0) {
    process.stderr.write(usage);
    return 2;
  }
  const { as, purpose, json } = values;
  const api = await connectAdminApi(config);
  const explanation = (await api('POST', '/admin/explain', { search, as, purpose })) as Explanation;
  if (json) print(explanation);
  else process.stdout.write(textOf(explanation));
  return 0;
}

function textOf(explanation: Explanation): string {
  return explainWords(explanation)
    .map(({ title, lines }) => `${title}\n${lines.map(([name, value]) => lineOf(name, typeof value === 'string' ? [value] : value)).join('')}\n`)
    .join('');
}

function lineOf(name: string, values: readonly string[]): string {
  return values.map((value, i) => `  ${(i === 0 ? name : '').padEnd(12)}${value}\n`).join('');
}
