import { parsePolicy, type Policy } from '../../ledger/policy.ts';

/** A reader who trusts these logs, whoever cosigned. */
export function trusting(...logs: readonly string[]): Policy {
  const policy = parsePolicy(logs.map((log) => `log ${log}\n`).join(''));
  if (typeof policy === 'string') throw new Error(policy);
  return policy;
}
