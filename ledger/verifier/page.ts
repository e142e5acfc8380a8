/**
 * The script of the page that proves receipts: the verifier of the command line, asked by a form. ledger.md §6
 * Invariants: nothing leaves the page, and nothing of a file becomes markup.
 */
import './global.ts';
import { parseTrust, type Policy } from '../policy.ts';
import { textOfFile } from '../receipt-file.ts';
import { type Verdict, verifyReceipt } from '../receipt.ts';
import { inChinese } from './words.ts';

/** As much of the DOM as the page asks for: its types stay out of the server. https://dom.spec.whatwg.org/ */
type Element = {
  lang: string;
  className: string;
  textContent: string | null;
  hidden: boolean;
  value: string;
  readonly files?: ArrayLike<Blob> | null;
  readonly classList: { toggle(name: string, on: boolean): void };
  append(...children: readonly Element[]): void;
  replaceChildren(...children: readonly Element[]): void;
  focus(): void;
  addEventListener(type: string, listener: (event: Happening) => void): void;
};
type Happening = { preventDefault(): void; readonly dataTransfer?: { readonly files: ArrayLike<Blob> } | null };
declare const document: Pick<Element, 'addEventListener'> & {
  readonly documentElement: Element;
  getElementById(id: string): Element | null;
  createElement(tag: string): Element;
};

type Words = { readonly en: string; readonly zh: string };

const titles: Readonly<Record<Verdict['kind'], Words & { readonly why: Words }>> = {
  proven: {
    en: '✓ Proven',
    zh: '✓ 已证明',
    why: {
      en: 'Every statement under “Proven” holds; whatever is not listed there is not proven.',
      zh: '“已证明”所列各项均成立；未列出的均未得到证明。',
    },
  },
  erased: {
    en: '◌ Erased',
    zh: '◌ 已删除',
    why: {
      en: 'Erased, not missing: the log itself holds the erasure. Where a server has neither a receipt nor such a proof, the entry is missing, and that is a violation.',
      zh: '是已删除，而非缺失：删除本身记录在日志中。若服务器既无凭证又无此类证明，则该条目缺失，属于违规。',
    },
  },
  refuted: {
    en: '✗ Refuted',
    zh: '✗ 已被推翻',
    why: {
      en: 'It has the form of a receipt, but it is not genuine, or it was changed. Believe nothing in it.',
      zh: '它具有凭证的形式，但并不真实或已被改动。请勿相信其中任何内容。',
    },
  },
  unreadable: {
    en: '? Unreadable',
    zh: '? 无法读取',
    why: { en: 'It is no receipt, or not as it came. This says nothing about what happened.', zh: '它不是凭证，或已非原样。这不说明任何事实。' },
  },
};

const find = (id: string): Element => document.getElementById(id) ?? document.createElement('p');

function element(tag: string, { en, zh }: Words, className = ''): Element {
  const made = document.createElement(tag);
  made.className = className;
  for (const [lang, text] of [
    ['en', en],
    ['zh', zh],
  ] as const) {
    const part = document.createElement('span');
    part.lang = lang;
    part.textContent = text;
    made.append(part);
  }
  return made;
}

const inBoth = (sentence: string): Words => ({ en: sentence, zh: inChinese(sentence) ?? sentence });

function list(title: Words, sentences: readonly string[]): Element[] {
  if (sentences.length === 0) return [];
  const items = document.createElement('ul');
  items.append(...sentences.map((sentence) => element('li', inBoth(sentence))));
  return [element('h2', title), items];
}

const anyLog: Words = {
  en: 'You did not say which log you trust. Anybody can make a log: this is worth as much as the key named below.',
  zh: '您没有说明信任哪份日志。任何人都可以自建日志：此结果的可信程度取决于下面所列的公钥。',
};

function show(verdict: Verdict): void {
  const { why, ...title } = titles[verdict.kind];
  const box = document.createElement('div');
  box.className = `verdict ${verdict.kind}`;
  box.append(element('strong', title), element('p', why));
  if ('reason' in verdict) box.append(element('p', inBoth(verdict.reason)));
  else if (find('trust').value.trim() === '') box.append(element('p', anyLog, 'bad'));
  const lists =
    'proven' in verdict
      ? [...list({ en: 'Proven', zh: '已证明' }, verdict.proven), ...list({ en: 'Not proven', zh: '未证明' }, verdict.notProven)]
      : [];
  const result = find('result');
  result.replaceChildren(box, ...lists);
  result.hidden = false;
  result.focus();
}

/** A sentence where it is none. */
function policyIn(text: string): Policy | string | undefined {
  return text.trim() === '' ? undefined : parseTrust(text.trim());
}

function check(text: string): Verdict {
  const policy = policyIn(find('trust').value);
  if (typeof policy === 'string') return { kind: 'unreadable', reason: `Whom you trust: ${policy}` };
  // Without a zone it is read as the reader’s own time. ECMA-262 §21.4.1.32
  const inForceAt = Date.parse(find('in-force').value);
  return verifyReceipt(text, { ...(policy ? { policy } : {}), ...(Number.isNaN(inForceAt) ? {} : { inForceAt }) });
}

async function verifyFile(file: Blob): Promise<void> {
  try {
    const read = await textOfFile(new Uint8Array(await file.arrayBuffer()));
    show('text' in read ? check(read.text) : { kind: 'unreadable', ...read });
  } catch {
    show({ kind: 'unreadable', reason: 'The file cannot be read.' });
  }
}

function verifyGiven(): void {
  const file = find('file').files?.[0];
  const text = find('text').value;
  // A text area may add a newline or two around what was pasted; a receipt holds none.
  if (text.trim() !== '') show(check(text.trim()));
  else if (file) void verifyFile(file);
  else show({ kind: 'unreadable', reason: 'It is not JSON.' });
}

const root = document.documentElement;
root.lang = navigator.language.startsWith('zh') ? 'zh' : 'en';
find('language').addEventListener('click', () => {
  root.lang = root.lang === 'zh' ? 'en' : 'zh';
});
find('form').addEventListener('submit', (event) => {
  event.preventDefault();
  verifyGiven();
});
find('file').addEventListener('change', () => {
  find('text').value = '';
  verifyGiven();
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  find('form').classList.toggle('over', true);
});
document.addEventListener('dragleave', () => find('form').classList.toggle('over', false));
document.addEventListener('drop', (event) => {
  event.preventDefault();
  find('form').classList.toggle('over', false);
  const [file] = Array.from(event.dataTransfer?.files ?? []);
  if (file) void verifyFile(file);
});
