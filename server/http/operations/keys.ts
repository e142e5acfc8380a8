/**
 * POST $rotate-key, $revoke-key, $recover-key and $stop-recovery: a statement about keys and the signatures over it. The signatures authorise, not the caller; a
 * recovery takes an administrator as well. consent.md §6
 */
import { json } from '../answer.ts';
import type { Answer, FhirRequest, Handler } from '../interaction.ts';
import { refuseUnknownQuery } from '../parameters.ts';
import { parametersOf, stringOf } from './parameters.ts';

type KeyOperation = 'rotateKey' | 'revokeKey' | 'recoverKey' | 'stopRecovery';
const statusOf = { registered: 201, pending: 202, stopped: 200, revoked: 200 } as const;

export const rotateKey: Handler = (request) => change(request, 'rotateKey');
export const revokeKey: Handler = (request) => change(request, 'revokeKey');
export const recoverKey: Handler = (request) => change(request, 'recoverKey');
export const stopRecovery: Handler = (request) => change(request, 'stopRecovery');

async function change(request: FhirRequest, operation: KeyOperation): Promise<Answer> {
  const changed = await request.gate[operation](signedStatement(request));
  const due = changed.kind === 'pending' ? [{ name: 'due', valueInstant: new Date(changed.due).toISOString() }] : [];
  return json(statusOf[changed.kind], {
    resourceType: 'Parameters',
    parameter: [{ name: 'kid', valueString: changed.kid }, { name: 'state', valueCode: changed.kind }, ...due],
  });
}

/** A statement and the signatures over it, as detached compact JWS. */
export function signedStatement(request: FhirRequest): { readonly statement: string; readonly signatures: readonly string[] } {
  refuseUnknownQuery(request, []);
  const list = parametersOf(request, ['statement', 'signature']);
  const signatures = list.flatMap((parameter) => (parameter.name === 'signature' ? [stringOf([parameter], 'signature', ['valueString'])] : []));
  return { statement: stringOf(list, 'statement', ['valueString']), signatures };
}
