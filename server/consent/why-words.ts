/**
 * Why somebody may or may not see a record, in words its patient understands. consent.md §3
 * Invariant: a language that is not spoken here is answered in English; every code stands in the answer beside its words.
 */
import { displayOf } from './displays.ts';
import type { ImplicitPolicy } from './model.ts';
import type { Why } from './why.ts';

type Words = {
  readonly access: (who: string, purpose: string, permitted: boolean | undefined) => string;
  readonly anyone: string;
  readonly others: string;
  readonly purposes: Readonly<Record<string, string>>;
  readonly grounds: Readonly<Record<Exclude<Why['ground'], 'built-in' | 'implicit'>, string>>;
  readonly policies: Readonly<Record<string, string>>;
  readonly implicit: Readonly<Record<ImplicitPolicy['kind'], string>>;
  readonly silent: Readonly<Record<Why['silent'][number]['because'], string>>;
};

const english: Words = {
  access: (who, purpose, permitted) =>
    permitted === undefined
      ? `Whether ${who} may see this record for ${purpose} depends on what is not told here.`
      : `${who} ${permitted ? 'may' : 'may not'} see this record for ${purpose}.`,
  anyone: 'Anyone whom no Consent names',
  others: 'The record names other patients as well. Each of them has to permit; what they say is not told.',
  purposes: {
    TREAT: 'treatment',
    ETREAT: 'emergency treatment',
    BTG: 'breaking the glass in an emergency',
    HPAYMT: 'payment',
    HOPERAT: 'running the health service',
    HMARKT: 'marketing',
    HRESCH: 'research',
    PUBHLTH: 'public health',
    PATRQT: 'the patient’s own request',
  },
  grounds: {
    void: 'A Consent of this patient is not the one in the log, so nothing is shown to others until that is put right.',
    'consent-denies': 'A Consent forbids it, and a prohibition goes before every permission.',
    'consent-permits': 'A Consent permits it.',
    'not-reached': 'A Consent permits them something, but not this record; what a signed permission does not reach is closed.',
    'beyond-glass': 'Not even in an emergency: the law excludes what it is labelled with, or it is about somebody else as well.',
    content: 'It depends on what this record holds: only its patient can be told which of these parts decides.',
  },
  policies: {
    directory: 'The directory of places, people and terms is open to everyone who may use the server.',
    administrator: 'Administrators read what was recorded and agreed, never what a record holds.',
    'own-acts': 'Records of consents and of accesses are for those they are about; whoever asked sees their own requests.',
    binary: 'A document is shown to whoever may see what it belongs to.',
    'own-record': 'Patients always see their own record.',
    'break-glass': 'In an emergency they may open it for some minutes. They have to say why, it is recorded, and the patient is told at once.',
    'on-behalf': 'They act for the patient, by the patient’s own word or one that the hospital attested.',
  },
  implicit: {
    deny: 'No Consent speaks of this, and where none does, this hospital shows nothing.',
    'author-treatment': 'No Consent speaks of this; where none does, only the organization that wrote a record sees it, for treatment.',
    'permit-except': 'No Consent speaks of this; where none does, this hospital shows records, except those with certain labels.',
  },
  silent: {
    period: 'It is not in force today.',
    actor: 'It is about other people or organizations.',
    purpose: 'It is about other purposes.',
    action: 'It is about doing something other than reading.',
    signature: 'What it permitted has ended: a key that signed it is not to be trusted since.',
    suspended: 'The hospital suspended it: it permits nothing, and what it forbids stays forbidden until the patient ends it.',
    'by-stolen-key':
      'It was ended with a key that is not to be trusted since: it permits nothing, and what it forbids stays forbidden until the patient ends it again.',
    majority: 'What it permitted has ended: a guardian signed it, and the patient has come of age.',
    'on-behalf': 'It was signed on behalf of the patient, and gives nothing to relatives: what they see is what an authority says.',
    linked: 'It is about another record of the same person: what it forbids is forbidden here too, what it permits is not permitted here.',
  },
};

const chinese: Words = {
  access: (who, purpose, permitted) =>
    permitted === undefined
      ? `${who}能否为${purpose}查阅这条记录，取决于此处不予告知的内容。`
      : `${who}${permitted ? '可以' : '不可以'}为${purpose}查阅这条记录。`,
  anyone: '未被任何知情同意提及的人',
  others: '这条记录还涉及其他患者，须每个人都允许；他们的意愿不在此告知。',
  purposes: {
    TREAT: '治疗',
    ETREAT: '急救',
    BTG: '紧急破例查阅',
    HPAYMT: '付费结算',
    HOPERAT: '医疗机构运营',
    HMARKT: '营销',
    HRESCH: '研究',
    PUBHLTH: '公共卫生',
    PATRQT: '患者本人请求',
  },
  grounds: {
    void: '该患者的一份知情同意与日志不符，在更正之前不向他人显示任何内容。',
    'consent-denies': '一份知情同意禁止查阅；禁止优先于一切允许。',
    'consent-permits': '一份知情同意允许查阅。',
    'not-reached': '一份知情同意允许其查阅部分内容，但不包括这条记录；已签署的允许未涵盖的内容不开放。',
    'beyond-glass': '紧急情况下也不行：其标签属于法律排除的内容，或者这条记录还涉及他人。',
    content: '取决于这条记录的内容：只有患者本人可以得知由哪一条款决定。',
  },
  policies: {
    directory: '机构、人员与术语目录对所有获准使用本服务器者开放。',
    administrator: '管理员查阅已记录和已约定的事项，从不查阅病历内容。',
    'own-acts': '知情同意与访问的记录供其所涉及者查阅；请求者可以查阅自己的请求。',
    binary: '文件向可以查阅其所属记录者显示。',
    'own-record': '患者始终可以查阅自己的记录。',
    'break-glass': '紧急情况下其可以打开这条记录几分钟：必须说明理由，会被记录，并立即告知患者。',
    'on-behalf': '其受患者本人授权或经本院证明，代患者行事。',
  },
  implicit: {
    deny: '没有知情同意涉及此事；在此情形下本院不显示任何内容。',
    'author-treatment': '没有知情同意涉及此事；在此情形下只有撰写记录的机构可以为治疗查阅。',
    'permit-except': '没有知情同意涉及此事；在此情形下本院显示记录，带有某些标签者除外。',
  },
  silent: {
    period: '今天不在有效期内。',
    actor: '它针对其他人或机构。',
    purpose: '它针对其他用途。',
    action: '它针对查阅以外的行为。',
    signature: '它所允许的内容已终止：签署它的密钥不再可信。',
    suspended: '已被医院中止：不再允许任何内容，所禁止的内容在患者终止它之前仍然禁止。',
    'by-stolen-key': '它被一把不再可信的密钥终止：不再允许任何内容，所禁止的内容在患者重新终止它之前仍然禁止。',
    majority: '它所允许的内容已终止：由监护人签署，而患者已成年。',
    'on-behalf': '它由他人代患者签署，不向亲属开放任何内容：亲属可见的内容以代理授权为准。',
    linked: '它针对同一人的另一份档案：它所禁止的在此同样禁止，它所允许的在此不适用。',
  },
};

const wordsIn = (language: string): Words => (/^zh\b/i.test(language) ? chinese : english);

/** `actor` undefined: anyone whom no Consent names. */
export function accessWords(
  { actor, purpose, permitted }: { readonly actor: string | undefined; readonly purpose: string; readonly permitted: boolean | undefined },
  { language, others }: { readonly language: string; readonly others: boolean },
): string {
  const words = wordsIn(language);
  const sentence = words.access(actor ?? words.anyone, words.purposes[purpose] ?? displayOf('purposes', purpose, language), permitted);
  return others && permitted === undefined ? `${sentence} ${words.others}` : sentence;
}

export function groundWords({ ground, policy }: Pick<Why, 'ground' | 'policy'>, implicit: ImplicitPolicy, language: string): string {
  const words = wordsIn(language);
  if (ground === 'built-in') return words.policies[policy ?? ''] ?? '';
  return ground === 'implicit' ? words.implicit[implicit.kind] : words.grounds[ground];
}

export function silenceWords(because: Why['silent'][number]['because'], language: string): string {
  return wordsIn(language).silent[because];
}
