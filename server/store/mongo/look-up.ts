/**
 * Resources by id: those that are asked for in the same turn of the event loop are read by one command, as a command costs the server more
 * than a document does.
 *
 * Invariant: an answer is of a moment after the question, with majority read concern.
 */
import { COMMAND_MS, type Connection } from './connection.ts';
import { byIds, type ResourceDocument } from './documents.ts';
import type { WHOLE, WITHOUT_TEXT } from './walk.ts';

/** Takes a document's `_id`; deletions included. With a projection without the text there is none, whatever the type says. */
export type LookUp = (id: string) => Promise<ResourceDocument | undefined>;

/** Answers of usual size fit into one batch of a cursor. */
const MOST_TOGETHER = 100;

type Documents = ReadonlyMap<string, ResourceDocument>;
type Batch = { readonly ids: Set<string>; readonly read: Promise<Documents> };

export function createLookUp({ collections: { resources } }: Connection, projection: typeof WHOLE | typeof WITHOUT_TEXT): LookUp {
  let open: Batch | undefined;

  async function read(ids: ReadonlySet<string>): Promise<Documents> {
    await new Promise((resolve) => setImmediate(resolve));
    // Whoever asks from here on might be answered with what was there before the question.
    if (open?.ids === ids) open = undefined;
    const found = await resources.find(byIds(ids), { hint: '_id_', projection, maxTimeMS: COMMAND_MS }).toArray();
    return new Map(found.map((document) => [document._id, document]));
  }

  function begin(): Batch {
    const ids = new Set<string>();
    return { ids, read: read(ids) };
  }

  return async (id) => {
    if (!open || open.ids.size >= MOST_TOGETHER) open = begin();
    open.ids.add(id);
    return (await open.read).get(id);
  };
}
