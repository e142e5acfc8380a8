/** An explanation as headed lists of names and values: what the command line prints and the console shows. */
import type { ExplainedDriver, ExplainedRead } from '../consent/gate.ts';
import type { Explanation } from './explain.ts';

export type Section = { readonly title: string; readonly lines: readonly (readonly [name: string, value: string | readonly string[]])[] };

export function explainWords({ type, parameters, warnings, consent, reads, refused, ms }: Explanation): readonly Section[] {
  return [
    {
      title: `Search of ${type}`,
      lines: [
        ['Parameters', parameters.join(', ') || 'none'],
        ...(warnings.length > 0 ? ([['Not used', warnings]] as const) : []),
        ['Answer', refused === undefined ? 'would be given' : `would be refused: ${refused}`],
        ['Consent', `${consent.scope}; ${consent.patients} patients have a Consent that speaks to the caller`],
        ['Time', [`parse ${time(ms.parse)}`, `consent ${time(ms.consent)}`, `read ${time(ms.reads)}`, `audit ${time(ms.audit)}`]],
      ],
    },
    ...reads.map(readSection),
  ];
}

const titles = { join: 'Join through', page: 'Page and total of', include: 'Include' } as const;

function readSection(read: ExplainedRead, number: number): Section {
  const { step, type, considered, chosen, why, ways, walked, checked, matched, budget, outcome, thread, ms } = read;
  return {
    title: `${number + 1}. ${titles[step]} ${type}`,
    lines: [
      ['Considered', considered.length === 0 ? 'no size was counted' : considered.map(driver)],
      ['Chosen', chosen.length === 0 ? `all of ${type}` : chosen.map(driver)],
      ['Why', why],
      ['Way', ways.join('; ') || 'nothing had to be read'],
      ['Rows', `${walked} walked, ${checked} checked, ${matched} matched`],
      ['Budget', `${budget} rows${outcome === 'too much' ? ': used up' : ''}`],
      ['Where', thread],
      ['Time', [`plan ${time(ms.plan)}`, `walk ${time(ms.walk)}`, `load ${time(ms.load)}`]],
    ],
  };
}

const kinds = { ids: 'by id', keys: 'exact keys', range: 'a span of keys' } as const;

function driver({ of, kind, size }: ExplainedDriver): string {
  return `${of} (${kinds[kind]}${size === undefined ? '' : `, ${size} entries`})`;
}

function time(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
