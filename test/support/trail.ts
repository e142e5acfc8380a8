/** The trail of AuditEvents, as the administrator reads it. */
import type { Json, Session } from '../../server/commands/demo/session.ts';

const NEWEST = 'AuditEvent?_sort=-date&_count=200';

async function newest(admin: Session): Promise<Json[]> {
  const { json } = await admin.call('GET', NEWEST);
  return ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => resource);
}

type Event = {
  readonly subtype?: readonly { readonly code: string }[];
  readonly entity?: readonly { readonly query?: string; readonly what?: { readonly reference: string }; readonly role: { readonly code: string } }[];
};

/** The reading of the trail is in the trail: one event with its words, and without them one for each patient whose events it showed. */
function isReading({ subtype, entity = [] }: Event): boolean {
  const words = entity.flatMap(({ query }) => query ?? []);
  if (words.length > 0) return words.includes(Buffer.from(NEWEST).toString('base64'));
  const shown = entity.filter(({ role }) => role.code === '4');
  return subtype?.[0]?.code === 'search-type' && shown.length > 0 && shown.every(({ what }) => what?.reference.startsWith('AuditEvent/'));
}

/**
 * What an act left in the trail, in no order. A request may leave several events, and theirs and a neighbour's may carry the same
 * millisecond: the newest by date are then those with the greater random ids. These are all that were not there before.
 */
export async function eventsOf(admin: Session, act: () => Promise<unknown>): Promise<Json[]> {
  const before = new Set((await newest(admin)).map(({ id }) => id));
  await act();
  return (await newest(admin)).filter((event) => !before.has(event['id']) && !isReading(event));
}
