/**
 * What a signed-in patient reads: /patient, /patient/trail, /patient/record, and what they take along: receipts and all of their data.
 *
 * Invariants: all that is shown comes from the Gate made for the patient; ids and pages travel in form bodies, never in a URL; nothing needs a script.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { SortPosition } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { PACKED } from '../../http/compressed.ts';
import type { Cursors } from '../../search/page.ts';
import { acceptForms, type Form, requireFormOf } from '../forms.ts';
import { type Html, html } from '../html.ts';
import type { ConsentPages } from './consents.ts';
import { dataFile } from './data-file.ts';
import { showErrorsTo } from './errors.ts';
import { HOME, type Reader, readerOf, showTo } from './frame.ts';
import { dataPage, homePage } from './home.ts';
import { waitingFor } from './inbox.ts';
import { namesOf } from './names.ts';
import { isKind, kindPage, kinds, recordPage } from './record.ts';
import { type ListedRecovery, openRecovery } from './recovery.ts';
import { actorsOf, trailPage } from './trail.ts';

export type RecordPages = Pick<ConsentPages, 'gateFor' | 'search' | 'clientName' | 'sessions' | 'origin' | 'clock'> & {
  readonly cursors: Cursors;
  readonly recoveriesOf: (owner: string) => Promise<readonly ListedRecovery[]>;
  /** Of the FHIR API, e.g. https://fhir.example.org/fhir: what the file's entries are named by. */
  readonly base: string;
};

/** All that the request log says of a page. */
const logged = { config: { interaction: 'patient' } };
export const PAGE_SIZE = 20;

export function recordPages(pages: RecordPages): FastifyPluginAsync {
  return async (app) => {
    acceptForms(app, pages.origin);
    showErrorsTo(app, { href: HOME, text: ({ back }) => back });
    const page = pageRoutes(app, pages);
    page(HOME, async (reader, reply) =>
      showTo(reader, reply, {
        title: reader.words.home,
        content: homePage(reader, {
          name: (await namesOf(pages.gateFor(reader.session.caller), pages, [reader.session.patient])).get(reader.session.patient),
          waiting: await waitingFor(pages, reader),
          recovery: openRecovery(await pages.recoveriesOf(reader.session.patient)),
        }),
      }),
    );
    page('/patient/record', async (reader, reply) => shown(reader, reply, '/patient/record', recordPage(reader)));
    page('/patient/data', async (reader, reply) => shown(reader, reply, '/patient/data', dataPage(reader)));
    page('/patient/trail', (reader, reply) => showTrail(pages, reader, reply));
    page('/patient/record/:kind', (reader, reply, { params }) =>
      showKind(pages, reader, { reply, kind: (params as { readonly kind: string }).kind }),
    );
    formRoutes(app, pages);
  };
}

type Show = (reader: Reader, reply: FastifyReply, request: FastifyRequest) => Promise<FastifyReply>;

/** A page for whoever is signed in; everybody else is sent to sign in, and comes back here. */
function pageRoutes(app: FastifyInstance, { sessions }: RecordPages): (path: string, show: Show) => void {
  return (path, show) =>
    void app.get(path, logged, async (request, reply) => {
      const session = await sessions.find(request.headers.cookie);
      if (!session) return reply.redirect(`/patient/sign-in?next=${request.url.split('?')[0]}`, 303);
      return show(readerOf(session, request), reply, request);
    });
}

function formRoutes(app: FastifyInstance, pages: RecordPages): void {
  const { sessions, gateFor } = pages;
  const opened = async (request: FastifyRequest) => {
    const [session, form] = [await sessions.find(request.headers.cookie), request.body as Form];
    requireFormOf(session, form);
    return { reader: readerOf(session, request), form };
  };
  app.post('/patient/trail', logged, async (request, reply) => {
    const { reader, form } = await opened(request);
    return showTrail(pages, reader, reply, form.get('page') ?? '');
  });
  app.post<{ Params: { kind: string } }>('/patient/record/:kind', logged, async (request, reply) => {
    const { reader, form } = await opened(request);
    return showKind(pages, reader, { reply, kind: request.params.kind, page: form.get('page') ?? '' });
  });
  app.post('/patient/receipt', logged, async (request, reply) => {
    const { reader, form } = await opened(request);
    const found = await gateFor(reader.session.caller).receipt('AuditEvent', form.get('id') ?? '');
    if (found.kind === 'ready' && form.get('as') === 'small')
      return asFile(reply, PACKED.name, PACKED.mediaType).send(await PACKED.write(found.receipt));
    if (found.kind === 'ready') return asFile(reply, 'receipt.json', 'application/json').send(found.receipt);
    if (found.kind === 'absent') throw new AssentError('not-found');
    const pending = found.kind === 'pending';
    if (pending) reply.code(202).header('retry-after', '60');
    const sentence = pending ? reader.words.trail.pending : reader.words.trail.erased;
    return showTo(reader, reply, { title: reader.words.trail.receipt, content: html`<p role="status">${sentence}</p>`, here: '/patient/trail' });
  });
  app.post('/patient/data', logged, async (request, reply) => {
    const { reader } = await opened(request);
    const file = await dataFile(pages, reader.session);
    return asFile(reply, 'record.json', 'application/fhir+json').send(file);
  });
}

function shown(reader: Reader, reply: FastifyReply, path: keyof Reader['words']['pages'], content: Html): FastifyReply {
  return showTo(reader, reply, { title: reader.words.pages[path].title, content, here: path });
}

/** A name that says nothing about the patient: it stays on a disk that others may see. */
function asFile(reply: FastifyReply, name: string, type: string): FastifyReply {
  return reply.headers({
    'content-type': type,
    'content-disposition': `attachment; filename="${name}"`,
    'cache-control': 'private, no-store',
    'x-content-type-options': 'nosniff',
  });
}

async function showTrail(pages: RecordPages, reader: Reader, reply: FastifyReply, page?: string): Promise<FastifyReply> {
  const found = await listed(pages, reader, { type: 'AuditEvent', sort: '-date', page });
  const names = await namesOf(pages.gateFor(reader.session.caller), pages, actorsOf(found.rows));
  return shown(reader, reply, '/patient/trail', trailPage(reader, { ...found, names }));
}

type KindAsked = { readonly reply: FastifyReply; readonly kind: string; readonly page?: string | undefined };

async function showKind(pages: RecordPages, reader: Reader, { reply, kind, page }: KindAsked): Promise<FastifyReply> {
  if (!isKind(kind)) throw new AssentError('not-found');
  const found = await listed(pages, reader, { ...kinds[kind], page });
  return showTo(reader, reply, { title: reader.words.kinds[kind], content: kindPage(reader, kind, found), here: `/patient/record/${kind}` });
}

type Listing = { readonly type: string; readonly sort: string; readonly page: string | undefined };

/** One page of the patient's resources of a type; `next`: sealed, for this patient and list alone. */
async function listed({ gateFor, search, cursors }: RecordPages, { session }: Reader, { type, sort, page }: Listing) {
  const query = `patient=${session.patient}&_sort=${sort}&_count=${PAGE_SIZE}&_total=none`;
  const { where, order, count, total } = search.plan(type, new URLSearchParams(query), 'strict');
  const bound = JSON.stringify(['patient', session.patient, type]);
  const after = page === undefined ? {} : { after: cursors.open(page, bound) as SortPosition };
  const { rows, next } = await gateFor(session.caller).search({ type, where, order, count, total, query: `${type}?${query}`, ...after });
  return { rows, next: next && cursors.seal(next, bound) };
}
