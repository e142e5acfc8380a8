/**
 * `npm run assent -- policies`: every policy that is not a patient's Consent, in the order in which they are asked; with `--explain` also the rules by
 * which Consents decide, each with examples decided on the spot. consent.md §2
 */
import type { Config } from '../config.ts';
import { builtInPolicies } from '../consent/built-in.ts';
import { describeRules } from '../consent/rules.ts';

const implicitWords = {
  deny: 'Where no Consent applies, nothing is shown.',
  'author-treatment': 'Where no Consent applies, the organization that wrote the current version reads it for purpose TREAT; nothing else is shown.',
  'permit-except': 'Where no Consent applies, everything is shown but what carries the excepted labels.',
  'break-glass': 'Where no Consent applies, nothing is shown but what a broken glass opens.',
} as const;

export async function policies(config: Config, { explain }: { readonly explain: boolean }): Promise<number> {
  const lines = [...describePolicies(config), ...(explain ? ['', 'How Consents decide:', ...describeRules()] : [])];
  for (const line of lines) process.stdout.write(`${line}\n`);
  return 0;
}

type Settings = Pick<
  Config,
  'APPROVALS' | 'IMPLICIT_POLICY' | 'IMPLICIT_EXCEPT' | 'BREAK_GLASS_ACTORS' | 'BREAK_GLASS_MINUTES' | 'BREAK_GLASS_EXCEPT'
> &
  GuardianSettings;

export function describePolicies(config: Settings): readonly string[] {
  return policyRows(config).map(([name, says]) => `${name.padEnd(28)}${says}`);
}

/** Names and what they say. */
export function policyRows(config: Settings): readonly (readonly [name: string, says: string])[] {
  const approvals =
    config.APPROVALS === 'both' ? 'A Consent acts once the patient and the custodian signed it.' : 'A Consent acts once the patient signed it.';
  const details = config.IMPLICIT_POLICY === 'permit-except' ? config.IMPLICIT_EXCEPT : [];
  return [
    ...builtInPolicies.map(({ name, says }) => [name, says] as const),
    ['consents', `${approvals} Of each patient named, the deepest matching provision decides; deny wins at equal depth and across Consents.`],
    ['replaces', 'Where a signed permit speaks to the caller, what it does not reach is denied, whatever the implicit policy says.'],
    ['guardians', guardianWords(config)],
    ['break-glass', breakGlassWords(config)],
    [`implicit: ${config.IMPLICIT_POLICY}`, `${implicitWords[config.IMPLICIT_POLICY]}${details.length > 0 ? ` (${details.join(', ')})` : ''}`],
  ];
}

type GuardianSettings = Pick<Config, 'MAJORITY_AGE' | 'ADOLESCENCE_AGE' | 'GUARDIAN_EXCEPT'>;

function guardianWords({ MAJORITY_AGE: majority, ADOLESCENCE_AGE: adolescence, GUARDIAN_EXCEPT: except }: GuardianSettings): string {
  const hidden = except.length === 0 ? 'see all of it until then' : `from ${adolescence} on do not see ${except.join(', ')}`;
  return `Guardians act for patients under ${majority}, and ${hidden}; what they permitted ends at ${majority}.`;
}

function breakGlassWords({
  BREAK_GLASS_ACTORS: actors,
  BREAK_GLASS_MINUTES: minutes,
  BREAK_GLASS_EXCEPT: except,
}: Pick<Config, 'BREAK_GLASS_ACTORS' | 'BREAK_GLASS_MINUTES' | 'BREAK_GLASS_EXCEPT'>): string {
  if (actors.length === 0) return 'Nobody may break the glass.';
  const law = except.length === 0 ? '' : `, nor ${except.join(', ')}`;
  return `${actors.join(', ')} may, for a reason the patient is told: one patient for ${minutes} minutes, never what a Consent denies them${law}.`;
}
