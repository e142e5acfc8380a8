/** Pages of a search over the real server: forwards, back and to the first, for several kinds of order, while somebody writes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RealServer, startRealServer } from '../support/real-server.ts';

type Bundle = {
  readonly total?: number;
  readonly link: readonly { readonly relation: string; readonly url: string }[];
  readonly entry?: readonly { readonly resource: { readonly id: string } }[];
};

const COUNT = 17;
const PAGE = 4;

describe('pages', () => {
  let server: RealServer;
  const written: string[] = [];
  beforeAll(async () => {
    server = await startRealServer();
    for (let i = 0; i < COUNT; i++) written.push(await write(i));
  });
  afterAll(() => server.stop());

  async function write(i: number): Promise<string> {
    const name = i % 5 === 0 ? {} : { name: [{ family: `F${i % 4}` }, { family: `G${i % 3}` }] };
    const resource = {
      resourceType: 'Practitioner',
      gender: i % 2 === 0 ? 'female' : 'male',
      telecom: [{ system: 'phone', value: `${i}` }],
      ...name,
    };
    const { json } = await server.admin.call('POST', 'Practitioner', resource);
    return String(json['id']);
  }

  async function page(url: string): Promise<Bundle> {
    const { status, json } = await server.admin.call('GET', url);
    expect(status).toBe(200);
    return json as unknown as Bundle;
  }
  const to = ({ link }: Bundle, relation: string) =>
    link.find((one) => one.relation === relation)?.url.slice(server.bootstrap.fhirBaseUrl.length + 1);
  const ids = ({ entry = [] }: Bundle) => entry.map(({ resource }) => resource.id);

  async function walk(first: string, relation: string, between: () => Promise<unknown> = async () => undefined): Promise<Bundle[]> {
    const pages: Bundle[] = [];
    for (let url: string | undefined = first; url !== undefined && pages.length < 50; url = to(pages.at(-1) as Bundle, relation)) {
      pages.push(await page(url));
      await between();
    }
    return pages;
  }

  test.each(['', '&_sort=family', '&_sort=-family,gender', '&_sort=gender,-_lastUpdated', '&_sort=-_id', '&_sort=telecom,_id'])(
    'there and back again%s',
    async (sort) => {
      const there = await walk(`Practitioner?_count=${PAGE}${sort}`, 'next');
      const total = there[0]?.total ?? 0;
      expect(there.map((one) => one.total)).toEqual(there.map(() => total));
      expect(new Set(there.flatMap(ids)).size).toBe(total);
      expect(there.flatMap(ids)).toEqual(expect.arrayContaining(written));
      expect(to(there[0] as Bundle, 'previous')).toBeUndefined();
      const back = await walk(to(there.at(-1) as Bundle, 'previous') ?? '', 'previous');
      expect(back.map(ids)).toEqual(there.slice(0, -1).map(ids).toReversed());
      const [middle] = back;
      expect(ids(await page(to(middle as Bundle, 'next') ?? ''))).toEqual(ids(there.at(-1) as Bundle));
      expect(ids(await page(to(middle as Bundle, 'first') ?? ''))).toEqual(ids(there[0] as Bundle));
    },
  );

  test.each(['', '&_sort=-family,gender', '&_sort=_id'])('nobody is lost or comes twice while others are written and deleted%s', async (sort) => {
    const extra = await Promise.all([1, 2, 3].map(write));
    const others = new Set(extra);
    let n = 0;
    const meddle = async (): Promise<void> => {
      others.add(await write(n++));
      const gone = extra.pop();
      if (gone !== undefined) await server.admin.call('DELETE', `Practitioner/${gone}`);
    };
    const there = await walk(`Practitioner?_count=${PAGE}${sort}`, 'next', meddle);
    const kept = (pages: readonly Bundle[]) => pages.flatMap(ids).filter((id) => written.includes(id));
    expect(kept(there).toSorted()).toEqual(written.toSorted());
    const back = await walk(to(there.at(-1) as Bundle, 'previous') ?? '', 'previous', meddle);
    expect(kept(back.toReversed())).toEqual(kept(there.slice(0, -1)));
  });

  test('totals: none, an estimate, exact, alone', async () => {
    const alone = await page('Practitioner?gender=female&_summary=count');
    expect([alone.entry, alone.link.length]).toEqual([undefined, 1]);
    const asked = (total: string) => page(`Practitioner?gender=female&_count=2&_total=${total}`);
    expect((await asked('none')).total).toBeUndefined();
    expect([(await asked('accurate')).total, (await asked('estimate')).total]).toEqual([alone.total, alone.total]);
  });

  test('a link back is bound to its search as one that leads on is', async () => {
    const [, second] = await walk(`Practitioner?_count=${PAGE}&_sort=family`, 'next');
    const link = to(second as Bundle, 'previous') ?? '';
    expect((await server.admin.call('GET', link.replace('family', 'gender'))).status).toBe(400);
    expect((await server.admin.call('GET', link)).status).toBe(200);
  });
});
