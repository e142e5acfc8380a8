/** What axe finds on a page: WCAG 2.2 AA. https://github.com/dequelabs/axe-core */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = `{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }`;

type Verdict = { readonly passed: number; readonly violations: readonly string[] };

/** Throws where it examined nothing. */
export async function violationsOn(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  const { passed, violations } = await page.evaluate<Verdict>(
    `axe.run(document, ${RULES}).then(({ passes, violations }) => ({ passed: passes.length, violations: violations.map(({ id, nodes }) => id + ' ' + nodes[0].html) }))`,
  );
  if (passed <= 5) throw new Error(`axe looked at nothing: ${passed} rules passed.`);
  return violations;
}
