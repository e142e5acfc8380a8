/**
 * Groups things by what they are coded as: codings that stand in one CodeableConcept mean the same, so whatever shares one is one group.
 * https://hl7.org/fhir/R4/observation-operation-lastn.html
 */
type Coding = { readonly system?: unknown; readonly code?: unknown };
type Concept = { readonly coding?: unknown; readonly text?: unknown };

export type CodeGroups<T> = {
  /** Keeps it unless its group is full. */
  offer(concept: unknown, item: T): void;
  /** How many are kept. */
  size(): number;
  /** Group by group, in the order in which the groups were met. */
  kept(): T[];
};

type Group<T> = { readonly items: T[] };

export function createCodeGroups<T>(most: number): CodeGroups<T> {
  const groups = new Set<Group<T>>();
  const byName = new Map<string, Group<T>>();
  let kept = 0;
  return {
    offer(concept, item) {
      const names = namesOf(concept);
      const found = names.map((name) => byName.get(name)).find((group) => group !== undefined);
      const group = found ?? { items: [] };
      groups.add(group);
      for (const name of names) if (!byName.has(name)) byName.set(name, group);
      if (group.items.length >= most) return;
      group.items.push(item);
      kept++;
    },
    size: () => kept,
    kept: () => [...groups].flatMap(({ items }) => items),
  };
}

/** What is coded nowhere goes by its text. */
function namesOf(concept: unknown): string[] {
  const { coding, text } = (concept ?? {}) as Concept;
  const codings = Array.isArray(coding) ? (coding as (Coding | null)[]) : [];
  const names = codings.flatMap((each) => (typeof each?.code === 'string' ? [JSON.stringify([each.system ?? '', each.code])] : []));
  return names.length > 0 ? names : [JSON.stringify(typeof text === 'string' ? text.trim().toLowerCase() : null)];
}
