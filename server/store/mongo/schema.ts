/** What the database must look like after all migrations, stated apart from them so that a wrong migration or a meddled database shows. */
import type { Db } from 'mongodb';

const indexes: Readonly<Record<string, readonly string[]>> = {
  resources: ['k_d_id_s k,-d,_id,s', 't_i_u_v t,i,-u,v', 't_u_i_v t,-u,i,v', 'u_t_i_v -u,t,i,v'],
  history: ['t_i_u_v t,i,-u,v', 't_u_i_v t,-u,i,v', 'u_t_i_v -u,t,i,v'],
  log: ['n unique n', 'waiting o'],
  records: ['kind_id kind,id', 'kind_lookup_id kind,lookup,id', 'until until'],
  astray: [],
  counters: [],
  leases: [],
};

/** One sentence per difference; empty when the schema is as expected. Indexes that an operator added are left alone. */
export async function schemaProblems(database: Db): Promise<string[]> {
  const found = new Map((await database.listCollections().toArray()).map((collection) => [collection.name, collection]));
  const problems: string[] = [];
  for (const [name, expected] of Object.entries(indexes)) {
    const collection = found.get(name);
    if (!collection) {
      problems.push(`collection ${name} is missing`);
      continue;
    }
    const options = 'options' in collection ? collection.options : undefined;
    if (!options?.['validator'] || options['validationAction'] === 'warn') problems.push(`collection ${name} has no validator`);
    if (options?.['collation']) problems.push(`collection ${name} does not compare bytes`);
    const present = new Set((await database.collection(name).indexes()).map(describe));
    for (const index of expected) if (!present.has(index)) problems.push(`index ${index.split(' ')[0]} of ${name} is missing or different`);
  }
  return problems;
}

function describe({ name, key, unique }: { name?: string; key: Record<string, unknown>; unique?: boolean }): string {
  const fields = Object.entries(key).map(([field, direction]) => (direction === -1 ? `-${field}` : field));
  return `${name}${unique ? ' unique' : ''} ${fields.join(',')}`;
}
