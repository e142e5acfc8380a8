/**
 * The rooms of the house and who may import whom: the table of ARCHITECTURE.md, as data.
 * A file belongs to the first room whose pattern matches; a file in no room is a violation.
 */

type RoomRow = { readonly files: RegExp; readonly mayImport: readonly string[] };

/** Types and pure tables every room of the server may use. */
const everywhere = ['errors', 'clock', 'config'] as const;
/** What stands between the outside and the record: handlers see the Gate, never a store. */
const handler = [
  'consent/gate',
  'consent/model',
  'consent/workflow',
  'search/plan',
  'search',
  'validation',
  'fhir',
  'audit/query',
  'anchoring/receipts',
  'jobs',
];

export const rooms: Readonly<Record<string, RoomRow>> = {
  errors: { files: /^server\/errors\.ts$/, mayImport: [] },
  clock: { files: /^server\/clock\.ts$/, mayImport: [] },
  config: { files: /^server\/config\.ts$/, mayImport: [] },
  webhook: { files: /^server\/webhook\.ts$/, mayImport: ['errors', 'ledger'] },
  top: { files: /^server\/(app|main)\.ts$|^server\/(app|commands)\/|^migrations\//, mayImport: ['*'] },
  'ledger/hash': { files: /^ledger\/(hash|entry|webauthn)\.ts$/, mayImport: ['ledger'] },
  /** A receipt's text as a small file and back: all that handlers need of the ledger. */
  'ledger/packing': { files: /^ledger\/(inflated|packed|packed-words|packing)\.ts$/, mayImport: ['ledger', 'ledger/hash'] },
  ledger: { files: /^ledger\//, mayImport: ['ledger/hash', 'ledger/packing'] },
  fhir: { files: /^server\/fhir\//, mayImport: [...everywhere] },
  /** Expressions over index keys: the language of plans and of consent scopes. */
  'search/plan': { files: /^server\/search\/(expression|join)\.ts$/, mayImport: ['errors'] },
  search: { files: /^server\/search\//, mayImport: [...everywhere, 'fhir', 'search/plan'] },
  validation: { files: /^server\/validation\//, mayImport: [...everywhere, 'fhir'] },
  'consent/model': { files: /^server\/consent\/model\.ts$/, mayImport: ['errors', 'fhir'] },
  'consent/gate': { files: /^server\/consent\/gate\.ts$/, mayImport: ['fhir', 'search/plan', 'consent/model'] },
  'consent/workflow': { files: /^server\/consent\/workflow\.ts$/, mayImport: ['errors', 'fhir', 'consent', 'consent/model'] },
  'consent/enforce': {
    files: /^server\/consent\/(enforce\.ts$|policies\.ts$|enforce\/)/,
    mayImport: [
      ...everywhere,
      'consent',
      'consent/model',
      'consent/gate',
      'consent/workflow',
      'search/plan',
      'search',
      'store/port',
      'audit',
      'fhir',
      'ledger/hash',
      'jobs',
    ],
  },
  /** Pure: time is an argument, so the clock is not in its list. */
  consent: { files: /^server\/consent\//, mayImport: ['errors', 'fhir', 'search/plan', 'ledger/hash', 'consent/model', 'consent/workflow'] },
  'store/port': { files: /^server\/store\/port\.ts$/, mayImport: ['fhir', 'search/plan'] },
  /** What both engines share: how a query picks what it walks, how keys are packed. */
  'store/shared': {
    files: /^server\/store\/(between|deciding-keys|driver|key-order|meter|packed-check|packed-keys|several|tally|trace|transfer)\.ts$/,
    mayImport: ['errors', 'store/port', 'search', 'search/plan'],
  },
  'store/embedded': {
    files: /^server\/store\/embedded\//,
    mayImport: [...everywhere, 'store/port', 'store/shared', 'search', 'search/plan', 'fhir'],
  },
  'store/mongo': { files: /^server\/store\/mongo\//, mayImport: [...everywhere, 'store/port', 'store/shared', 'search', 'search/plan', 'fhir'] },
  'audit/query': { files: /^server\/audit\/query\.ts$/, mayImport: [...everywhere, 'fhir', 'search/plan', 'audit'] },
  audit: { files: /^server\/audit\//, mayImport: [...everywhere, 'fhir', 'records'] },
  jobs: { files: /^server\/jobs\//, mayImport: [...everywhere, 'fhir', 'records'] },
  authz: { files: /^server\/authz\//, mayImport: [...everywhere, 'consent/model', 'records', 'fhir', 'ledger/hash'] },
  'anchoring/receipts': {
    files: /^server\/anchoring\/receipts\.ts$/,
    mayImport: [...everywhere, 'anchoring', 'ledger', 'ledger/hash', 'records', 'consent/model', 'jobs'],
  },
  anchoring: {
    files: /^server\/anchoring\//,
    mayImport: [...everywhere, 'webhook', 'anchoring/receipts', 'ledger', 'ledger/hash', 'records', 'consent/model', 'jobs'],
  },
  notices: { files: /^server\/notices\//, mayImport: [...everywhere, 'records'] },
  signer: { files: /^server\/signer\//, mayImport: [...everywhere, 'anchoring', 'ledger', 'ledger/hash'] },
  witness: { files: /^server\/witness\//, mayImport: [...everywhere, 'ledger', 'ledger/hash'] },
  aggregate: { files: /^server\/aggregate\//, mayImport: [...everywhere, 'ledger', 'ledger/hash'] },
  http: { files: /^server\/http\//, mayImport: [...everywhere, ...handler, 'ledger/packing'] },
  bulk: { files: /^server\/bulk\//, mayImport: [...everywhere, ...handler, 'http'] },
  subscriptions: { files: /^server\/subscriptions\//, mayImport: [...everywhere, ...handler, 'http'] },
  web: { files: /^server\/web\//, mayImport: [...everywhere, ...handler, 'http'] },
};

/** The one file both ports live in: rooms with 'records' may name these of its types and no others. */
export const portFile = 'server/store/port.ts';
export const recordNames: ReadonlySet<string> = new Set(['RecordStore', 'RecordValue', 'StoredRecord', 'RecordWrite', 'NewLogRow', 'LogRow']);
/** Types through which one could reach any record: named only by the holders and by the engines that implement them. */
export const storeNames: ReadonlySet<string> = new Set(['ResourceStore', 'Engine']);
export const storeHolders: ReadonlySet<string> = new Set(['top', 'consent/enforce', 'store/port', 'store/embedded', 'store/mongo']);

/** Packages that live behind one wall. */
export const walledPackages: Readonly<Record<string, RegExp>> = {
  merkletreejs: /^ledger\/tree\.ts$/,
  'node:sqlite': /^server\/store\/embedded\/|^server\/witness\/heads\.ts$|^server\/aggregate\/store\.ts$|^migrations\//,
  mongodb: /^server\/store\/mongo\/|^migrations\//,
  'micro-eth-signer': /^ledger\/anchor\/evm\//,
  'micro-eth-signer/abi.js': /^ledger\/anchor\/evm\//,
  pkijs: /^ledger\/anchor\/rfc3161\//,
  asn1js: /^ledger\/anchor\/rfc3161\//,
  'oidc-provider': /^server\/authz\//,
  'openid-client': /^server\/authz\/upstream\.ts$/,
  '@simplewebauthn/server': /^server\/authz\/passkeys\.ts$/,
  '@simplewebauthn/server/helpers': /^server\/authz\/passkeys\.ts$/,
  nodemailer: /^server\/notices\/mail\.ts$/,
  'tar-stream': /^server\/validation\/packages\/archive\.ts$/,
  saxes: /^server\/fhir\/xml\//,
};

/** Each reading of the outside world has one home. */
export const ambientReads: Readonly<Record<string, string>> = { 'process.env': 'server/config.ts', 'Date.now': 'server/clock.ts' };

export const limits = { functionLines: 60, fileLines: 500, parameters: 4 } as const;

/** Tables and vectors, exempt from the size limits; each with its reason. */
export const sizeExempt: Readonly<Record<string, string>> = {};
