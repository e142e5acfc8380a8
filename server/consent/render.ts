/**
 * The terms of a Consent in plain words, in the language of who signs: what was shown is part of what is signed. consent.md §4
 * Invariant: everything the Consent decides is said; a language that is not spoken here is answered in English.
 */
import { type Difference, type Example, OTHER } from './ambiguity.ts';
import { compileConsent, type CompiledConsent, type Data, type Provision, SEMANTICS, type Span } from './compile.ts';
import { digestOf } from '../../ledger/hash.ts';
import { AssentError } from '../errors.ts';
import { escapeXml } from '../fhir/xml/entities.ts';
import { withCode } from './displays.ts';
import type { Statement } from './statement.ts';

type Words = {
  readonly language: string;
  readonly permit: string;
  readonly deny: string;
  readonly except: string;
  readonly who: string;
  readonly anyone: string;
  readonly purpose: string;
  readonly anyPurpose: string;
  readonly action: string;
  readonly type: string;
  readonly code: string;
  readonly label: string;
  readonly below: string;
  readonly above: string;
  readonly dated: string;
  readonly data: Readonly<Record<Data['meaning'], string>>;
  readonly from: string;
  readonly until: string;
  readonly endless: string;
  readonly title: string;
  readonly held: string;
  readonly colon: string;
};

const english: Words = {
  language: 'en',
  permit: 'I allow the reading of my record',
  deny: 'I forbid the reading of my record',
  except: 'But',
  who: 'by',
  anyone: 'by anyone',
  purpose: 'for',
  anyPurpose: 'for any purpose',
  action: 'as',
  type: 'only records of the kinds',
  code: 'only records coded',
  label: 'only records labelled',
  below: 'or less',
  above: 'or more',
  dated: 'only records dated',
  data: {
    instance: 'only the record',
    related: 'only what it refers to as of now, and the record',
    dependents: 'only what refers to it, and the record',
    authoredby: 'only what was written by',
  },
  from: 'from',
  until: 'until',
  endless: 'until I withdraw it',
  title: 'Consent of',
  held: 'The record is held by',
  colon: ': ',
};

const chinese: Words = {
  language: 'zh',
  permit: '我允许查阅我的记录',
  deny: '我禁止查阅我的记录',
  except: '但是',
  who: '查阅者',
  anyone: '任何人',
  purpose: '用途',
  anyPurpose: '任何用途',
  action: '方式',
  type: '仅限记录类型',
  code: '仅限编码',
  label: '仅限标签',
  below: '或更低',
  above: '或更高',
  dated: '仅限记录日期',
  data: { instance: '仅限该记录', related: '仅限该记录及其目前引用的内容', dependents: '仅限该记录及引用它的内容', authoredby: '仅限其撰写的内容' },
  from: '自',
  until: '至',
  endless: '直至我撤回',
  title: '知情同意，患者',
  held: '记录保管方',
  colon: '：',
};

/** Plain text, one sentence a line. `language`: a BCP 47 code. */
export function renderTerms(
  { patient, organizations, root }: CompiledConsent,
  language: string,
): { readonly language: string; readonly lines: readonly string[] } {
  const words = /^zh\b/i.test(language) ? chinese : english;
  const lines = [`${words.title} Patient/${patient}`, ...provisionLines(root, words, []), `${words.held}${words.colon}${organizations.join(', ')}`];
  return { language: words.language, lines };
}

export type SaidTerms = Pick<Statement, 'consent' | 'shown' | 'created'>;

/**
 * The words of a consent statement in another language, for whoever does not read the one they were made in: what is signed stays what was shown.
 * Undefined where they cannot be made: its own words, made anew, are not those that it says were shown.
 */
export function translateTerms({ consent, shown, created }: SaidTerms, language: string): readonly string[] | undefined {
  try {
    const compiled = compileConsent(consent, { now: Date.parse(created) });
    const own = renderTerms(compiled, shown.language).lines.join('\n');
    return digestOf(own) === shown.digest ? renderTerms(compiled, language).lines : undefined;
  } catch (error) {
    // What `related` reaches stands beside a statement, not in it.
    if (error instanceof AssentError) return undefined;
    throw error;
  }
}

/** One provision without those below it, in the words in which it was signed. `path`: its place in the tree, from 0. */
export function renderProvision(provision: Provision, path: readonly number[], language: string): string {
  const words = /^zh\b/i.test(language) ? chinese : english;
  const [line = ''] = provisionLines(
    { ...provision, nested: [] },
    words,
    path.map((i) => i + 1),
  );
  return line;
}

/** One request that is permitted in one reading and not in another, and what to do about it. */
export function renderDifference({ example, permitting, denying }: Difference, language: string): string {
  const chinese = /^zh\b/i.test(language);
  const kind = chinese ? kindOf(example, chineseKinds) : kindOf(example, englishKinds);
  return chinese
    ? `这份知情同意可以有两种理解。按“${permitting}”理解，${kind}可以被查阅；按“${denying}”理解则不可以。请用 policy.uri（${SEMANTICS}）或 IHE PCF 的 profile 说明所指的理解方式。`
    : `This Consent can be read in two ways. Read as "${permitting}", ${kind} may be read; read as "${denying}", it may not. Say which is meant: by policy.uri (${SEMANTICS}) or by a profile of IHE PCF.`;
}

type Kinds = {
  readonly who: (actor: string, purpose: string) => string;
  readonly record: (type: string) => string;
  readonly parts: Readonly<Record<'code' | 'rank' | 'sensitivity' | 'dated' | 'at' | Data['meaning'], (value: string) => string>>;
  readonly between: string;
};

const englishKinds: Kinds = {
  who: (actor, purpose) =>
    `asked for by ${actor === OTHER ? 'anyone else' : actor} for ${purpose === OTHER ? 'another purpose' : withCode('purposes', purpose, 'en')}`,
  record: (type) => (type === OTHER ? 'a record' : `a record of kind ${type}`),
  parts: {
    code: (code) => `coded ${quoted(code)}`,
    rank: (rank) => `labelled ${withCode('ranks', rank, 'en')}`,
    sensitivity: (code) => `labelled ${withCode('sensitivities', code, 'en')}`,
    dated: (instant) => `dated ${instant}`,
    at: (instant) => `at ${instant}`,
    instance: (reference) => `which is ${reference}`,
    related: (reference) => `which ${reference} refers to`,
    dependents: (reference) => `which refers to ${reference}`,
    authoredby: (reference) => `written by ${reference}`,
  },
  between: ', ',
};

const chineseKinds: Kinds = {
  who: (actor, purpose) => `由${actor === OTHER ? '其他任何人' : actor}为${purpose === OTHER ? '其他用途' : withCode('purposes', purpose, 'zh')}查阅`,
  record: (type) => (type === OTHER ? '一条记录' : `一条${type}记录`),
  parts: {
    code: (code) => `编码为${quoted(code)}`,
    rank: (rank) => `标签为${withCode('ranks', rank, 'zh')}`,
    sensitivity: (code) => `标签为${withCode('sensitivities', code, 'zh')}`,
    dated: (instant) => `日期为${instant}`,
    at: (instant) => `时间为${instant}`,
    instance: (reference) => `即${reference}`,
    related: (reference) => `被${reference}引用`,
    dependents: (reference) => `引用${reference}`,
    authoredby: (reference) => `由${reference}撰写`,
  },
  between: '，',
};

function kindOf({ actor, purpose, type, code, rank, sensitivity, dated, at, data }: Example, { who, record, parts, between }: Kinds): string {
  return [
    record(type.value),
    who(actor.value, purpose),
    ...(code.value === OTHER ? [] : [parts.code(code.value)]),
    parts.rank('ULMNRV'[rank] ?? ''),
    ...(sensitivity.value === OTHER ? [] : [parts.sensitivity(sensitivity.value)]),
    ...(data.is === 'neither' ? [] : [parts[data.is](data.reference)]),
    ...(dated === undefined ? [] : [parts.dated(isoOf(dated))]),
    parts.at(isoOf(at)),
  ].join(between);
}

/** The narrative of the Consent: the same lines as xhtml. */
export function narrativeOf(lines: readonly string[]): { readonly status: 'generated'; readonly div: string } {
  const paragraphs = lines.map((line) => `<p>${escapeXml(line)}</p>`).join('');
  return { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${paragraphs}</div>` };
}

/** `place`: [2, 1] is the first exception to the second exception; what a sentence is an exception to is part of the terms. */
function provisionLines(provision: Provision, words: Words, place: readonly number[]): string[] {
  const isRoot = place.length === 0;
  const { type, actors, purposes, actions, period, nested } = provision;
  const clauses = [
    words[type],
    actors ? `${words.who} ${actors.join(', ')}` : words.anyone,
    ...(purposes
      ? clause(
          words.purpose,
          purposes.map((code) => withCode('purposes', code, words.language)),
        )
      : isRoot
        ? [words.anyPurpose]
        : []),
    ...clause(words.action, actions),
    ...whatClauses(provision, words),
    ...(period ? [spanWords(period, words)] : []),
    ...(isRoot && !Number.isFinite(period?.high) ? [words.endless] : []),
  ];
  const sentence = `${isRoot ? '' : `${place.join('.')}. ${words.except}${words.colon}`}${clauses.join('; ')}.`;
  return [sentence, ...nested.flatMap((each, i) => provisionLines(each, words, [...place, i + 1]))];
}

function whatClauses({ type, labels, classes, codes, dataPeriod, data = [] }: Provision, words: Words): string[] {
  return [
    ...clause(words.type, classes),
    ...clause(
      words.code,
      codes?.map(({ system, code }) => quoted(`${system}|${code}`)),
    ),
    ...clause(
      words.label,
      labels?.map((label) => labelWords(label, type, words)),
    ),
    ...(dataPeriod ? [`${words.dated} ${spanWords(dataPeriod, words)}`] : []),
    // Values of one attribute are alternatives: one clause holds them all.
    ...(data.length === 0 ? [] : [data.map(({ meaning, reference }) => `${words.data[meaning]} ${reference}`).join(' / ')]),
  ];
}

function labelWords(label: NonNullable<Provision['labels']>[number], type: Provision['type'], words: Words): string {
  if (label.kind === 'sensitivity') return withCode('sensitivities', label.code, words.language);
  return `${withCode('ranks', 'ULMNRV'[label.rank] ?? '', words.language)} ${type === 'permit' ? words.below : words.above}`;
}

/** A code may hold any text: in quotes, with nothing invisible, it cannot pose as a term of its own. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

function clause(word: string, values: readonly string[] | undefined): string[] {
  return values ? [`${word} ${values.join(', ')}`] : [];
}

function spanWords({ low, high }: Span, words: Words): string {
  const parts = [Number.isFinite(low) ? `${words.from} ${isoOf(low)}` : '', Number.isFinite(high) ? `${words.until} ${isoOf(high)}` : ''];
  return parts.filter((part) => part !== '').join(' ');
}

function isoOf(instant: number): string {
  return new Date(instant).toISOString().replace(/\.000Z$/, 'Z');
}
