/**
 * Whether what was released to a caller may still be handed out: what a job found waits for whoever asked. consent.md §3 ("re-checked at download")
 * Invariant: what was shown is shown now as well, each resource by its newest version (rule 19): a label that came since hides it there too.
 */
import type { ResourceStore } from '../../store/port.ts';
import { visibleAmong } from './related.ts';
import { inView, type Views } from './view.ts';

const AT_ONCE = 1_000;

/** `views`: in one of which each of the resources (`Type/id`) has to be visible. The same text as long as nothing changed; the empty one where something is hidden. */
export async function standingOf(resources: Pick<ResourceStore, 'find'>, views: ReadonlySet<Views>, shown: readonly string[]): Promise<string> {
  const marks: string[] = [];
  let hidden = shown;
  for (const each of views) {
    const now = await look(resources, each, hidden);
    marks.push(now.mark);
    ({ hidden } = now);
  }
  return hidden.length === 0 ? marks.join() : '';
}

function look(resources: Pick<ResourceStore, 'find'>, views: Views, asked: readonly string[]) {
  return inView(views, {
    async read({ scope }) {
      const hidden: string[] = [];
      for (let from = 0; from < asked.length; from += AT_ONCE) {
        const some = asked.slice(from, from + AT_ONCE);
        // That something was deleted is told to whoever saw it.
        const visible = await visibleAmong(resources, some, scope, { deleted: true });
        if (!visible) return { kind: 'stale' as const };
        hidden.push(...some.filter((reference) => !visible.has(reference)));
      }
      return { kind: 'looked' as const, hidden };
    },
    // Whatever is not as the log knows it is void from here on, which the mark tells.
    restsOn: (_looked, { patients }) => patients,
    conclude: async ({ hidden }, view) => ({ hidden, mark: view.mark() }),
  });
}
