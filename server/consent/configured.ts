/** The custodian's own policies from the settings, each label in them known. Throws Error with a sentence for one that is not. interface.md §1 */
import { labelOf } from './implicit.ts';
import type { ImplicitPolicy } from './model.ts';

type Settings = {
  readonly IMPLICIT_POLICY: 'deny' | 'author-treatment' | 'permit-except' | 'break-glass';
  readonly IMPLICIT_EXCEPT: readonly string[];
  readonly BREAK_GLASS_ACTORS: readonly string[];
  readonly BREAK_GLASS_MINUTES: number;
  readonly BREAK_GLASS_EXCEPT: readonly string[];
  readonly GUARDIAN_EXCEPT: readonly string[];
};

export function implicitPolicyOf(config: Settings): ImplicitPolicy {
  switch (config.IMPLICIT_POLICY) {
    case 'permit-except':
      checkLabels('IMPLICIT_EXCEPT', config.IMPLICIT_EXCEPT);
      return { kind: 'permit-except', labels: config.IMPLICIT_EXCEPT };
    // Nothing but what a broken glass opens, which it does whatever the policy.
    case 'break-glass':
      return { kind: 'deny' };
    case 'deny':
    case 'author-treatment':
      return { kind: config.IMPLICIT_POLICY };
  }
}

export function breakGlassPolicyOf(config: Settings): {
  readonly actors: readonly string[];
  readonly minutes: number;
  readonly except: readonly string[];
} {
  checkLabels('BREAK_GLASS_EXCEPT', config.BREAK_GLASS_EXCEPT);
  return { actors: config.BREAK_GLASS_ACTORS, minutes: config.BREAK_GLASS_MINUTES, except: config.BREAK_GLASS_EXCEPT };
}

/** Labels that a guardian does not see of an adolescent. */
export function hiddenFromGuardians({ GUARDIAN_EXCEPT: labels }: Settings): readonly string[] {
  checkLabels('GUARDIAN_EXCEPT', labels);
  return labels;
}

/** Throws Error with a sentence for a label that is not pinned: a policy that silently excepts nothing would be worse. */
function checkLabels(setting: string, labels: readonly string[]): void {
  try {
    for (const label of labels) labelOf(label);
  } catch (error) {
    throw new Error(`ASSENT_${setting}: ${error instanceof Error ? error.message : 'not usable'}`, { cause: error });
  }
}
