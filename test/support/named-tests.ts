/** Tests that a table names: a file under test/, and titles in it, or cases of a table of cases. */
import { readFileSync } from 'node:fs';

export type Tests = readonly (readonly [file: string, ...titles: readonly string[]])[];

/** Those that are nowhere, as `file: title`. Throws where a file is not there. */
export function missingAmong(tests: Tests): readonly string[] {
  return tests.flatMap(([file, ...titles]) => titles.filter((title) => !isTitled(file, title)).map((title) => `${file}: ${title}`));
}

/** As the source has them: as a title in quotes, or as the `case` of a row. */
function isTitled(file: string, title: string): boolean {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  if (file.endsWith('.json')) return text.includes(`"case": ${JSON.stringify(title)}`);
  return ["'", '"', '`'].some((quote) => text.includes(`(${quote}${title}`) || text.includes(`${quote}${title}${quote},`));
}
