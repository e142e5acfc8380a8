/** A reporter for knip that says how many files it examined, so that `npm run check` can refuse an empty look. */
type Report = { readonly counters: { readonly processed: number }; readonly write: (text: string) => void };

export default function knipCount({ counters, write }: Report): void {
  write(`Examined ${counters.processed} files.\n`);
}
