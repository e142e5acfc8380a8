/**
 * Decision cases kept as data, `test/consent/decision-tables/*.json`: each row a request, what is decided, and the reason in words.
 *
 * Invariant: a table without rows, a row without a reason, and a member nobody reads fail the run: a case that is not looked at proves nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { ImplicitPolicy } from '../../server/consent/model.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { type Asked, callerFor, consentBy } from './consents.ts';

type Json = Readonly<Record<string, unknown>>;

/** `refused`: it cannot be signed, so it never comes into force. Other members replace those of a plain signed Consent. */
type TableConsent = { readonly patient: string; readonly provision: Json; readonly refused?: true } & Json;

export type DecisionRow = {
  readonly case: string;
  readonly reason: string;
  /** `not-applicable`: no Consent says anything, so it is as the implicit policy has it. */
  readonly decision: 'permit' | 'deny' | 'not-applicable';
  readonly resource: ResourceValue;
  readonly consents: readonly TableConsent[];
  /** Absent: Organization/insurer for TREAT. */
  readonly caller?: { readonly actor: string; readonly purpose: string; readonly admin?: true };
  /** Absent: whatever the implicit policy is. */
  readonly implicit?: ImplicitPolicy;
  readonly directory?: readonly ResourceValue[];
  readonly writer?: string;
  readonly voidPatients?: readonly string[];
  readonly stored?: Readonly<Record<string, ResourceValue>>;
  /** Recorded by the server itself. */
  readonly sealed?: boolean;
};

export type DecisionTable = { readonly name: string; readonly rows: readonly DecisionRow[] };

/** What a row asks. Its Consents as far as they can be signed; those that are said to be refused are given to `refused`. */
export function askedBy(row: DecisionRow, refused: (consent: ResourceValue) => void = () => undefined): Asked {
  const { consents, caller, resource: _resource, case: _case, reason: _reason, decision: _decision, ...asked } = row;
  const { actor = 'Organization/insurer', purpose = 'TREAT', admin = false } = caller ?? {};
  const inForce = consents.flatMap(({ patient, provision, refused: isRefused, ...more }) => {
    const consent = consentBy(patient, provision, more);
    if (isRefused) refused(consent);
    return isRefused ? [] : [consent];
  });
  return { ...asked, consents: inForce, caller: callerFor(actor, purpose, { admin }) };
}

const FOLDER = new URL('../consent/decision-tables/', import.meta.url);
const NEEDED = ['case', 'reason', 'decision', 'resource', 'consents'];
const KNOWN = new Set([...NEEDED, 'caller', 'implicit', 'directory', 'writer', 'voidPatients', 'stored', 'sealed']);

/** Throws Error: the folder holds no table, or one of them is not whole. */
export function decisionTables(): readonly DecisionTable[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  if (files.length === 0) throw new Error('There is no decision table.');
  return files.map((file) => readTable(file.replace('.json', ''), readFileSync(new URL(file, FOLDER), 'utf8')));
}

/** Throws Error with the table and the row that is not whole. */
export function readTable(name: string, text: string): DecisionTable {
  const { about, rows } = JSON.parse(text) as { readonly about?: unknown; readonly rows?: readonly DecisionRow[] };
  if (typeof about !== 'string' || !Array.isArray(rows) || rows.length === 0) throw new Error(`${name}: a table needs a sentence and rows.`);
  const cases = new Set<string>();
  for (const row of rows as readonly DecisionRow[]) {
    const wrong = Object.keys(row).find((member) => !KNOWN.has(member)) ?? NEEDED.find((member) => !(member in row));
    if (wrong !== undefined) throw new Error(`${name}, "${row.case}": ${wrong} is missing or not read.`);
    if (!row.reason.endsWith('.') || !['permit', 'deny', 'not-applicable'].includes(row.decision))
      throw new Error(`${name}, "${row.case}": a sentence of reason and a decision are needed.`);
    if (row.decision === 'not-applicable' && row.implicit) throw new Error(`${name}, "${row.case}": the implicit policy is what decides here.`);
    if (cases.has(row.case)) throw new Error(`${name}, "${row.case}": it is there twice.`);
    cases.add(row.case);
  }
  return { name, rows };
}
