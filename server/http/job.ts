/**
 * Jobs over HTTP: accepted with 202 and an address, looked after with GET, given up with DELETE. https://hl7.org/fhir/R5/async-bundle.html
 * (R4 has the pattern in words only: https://hl7.org/fhir/R4/http.html#async; DSTU of its status requests as in Bulk Data 2.0.)
 *
 * Invariants: to any other client, purpose or set of scopes a job is 404 like one that never was; a result made under permissions that have
 * changed since, or that tells of what has been hidden since, is not given.
 */
import { AssentError, type ErrorCode } from '../errors.ts';
import { bundleText } from '../fhir/bundle.ts';
import type { Job, JobInput } from '../jobs/job.ts';
import { notFound } from './answer.ts';
import { askerOf } from './asker.ts';
import { statusLine } from './entry-call.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import { refuseUnknownQuery } from './parameters.ts';
import type { Services } from './services.ts';

/** Seconds. */
const ASK_AGAIN = 1;

type Submitted = { readonly kind: string; readonly input: JobInput };

/** What is asked, as a job keeps it: plain data. */
export function inputOf(asked: object): JobInput {
  return JSON.parse(JSON.stringify(asked)) as JobInput;
}

export async function acceptJob({ gate }: Pick<FhirRequest, 'gate'>, { jobs, base }: Services, { kind, input }: Submitted): Promise<Answer> {
  const id = await jobs.submit({ kind, owner: askerOf(gate.caller), input });
  return { status: 202, headers: { 'content-location': `${base}/$job/${id}`, 'retry-after': String(ASK_AGAIN) }, body: undefined };
}

/** By the token alone, whatever is stored. */
export function refuseWithoutAdmin({ gate }: Pick<FhirRequest, 'gate'>): void {
  if (!gate.caller.admin) throw new AssentError('forbidden', 'This operation needs the scope admin.');
}

export async function jobStatus(request: FhirRequest, services: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  const job = await services.jobs.find(request.id, askerOf(request.gate.caller));
  switch (job?.state) {
    case 'queued':
    case 'running':
      return { status: 202, headers: { 'x-progress': job.progress, 'retry-after': String(ASK_AGAIN) }, body: undefined };
    case 'failed':
      throw new AssentError((job.fault?.code ?? 'internal') as ErrorCode, job.fault?.issues ?? []);
    case 'done':
      return doneAnswer(request, services, job);
    case 'cancelled':
    case undefined:
      throw notFound();
  }
}

export async function jobCancel(request: FhirRequest, { jobs }: Services): Promise<Answer> {
  refuseUnknownQuery(request, []);
  if (!(await jobs.cancel(request.id, askerOf(request.gate.caller)))) throw notFound();
  return { status: 202, headers: {}, body: undefined };
}

async function doneAnswer({ gate }: FhirRequest, { jobs }: Services, job: Job): Promise<Answer> {
  const headers = { expires: new Date(job.expires ?? 0).toUTCString() };
  if (job.files['answer'] === undefined) return { status: 200, headers, body: answerBundle({ status: 200, resourceText: countsText(job) }) };
  const { standing } = job.result as { readonly standing: string };
  const [body, shown] = [await jobs.read(job, 'answer'), await jobs.read(job, 'shown')];
  // Asked last, so that nothing that was withdrawn or hidden before this moment goes out.
  if (body !== undefined && shown && (await gate.standing(JSON.parse(shown) as readonly string[])) === standing)
    return { status: 200, headers, body };
  await jobs.cancel(job.id, job.owner);
  throw new AssentError('gone', 'Permissions have changed since this was made, or what it tells of was erased or labelled anew; ask again.');
}

/** What a job of our own tells: numbers, and names of what it speaks of. */
function countsText({ result }: Job): string {
  const values = Object.entries((result ?? {}) as Readonly<Record<string, unknown>>).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as unknown[]) : [value]).map((each) => ({ name, each })),
  );
  const parameter = values.map(({ name, each }) => (typeof each === 'number' ? { name, valueInteger: each } : { name, valueString: String(each) }));
  return JSON.stringify({ resourceType: 'Parameters', parameter });
}

type Outcome = { readonly status: number; readonly resourceText?: string; readonly outcomeText?: string };

/** The answer to one request as the Bundle that an asynchronous one ends with. */
export function answerBundle({ status, resourceText, outcomeText }: Outcome): string {
  const response = { status: statusLine(status), ...(outcomeText === undefined ? {} : { outcomeText }) };
  return bundleText({ type: 'batch-response', entries: [{ ...(resourceText === undefined ? {} : { resourceText }), response }] });
}
