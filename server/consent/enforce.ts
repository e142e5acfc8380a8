/**
 * The Gate: the only holder of the ResourceStore besides the composition root, the commands and the migrations. Every handler gets one
 * made for its caller and purpose; there is no other way to a resource. architecture.md ("the one idea"), consent.md §3
 */
import type { Recorder } from '../audit/record.ts';
import type { Clock } from '../clock.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import type { Expression } from '../search/expression.ts';
import type { RecordStore, ResourceStore, StoredResource } from '../store/port.ts';
import { type AuthorityRecords, createAuthorities, actsFor } from './enforce/authorities.ts';
import { type Ages, type AuthorityCeremony, endAuthority, grantAuthority } from './enforce/authority-ceremony.ts';
import { concernedBy, explainAccess } from './enforce/access.ts';
import { type BreakGlassPolicy, breakGlass } from './enforce/break-glass.ts';
import { type Ceremony, type ConsentRecord, prepareConsent, SIGNED, signConsent, signPrepared } from './enforce/ceremony.ts';
import {
  approveConsent,
  askedStatementOf,
  endBeforeErasure,
  expireRequests,
  narrowRequest,
  refuseConsent,
  requestBeside,
  requestConsent,
} from './enforce/requests.ts';
import { callerClosure } from './enforce/directory.ts';
import { type ChainReader, disclosures } from './enforce/disclosures.ts';
import { type Disclosure, read, readVersion, search } from './enforce/disclose.ts';
import { createEvidence } from './enforce/evidence.ts';
import { explain } from './enforce/explain.ts';
import { gather } from './enforce/gather.ts';
import { completeRecoveries, type KeyCeremony, recoverKey, revokeKey, rotateKey, stopRecovery } from './enforce/key-ceremony.ts';
import { withLinked } from './enforce/linked.ts';
import { judgeEnd } from './enforce/ends.ts';
import { judgeConsent } from './enforce/judge.ts';
import { isDeceased } from './enforce/on-record.ts';
import { knowsKeysOf } from './enforce/party.ts';
import { ledgerProof, type LogProofs, receipt } from './enforce/proofs.ts';
import { history } from './enforce/versions.ts';
import { latest } from './enforce/latest.ts';
import { searchSeveral } from './enforce/search-several.ts';
import type { Signers } from './enforce/signers.ts';
import { standingOf } from './enforce/standing.ts';
import { visibleAmong } from './enforce/related.ts';
import { readSources } from './enforce/sourced.ts';
import { isBound, type ReadingLetter, reachOf } from './enforce/reach.ts';
import { tellingWhatIsUntold } from './enforce/untold.ts';
import { createViews } from './enforce/views.ts';
import { readWhileWanted } from './enforce/while-wanted.ts';
import { withdrawConsent } from './enforce/withdraw.ts';
import { write, type Writing } from './enforce/write.ts';
import { opensNow } from './decide.ts';
import { facetsOf } from './facets.ts';
import type { Gate, GateFor } from './gate.ts';
import type { Labelling } from './labelling.ts';
import { maySign, type SigningKey } from './keys.ts';
import type { Approvals, Caller, ImplicitPolicy } from './model.ts';
import { type ConsentLog, createPolicies, type Policies, type PoliciesDeps } from './policies.ts';

export type GateDeps = LogProofs & {
  readonly resources: ResourceStore;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly log: ConsentLog;
  readonly recorder: Recorder;
  /** A row of the Merkle log for an entry (ledger/entry.ts). */
  readonly logRow: Disclosure['logRow'] & Ceremony['consentLogRow'];
  readonly indexKeys: (resource: ResourceValue) => { readonly keys: readonly string[]; readonly instant: number | undefined };
  /** A search as an expression over index keys, for the server's own look-ups. */
  readonly where: (type: string, query: string) => Expression;
  /** Keys as stored, less those that are not as the log knows them. */
  readonly keys: {
    readonly get: (kid: string) => Promise<SigningKey | undefined>;
    readonly list: (owner: string) => Promise<readonly SigningKey[]>;
    /** The exact text of the key's registration, as logged. */
    readonly registration: (kid: string) => Promise<string | undefined>;
    readonly recovery: KeyCeremony['recovery'];
    readonly recoveries: KeyCeremony['recoveries'];
    readonly changes: KeyCeremony['changes'];
    readonly recoveryDelayMs: number;
  };
  /** Who acts for a patient, as stored, less those that are not as the log knows them. */
  readonly authorities: AuthorityRecords;
  readonly ages: Ages;
  /** Labels that a guardian does not see of an adolescent. */
  readonly hiddenFromGuardians: readonly string[];
  readonly chains: ChainReader;
  readonly labelling: Labelling;
  readonly approvals: Approvals;
  /** What is committed so that they hear of it. */
  readonly tell: Ceremony['tell'];
  readonly implicit: ImplicitPolicy;
  readonly breakGlass: BreakGlassPolicy;
  /** Our own FHIR base URL. */
  readonly base: string;
  readonly alarm: PoliciesDeps['alarm'];
  /** What `indexKeys` makes keys for. */
  readonly parameters: Writing['parameters'];
  /** Whether references have to lead somewhere; then `indexKeys` makes referenceKeys as well. */
  readonly integrity: boolean;
  /** What is answered now shows nothing, in part or in whole: the time it took is not to tell why. */
  readonly untold: () => void;
  readonly moment: Disclosure['moment'];
};

export function createGateFor(given: GateDeps): GateFor {
  const resources = readSources(given.resources);
  // What the database says of a key counts as far as the log says so too, to its last entry: a revocation cannot be taken out.
  const keyOf = async (kid: string) => {
    await given.log.catchUp();
    return given.keys.get(kid);
  };
  const signers = { keyOf, authorities: createAuthorities({ records: given.authorities, keyOf: given.keys.get, base: given.base }) };
  const deps = { ...given, resources, signers };
  const { clock } = deps;
  const policies = policiesOf(deps);
  const directory = { resources, where: deps.where, now: clock };
  const views = createViews({
    policies,
    epoch: () => resources.epoch(),
    closureOf: (caller) => callerClosure(directory, caller),
    implicit: deps.implicit,
    beyondBreakGlass: deps.breakGlass.except,
    hiddenFromGuardians: deps.hiddenFromGuardians,
    actsFor: (caller) => actsFor({ ...signers.authorities, isDeceased: (patient) => isDeceased(deps, patient) }, caller),
    labelRules: deps.labelling.rules,
    clock,
    visibleAmong: (references, scopeOf) => visibleAmong(resources, references, scopeOf),
    reachOf: (caller, letter) => reachOf(deps, caller, letter),
    concernedBy: (row, anchorsOf) => concernedBy(resources, row, anchorsOf),
  });
  const evidence = createEvidence(deps);
  const about = {
    viewsAbout: views.about,
    implicit: deps.implicit,
    breakers: deps.breakGlass.actors,
    authoritiesOf: signers.authorities.list,
    now: clock,
  };
  const called = (caller: Caller, readable: ResourceStore) => {
    const came = clock();
    const by = (letter: ReadingLetter) => ceremonyFor(deps, caller, { views: views.of(caller, letter), came });
    const searching = by('s');
    return {
      ...gateOf(searching, { ...deps, readable, byId: isBound(caller) ? by('r') : searching }, evidence),
      explain: (request: Parameters<Gate['explain']>[0], as = caller) => explain(searching, { request, views: views.of(as, 's') }),
      explainAccess: (request: Parameters<Gate['explainAccess']>[0]) => explainAccess(by('r'), { request, ...about }),
      permitsNow: (consent: string) => permitsNow({ policies, resources, clock }, { caller, consent }),
    };
  };
  return (caller, wanted) => {
    const readable = readWhileWanted(resources, wanted);
    return tellingWhatIsUntold(caller, () => called(caller, readable), deps.untold);
  };
}

/** A Consent of the caller's, who is the patient. */
async function permitsNow(
  { policies, resources, clock }: Pick<GateDeps, 'clock'> & { readonly policies: Policies; readonly resources: Pick<ResourceStore, 'epoch'> },
  { caller, consent }: { readonly caller: Caller; readonly consent: string },
): Promise<boolean> {
  await policies.upTo(await resources.epoch());
  const compiled = policies.get(`Consent/${consent}`)?.compiled;
  return compiled !== undefined && caller.actor === `Patient/${compiled.patient}` && opensNow(compiled, clock());
}

type MadeDeps = GateDeps & { readonly signers: Signers };

function policiesOf(deps: MadeDeps): Policies {
  const { resources, signers } = deps;
  const policies = createPolicies({
    log: deps.log,
    alarm: deps.alarm,
    fetch: (ids) => fetchConsents(resources, ids),
    writtenByOthers: resources.writtenByOthers,
    endOf: async (reference, ended) => {
      const kept = (await deps.records.get(SIGNED, reference.slice('Consent/'.length)))?.value as ConsentRecord | undefined;
      return judgeEnd(kept?.end, { reference, ended }, { ...signers, keyOf: deps.keys.get, entries: deps.log.entries });
    },
    judge: async (consent) =>
      judgeConsent((await deps.records.get(SIGNED, consent.id))?.value, consent, {
        approvals: deps.approvals,
        keyOf: deps.keys.get,
        authorityOf: signers.authorities.get,
        entries: deps.log.entries(`Consent/${consent.id}`),
      }),
  });
  return withLinked(policies, resources);
}

function ceremonyFor(deps: MadeDeps, caller: Caller, { views, came }: Pick<Ceremony, 'views' | 'came'>): Ceremony {
  const { resources, records, clock, base } = deps;
  const ceremony: Ceremony = {
    caller,
    resources,
    records,
    views,
    base,
    integrity: deps.integrity,
    labelling: deps.labelling,
    now: clock,
    came,
    record: deps.recorder,
    logRow: deps.logRow,
    untold: deps.untold,
    moment: deps.moment,
    consentLogRow: deps.logRow,
    log: deps.log,
    approvals: deps.approvals,
    tell: deps.tell,
    where: deps.where,
    ...deps.signers,
    kidsOf: async (owner) => (knowsKeysOf(caller, owner) ? await deps.keys.list(owner) : []).flatMap((key) => (maySign(key) ? [key.kid] : [])).sort(),
    isCustodian: () => isCustodian(deps, caller),
    parameters: deps.parameters,
    requested: (id, record, by) => requestBeside(ceremony, { id, record, by }),
    holdsRecords: (organization) => holdsRecords(deps, organization),
    keysOf: (resource, { writer, previous, concepts, sealed, own, owner, keeps }) => {
      const { keys, instant } = deps.indexKeys(resource);
      const lookup = (reference: string) => concepts.get(reference);
      const facets = facetsOf(resource, {
        writer,
        base,
        lookup,
        own,
        owner,
        ...(previous ? { keep: previous } : {}),
        ...(sealed ? { sealed } : {}),
        ...(keeps ? { keeps } : {}),
      });
      return { keys: [...keys, ...facets], instant };
    },
  };
  return ceremony;
}

function gateOf(
  ceremony: Ceremony,
  deps: GateDeps & {
    /** As long as the answer is wanted. */
    readonly readable: ResourceStore;
    /** With what may be read, where `ceremony` is for searching. */
    readonly byId: Ceremony;
  },
  evidence: ReturnType<typeof createEvidence>,
): Omit<Gate, 'caller' | 'explain' | 'explainAccess' | 'permitsNow'> {
  const keyCeremony: KeyCeremony = { ...ceremony, ...deps.keys, keysOfOwner: deps.keys.list };
  const authorityCeremony: AuthorityCeremony = { ...ceremony, authorityRecords: deps.authorities, ages: deps.ages };
  const reading: Ceremony = { ...ceremony, resources: deps.readable };
  const byId: Ceremony = { ...reading, views: deps.byId.views };
  return {
    read: (type, id) => read(byId, type, id),
    readVersion: (type, id, version) => readVersion(byId, type, id, version),
    history: (request) => history(request.id === undefined ? reading : byId, request),
    search: (request) => search(reading, request),
    searchSeveral: (request) => searchSeveral(reading, request),
    disclosures: (request) => disclosures({ ...reading, chains: deps.chains }, request),
    gather: (request) => gather(reading, request),
    latest: (request) => latest(reading, request),
    write: (operations) => write(ceremony, operations),
    prepareConsent: (request) => prepareConsent(ceremony, request),
    signConsent: (request) => signConsent(ceremony, request),
    signPreparedConsent: (request) => signPrepared(ceremony, request),
    withdrawConsent: (id, signed) => withdrawConsent(ceremony, id, signed),
    statementOf: (id) => askedStatementOf(ceremony, id),
    requestConsent: (wanted) => requestConsent(ceremony, wanted),
    approveConsent: (id, signatures) => approveConsent(ceremony, id, signatures),
    refuseConsent: (id, signed, reason) => refuseConsent(ceremony, id, signed, reason),
    narrowRequest: (id, less) => narrowRequest(ceremony, id, less),
    expireRequests: () => expireRequests(ceremony),
    endBeforeErasure: (id) => endBeforeErasure(ceremony, id),
    breakGlass: (request) => breakGlass(ceremony, deps.breakGlass, request),
    rotateKey: (request) => rotateKey(keyCeremony, request),
    revokeKey: (request) => revokeKey(keyCeremony, request),
    recoverKey: (request) => recoverKey(keyCeremony, request),
    completeRecoveries: () => completeRecoveries(keyCeremony),
    stopRecovery: (request) => stopRecovery(keyCeremony, request),
    grantAuthority: (request) => grantAuthority(authorityCeremony, request),
    endAuthority: (request) => endAuthority(authorityCeremony, request),
    standing: (shown = []) => standingOf(deps.resources, new Set([ceremony.views, byId.views]), shown),
    receipt: (type, id) => receipt({ ...deps, views: ceremony.views, evidence }, type, id),
    ledgerProof: (id) => ledgerProof({ ...deps, ...byId, evidence }, id),
  };
}

/** Scope admin, or the client of an organization that holds records here (rule 21). */
async function isCustodian(deps: GateDeps, caller: Caller): Promise<boolean> {
  return caller.admin || holdsRecords(deps, caller.actor);
}

async function holdsRecords({ keys, log }: GateDeps, organization: string): Promise<boolean> {
  if (!organization.startsWith('Organization/')) return false;
  await log.catchUp();
  return (await keys.list(organization)).some(({ role, revoked }) => role === 'custodian' && revoked === undefined);
}

async function fetchConsents(resources: ResourceStore, ids: readonly string[]): Promise<readonly StoredResource[]> {
  const found = await resources.find({
    type: 'Consent',
    where: { kind: 'id', ids: new Set(ids) },
    scope: 'internal',
    order: { by: 'instant', direction: 'newest-first' },
    limit: ids.length,
    keys: false,
  });
  return found.kind === 'rows' ? found.rows : [];
}
