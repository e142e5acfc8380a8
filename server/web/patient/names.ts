/** What those who are named by references are called, as far as the reader may see it. */
import type { Gate } from '../../consent/gate.ts';
import type { Search } from '../../search/create-search.ts';

type HumanName = { readonly text?: string; readonly family?: string; readonly given?: readonly string[] };
type Named = { readonly name?: string | readonly HumanName[] };

/** In which there are names; whose a patient does not see is called by their reference. */
const named = ['Organization', 'Practitioner', 'Patient'];

/** An app acts as the Device of its client id (authorize/terms.ts). */
const APP = 'Device/';

export type Naming = {
  readonly search: Pick<Search, 'plan'>;
  /** What a client was registered as. */
  readonly clientName: (id: string) => Promise<string | undefined>;
};

/** By reference; who has no name there is not in it. */
export async function namesOf(gate: Gate, { search, clientName }: Naming, references: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const reference of references.filter((each) => each.startsWith(APP))) {
    const name = await clientName(reference.slice(APP.length));
    if (name !== undefined) names.set(reference, name);
  }
  for (const type of named) {
    const ids = references.flatMap((reference) =>
      /^[A-Za-z]+\/[A-Za-z0-9.-]{1,64}$/.test(reference) && reference.startsWith(`${type}/`) ? [reference.slice(type.length + 1)] : [],
    );
    if (ids.length === 0) continue;
    const query = `_id=${ids.join(',')}&_count=${ids.length}&_total=none`;
    const { where, order, count, total } = search.plan(type, new URLSearchParams(query), 'strict');
    const { rows } = await gate.search({ type, where, order, count, total, query: `${type}?${query}` });
    for (const { id, body } of rows) {
      const name = nameOf(JSON.parse(body) as Named);
      if (name !== '') names.set(`${type}/${id}`, name);
    }
  }
  return names;
}

function nameOf({ name }: Named): string {
  if (typeof name === 'string') return name;
  const { text, family = '', given = [] } = name?.[0] ?? {};
  return text ?? [...given, family].join(' ').trim();
}
