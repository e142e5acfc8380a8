/**
 * Every way an answer could tell what its caller may not see, what it tells instead, and the tests that say so. consent.md §3, row by row.
 * `claims`: the way is not offered yet; the names are what a CapabilityStatement would claim of it.
 */
import type { Tests } from '../support/named-tests.ts';

type Row = { readonly channel: string; readonly answer: string; readonly tests: Tests; readonly unoffered?: readonly string[] };

const TWINS: readonly [string, string] = ['twins/twins.test.ts', 'answer ${requests} requests alike, over everything that is claimed'];
const ACCESS = 'matrix/access.test.ts';

export const channels: readonly Row[] = [
  {
    channel: 'read, vread, deleted',
    answer: 'one 404 for absent, denied and deleted-but-denied; 410 only for who could have read it; never a 403 that depends on data',
    tests: [['http/interactions.test.ts', 'are the same answer, byte for byte, on every way to one record'], [ACCESS, '$name'], TWINS],
  },
  {
    channel: 'history',
    answer: 'denied versions absent, counts over visible ones, opaque version ids',
    tests: [
      [
        'http/history.test.ts',
        'holds the visible versions, newest first, with their total',
        'of hidden, absent and deleted-and-hidden is the same 404',
        'a version that was replaced by one that is hidden is as current as if that had never been',
      ],
      ['matrix/twins.test.ts', '%s'],
    ],
  },
  {
    channel: 'ETag, 304, If-Match',
    answer: 'decided before anything is compared: denied is 404, never 304 or 412',
    tests: [
      ['http/interactions.test.ts', 'a hidden record is 404 whatever the condition, never 304 or 412'],
      ['http/patch.test.ts', 'a hidden record is as absent as one that was never there, whatever the patch'],
      [ACCESS, '%s cannot replace or delete what it does not see'],
    ],
  },
  {
    channel: 'total, _summary=count, estimates',
    answer: 'the count of what is visible',
    tests: [
      [ACCESS, 'searches exactly what it sees'],
      ['http/search-pages.test.ts', 'totals: none, an estimate, exact, alone'],
      ['http/operations/meta.test.ts', 'of a type and of the system: what is in use among the visible, nothing else'],
    ],
  },
  {
    channel: 'paging',
    answer: 'full pages and no empty last one; sealed cursors of one caller and one question; the epoch is looked at for each page',
    tests: [
      [
        ACCESS,
        'pages are full, the last one is not empty, and together they are what it sees',
        'are refused for every other caller and question, and show nothing after a withdrawal',
      ],
    ],
  },
  { channel: '_sort', answer: 'an order over what is visible only', tests: [['http/search-pages.test.ts', 'there and back again%s'], TWINS] },
  {
    channel: 'chain, _has, _filter, _list, :in',
    answer: 'a target that is not visible is no match',
    tests: [
      [
        'http/search-joins.test.ts',
        'find what a naive evaluator finds in the world without what is hidden',
        'a hidden patient makes no chain match, a hidden observation no _has',
      ],
      [
        'http/search-filter.test.ts',
        'what is hidden makes nothing true',
        'members of a List, with a version as well; a hidden List is one that is not there',
      ],
    ],
  },
  {
    channel: '_include, _revinclude, :iterate',
    answer: 'only what is visible, silently absent otherwise, at every hop',
    tests: [['http/search-joins.test.ts', 'what is hidden is absent, and beyond the scope as well', 'again and again with :iterate'], TWINS],
  },
  {
    channel: '$everything, compartment',
    answer: 'a denied patient is an absent one',
    tests: [
      [
        'http/operations/everything.test.ts',
        'of a hidden and of an absent patient: the same 404',
        'holds the patient, the compartment and what it refers to, nothing hidden',
      ],
      ['http/compartment.test.ts', 'its owner hidden, absent, or empty: the same empty page'],
      ['http/operations/document.test.ts', 'a hidden and an absent Composition are the same 404'],
    ],
  },
  { channel: '$export', answer: 'the same set as a search, counts and deletions over what is visible', tests: [], unoffered: ['operation export'] },
  {
    channel: 'answers that are put off',
    answer: 'nothing that was released under a Consent that has ended',
    tests: [
      [
        'http/jobs.test.ts',
        'does not hand out what was released under a Consent that has ended, though the job is long done',
        'nor when a period of a Consent is over',
      ],
    ],
  },
  {
    channel: 'GraphQL',
    answer: 'what is hidden is as what is absent, in every part of the answer',
    tests: [['http/operations/graphql.test.ts', 'is as what is absent, everywhere', 'is the same for everyone, and tells of no data'], TWINS],
  },
  { channel: 'subscriptions', answer: 'told in the view of the subscriber', tests: [], unoffered: ['operation status', 'operation events'] },
  {
    channel: 'Binary, DocumentReference',
    answer: 'a Binary by its securityContext; without one, for its writer only',
    tests: [
      ['http/access-rules.test.ts', 'without a securityContext is for its writer; with one, for whoever may read that'],
      ['http/sources.test.ts', 'is seen by whoever sees its securityContext, from the next read on'],
      ['http/sources.test.ts', 'takes a securityContext that its writer sees, hidden ones as little as absent ones, and keeps it'],
    ],
  },
  {
    channel: 'contained, Bundle, Composition, narrative',
    answer: 'a container has the highest label and every deny of its parts, also after they are relabelled',
    tests: [
      [
        'http/sources.test.ts',
        'is labelled as the highest of what its sections speak of, from the next read on',
        'is denied with any of its parts, and no longer once that is deleted',
      ],
      ['consent/property.test.ts', 'is that of the rules, in any world'],
    ],
  },
  {
    channel: 'create with an id of the client’s, PUT as create',
    answer: 'a hidden id answers as an absent one, but to clients registered to choose ids',
    tests: [
      ['http/conditional.test.ts', 'makes nothing under an id for a caller who may not choose ids, whether the id is hidden or free'],
      [ACCESS, 'a client that chooses ids learns that an id is taken, and nothing else'],
    ],
  },
  {
    channel: 'conditional create, update, delete',
    answer: 'a match in the caller’s view only',
    tests: [
      [ACCESS, 'a conditional create matches in the caller’s view only'],
      ['http/conditional.test.ts', 'changes no answer', 'nor one of a transaction'],
    ],
  },
  {
    channel: 'referential integrity',
    answer: 'a hidden referrer never blocks, a hidden target never validates',
    tests: [
      [
        'http/integrity.test.ts',
        'must be there for who writes: absent, deleted and hidden are one answer, here and where it never was',
        'goes whatever hidden resources refer to it',
      ],
    ],
  },
  {
    channel: 'what becomes of what is written',
    answer: 'what its writer does not see lends it no label, code or patient: hidden and absent leave it alike',
    tests: [
      ['http/labelling.test.ts', 'tells its writer nothing of what they do not see: hidden and absent lend it nothing, now or later'],
      ['http/sources.test.ts', 'within a document or another Composition speaks of what its writer sees, too'],
      ['http/medications.test.ts', 'tells nothing of a hidden Medication: it is as one that is not there'],
    ],
  },
  {
    channel: 'batch, transaction',
    answer: 'the same rules and the same words for each entry',
    tests: [['http/patch.test.ts', 'of a transaction: versions, scopes, hidden records and one patch for each'], [ACCESS, '$name'], TWINS],
  },
  {
    channel: 'AuditEvent, Provenance, Task',
    answer: 'a requester sees its own acts only, and of its denied ones what it sent; a patient all about themselves',
    tests: [
      [
        'http/audit-trail.test.ts',
        'is seen by its patient and its maker, by no other patient and no other client, and the administrator sees no clinical content',
        'looks the same to its maker whether the record is hidden or absent; patient and administrator see whom it concerned',
      ],
      [
        'http/provenance-targets.test.ts',
        'tells its writer as little of a hidden target as of an absent one',
        'is recorded for its writer alike whosever a hidden target is, and for the patient',
      ],
      ['matrix/records.test.ts', 'Tasks are told to their patient and to whoever asked for them itself'],
    ],
  },
  {
    channel: 'Consent',
    answer: 'nobody lists those of another',
    tests: [
      ['matrix/records.test.ts', 'Consents are listed, read and counted by nobody but their patient and the administrator'],
      ['http/consent-data.test.ts', 'who prepares it learns neither what a resource refers to nor whether it exists'],
    ],
  },
  {
    channel: 'access request',
    answer: 'an unknown patient answers as a known one',
    tests: [
      [
        'http/requests.test.ts',
        'is answered and kept the same whether or not there is such a patient',
        'shows each party its own part, and nobody else any',
        'is over at its deadline, in the same words as a refusal',
      ],
    ],
  },
  {
    channel: 'timing',
    answer: 'the same work for hidden and absent, the audit write on both sides',
    tests: [['matrix/same-work.test.ts', '$name: as many reads and writes whether it is hidden or absent']],
  },
  {
    channel: 'ledger',
    answer: 'the public log shows no who, where or when, and grows by as much for hidden as for absent',
    tests: [
      [
        'http/audit-trail.test.ts',
        'makes the public log grow by as much as one of what is not there, and each patient sees the event, which names neither',
      ],
      ['http/ledger.test.ts', 'serves checkpoint, tiles and entries of the signed log, and nothing beyond'],
      TWINS,
    ],
  },
  {
    channel: 'after a withdrawal',
    answer: 'not a byte of it from its 200 on, in whatever was under way',
    tests: [['races/races.test.ts', '${races} withdrawals: what was asked after the 200 holds nothing of it']],
  },
];
