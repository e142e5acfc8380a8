/**
 * The frame of every page: one column that fits a phone, readable in light and dark, nothing from elsewhere, and no script but where one is named.
 * https://www.w3.org/TR/WCAG22/ level AA; https://www.w3.org/TR/CSP3/
 * Invariant: the policy allows this style sheet (by hash), the icon in the page and forms to this server, and nothing else.
 */
import { createHash } from 'node:crypto';
import { type Html, html } from './html.ts';
import type { Language } from './language.ts';
import { patientWords } from './patient/words.ts';

const style = `
:root{color-scheme:light dark;--ink:#17202a;--soft:#4a5663;--paper:#fff;--card:#f4f6f8;--line:#6b7785;--accent:#0b5394;--on-accent:#fff;--good:#17603a;--bad:#9c1c1c}
@media (prefers-color-scheme:dark){:root{--ink:#eef2f6;--soft:#b6c0ca;--paper:#12171c;--card:#1d242b;--line:#8a96a3;--accent:#8ec5ff;--on-accent:#0c1722;--good:#7fd6a3;--bad:#ff9c9c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:46rem;margin:0 auto;padding:1rem}
header{border-bottom:1px solid var(--line)}
footer{border-top:1px solid var(--line);margin-top:2rem}
.bar{display:flex;justify-content:space-between;align-items:center;gap:1rem}
.bar button{margin:0}
h1{font-size:1.5rem;line-height:1.25;margin:.25rem 0}
h2{font-size:1.2rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:0}
p{margin:.5rem 0}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.skip{position:absolute;left:-100vw}
.skip:focus{position:static}
.soft{color:var(--soft)}
.good{color:var(--good);font-weight:600}
.bad{color:var(--bad);font-weight:600}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.25rem 1rem;margin:.5rem 0}
dt{color:var(--soft)}
.card dl{grid-template-columns:5.5rem 1fr}
dl.names{grid-template-columns:repeat(2,minmax(0,max-content))}
dd{margin:0}
.card{background:var(--card);border-left:4px solid var(--line);padding:.75rem 1rem;margin:.75rem 0}
.card.refused{border-color:var(--bad)}
ol,ul{padding:0;margin:0;list-style:none}
.card h2{margin:0;font-size:1.1rem}
.card.waits{border-color:var(--accent)}
.count{display:inline-block;min-width:1.6em;padding:0 .4em;border-radius:1em;text-align:center;color:var(--on-accent);background:var(--accent)}
.ways h2{margin:1rem 0 0}
.ways p{margin:0}
.ways a{display:inline-flex;align-items:center;min-height:2.75rem}
.menu{display:flex;flex-wrap:wrap;gap:0 1.25rem}
.fields{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:0 1rem}
time:not(.said){white-space:nowrap}
.steps{list-style:decimal;padding-left:1.5rem}
.steps li{margin:.5rem 0}
.card h2 a{display:inline-flex;align-items:center;min-height:2.75rem}
.menu a,.way a{display:inline-flex;align-items:center;min-height:2.75rem;min-width:2.75rem}
fieldset{border:0;margin:0;padding:0}
legend{padding:0;color:var(--soft)}
details ul{margin:.25rem 0}
summary{cursor:pointer;min-height:2.75rem;padding:.6rem 0;color:var(--accent);font-weight:600}
label{display:block;font-weight:600;margin:.75rem 0 .25rem}
input,select,textarea{font:inherit;width:100%;min-height:2.75rem;padding:.5rem;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:4px}
label.choice{display:flex;gap:.75rem;align-items:center;font-weight:400;min-height:2.75rem;margin:0}
input[type=checkbox]{flex:none;width:1.5rem;min-height:1.5rem;margin:0}
input::placeholder{color:var(--soft);opacity:1}
button{font:inherit;font-weight:600;min-height:2.75rem;padding:.5rem 1.25rem;margin:1rem 0 0;color:var(--on-accent);background:var(--accent);border:0;border-radius:4px;cursor:pointer}
button.plain{color:var(--accent);background:none;border:1px solid currentColor}
code,pre{font-family:ui-monospace,monospace;font-size:.875rem}
pre{background:var(--card);padding:.75rem;overflow-x:auto;white-space:pre-wrap}
figure{margin:1rem 0}
figcaption{font-weight:600;margin:0 0 .25rem}
svg{display:block;width:100%;height:auto;background:var(--card)}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.axis{fill:none;stroke:var(--line)}
.line{fill:none;stroke:var(--accent);stroke-width:2}
.line-1{stroke:var(--good);stroke-dasharray:6 3}
.line-2{stroke:var(--bad);stroke-dasharray:2 3}
.key.line-0{color:var(--accent)}
.key.line-1{color:var(--good)}
.key.line-2{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid var(--line)}
.row{display:flex;flex-wrap:wrap;gap:0 .5rem}
[aria-current=true],[aria-current=page]{font-weight:700;text-decoration:underline}
@media print{nav,form,.skip{display:none}.card{break-inside:avoid}:root{color-scheme:light;--ink:#000;--soft:#333;--paper:#fff;--card:#fff;--accent:#000;--good:#000;--bad:#000}}
`;

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%230b5394'/%3E%3Cpath d='M4 8l3 3 5-6' stroke='white' stroke-width='2' fill='none'/%3E%3C/svg%3E";

const styleHash = createHash('sha256').update(style).digest('base64');

const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;

export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': policy,
  // same-origin, not no-referrer: under the latter browsers send `Origin: null` with our own forms.
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'private, no-store',
};

/** Of a page that runs this one script (its absolute URL), which may ask this server. */
export function scriptedHeaders(script: string): Readonly<Record<string, string>> {
  return { ...pageHeaders, 'content-security-policy': `${policy}; script-src ${script}; connect-src 'self'` };
}

/** What is on every page. `before`, `after`: stand around its content. */
export type Frame = {
  readonly language: Language;
  readonly words: { readonly brand: string; readonly skip: string; readonly promise: string };
  readonly before?: Html | undefined;
  readonly after?: Html | undefined;
  /** Stands beside the name, above all. */
  readonly beside?: Html | undefined;
};

const plain: Frame = { language: 'en', words: patientWords.en };

/** A whole document. `title` also heads the page. */
export function page(title: string, content: Html, { language, words, before, after, beside }: Frame = plain): string {
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${words.brand}</title>
<link rel="icon" href="${icon}">
<style>${trusted(style)}</style>
</head>
<body>
<a class="skip" href="#content">${words.skip}</a>
<header><div class="bar"><p class="soft">${words.brand}</p>${beside}</div><h1>${title}</h1>${before}</header>
<main id="content" tabindex="-1">${content}</main>
<footer>${after}<p class="soft">${words.promise}</p></footer>
</body>
</html>
`.markup;
}

/** The style sheet must reach the page byte for byte, or its hash in the policy does not match. */
function trusted(text: string): Html {
  return html([text] as unknown as TemplateStringsArray);
}

/** An instant in ms since 1970, in UTC. */
export function time(ms: number, precision: 'second' | 'minute' = 'second'): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, precision === 'second' ? 19 : 16)} UTC</time>`;
}
