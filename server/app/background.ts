/** What the server does while nobody asks for it, besides sealing. */
import type { FastifyInstance } from 'fastify';
import { createRepeated, type Repeated } from '../anchoring/repeated.ts';
import { systemSchedule } from '../anchoring/schedule.ts';
import { AssentError } from '../errors.ts';
import type { GateFor } from '../consent/gate.ts';
import type { Caller } from '../consent/model.ts';

const MINUTE_MS = 60_000;

/** What runs while the server answers. */
export function inBackground(works: readonly Repeated[]): Repeated {
  return {
    start: () => works.forEach((work) => work.start()),
    stop: async () => void (await Promise.all(works.map((work) => work.stop()))),
  };
}

/** Requests for a Consent that nobody answered in time. */
export function expiringRequests(gateFor: GateFor, log: Pick<FastifyInstance['log'], 'error'>): Repeated {
  const once = async (): Promise<number> => {
    await gateFor(SERVER).expireRequests();
    return MINUTE_MS;
  };
  const sentenceOf = () => 'some requests whose deadline has passed could not be ended; it is tried again';
  const report = (fault: unknown) => log.error(described(fault), 'requests are not ended');
  return createRepeated({ once, retryMs: MINUTE_MS, sentenceOf }, { schedule: systemSchedule, report });
}

/** Lost keys whose replacement nobody stopped. */
export function completingRecoveries(gateFor: GateFor, log: Pick<FastifyInstance['log'], 'error'>): Repeated {
  const once = async (): Promise<number> => {
    await gateFor(SERVER).completeRecoveries();
    return MINUTE_MS;
  };
  const sentenceOf = () => 'recoveries whose delay is over could not be completed; it is tried again';
  const report = (fault: unknown) => log.error(described(fault), 'recoveries are not completed');
  return createRepeated({ once, retryMs: MINUTE_MS, sentenceOf }, { schedule: systemSchedule, report });
}

/** Whoever does what nobody asked for. */
export const SERVER: Caller = {
  client: 'server',
  actor: 'Device/assent-server',
  purpose: 'HOPERAT',
  scopes: [],
  admin: false,
  choosesIds: false,
  tokenId: '',
};

/** For our own log: what kind of fault, and its sentence where it is ours. */
export function described(fault: unknown): { readonly fault: string; readonly reason?: string } {
  const name = fault instanceof Error ? fault.name : typeof fault;
  return fault instanceof AssentError ? { fault: name, reason: fault.message } : { fault: name };
}
