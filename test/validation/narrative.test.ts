import { expect, test } from 'vitest';
import { narrativeProblem } from '../../server/validation/narrative.ts';
import { cpuMs } from '../support/cpu-time.ts';

test.each([
  '<div xmlns="http://www.w3.org/1999/xhtml">plain &amp; simple</div>',
  '<div>\n</div>',
  '<div xmlns="http://www.w3.org/1999/xhtml"><!-- a & b --><a href="?a=1&amp;b=2">&#160;&#xA0;&#x1F600;&#9;&lt;&gt;&quot;&apos;</a></div>',
  ' <div><p class="x" style="color: red">a<br/>b</p><!-- c --><img src="#pic" alt="x"/></div> ',
  '<div><a href="https://example.org/a?b=c:d">x</a><a href="Patient/1">y</a><a name="z"/><img src="data:image/png;base64,AAAA"/></div>',
  "<div lang='zh'>患者</div>",
  '<div><p style="background-image: url(tbl_bck10.png); color: red">a</p></div>',
  '<div><p style="background-image: url(data: image/png;base64,iVBORw0KGgo=)">a</p></div>',
])('allowed: %s', (div) => {
  expect(narrativeProblem(div)).toBeUndefined();
});

test.each([
  'text alone',
  '<p>no div</p>',
  '<div>a</div><div>b</div>',
  '<div>a</div> b',
  '<div><p>a</div></p>',
  '<div>a',
  '<div>a<br></div>',
  '<div>a & b</div>',
  '<div>a&nbsp;b</div>',
  '<div>&#0;</div>',
  '<div>&#x1;</div>',
  '<div>&amp</div>',
  '<div><a href="?a=1&b=2">x</a></div>',
  '<div xmlns="http://www.w3.org/2000/svg">x</div>',
  '<div><script>alert(1)</script></div>',
  '<div><SCRIPT>alert(1)</SCRIPT></div>',
  '<div><iframe src="x"/></div>',
  '<div><object/></div>',
  '<div><form/></div>',
  '<div><input type="text"/></div>',
  '<div><link rel="stylesheet" href="x"/></div>',
  '<div><style>p{}</style></div>',
  '<div><svg onload="x"/></div>',
  '<div onclick="x()">a</div>',
  '<div><img src="x" onerror="x()"/></div>',
  '<div><img src=x /></div>',
  '<div><a href="javascript:x()">a</a></div>',
  '<div><a href=" java&#115;cript:x()">a</a></div>',
  '<div><a href="java&#x0a;script&colon;x()">a</a></div>',
  '<div><a href="data:text/html,x">a</a></div>',
  '<div><a href="vbscript:x">a</a></div>',
  '<div><img src="data:image/svg+xml;base64,AAAA"/></div>',
  '<div><p style="background: url(http://x)">a</p></div>',
  '<div><p style="width: expression(x)">a</p></div>',
  '<div><p style="background: url(//x.org/a.png)">a</p></div>',
  '<div><p style="background: url(../logout)">a</p></div>',
  '<div><p style="background: url(data:image/svg+xml;base64,AAAA)">a</p></div>',
  '<div><p style="background: url(data:text/html,x)">a</p></div>',
  '<div><p style="background: url(a.png) url(javascript:x)">a</p></div>',
  '<div><p style="background: url(&#104;ttp://x/a.png)">a</p></div>',
  '<div><!-- a </div>',
  '<div><![CDATA[<script>]]></div>',
  '<!DOCTYPE html><div>a</div>',
  '<div><?php x ?></div>',
  '<div><p title="a<b">a</p></div>',
])('refused: %s', (div) => {
  expect(narrativeProblem(div)).toMatch(/^[A-Z].*\.$/);
});

test('a hostile narrative costs linear time', () => {
  for (const part of ['<', '<a ', '<p>', ' a="', '<!--', '<div x="y" ', '&', '&#', '<p style="url(a/">', '<p style="url(data:image/png;base64, ">']) {
    expect(cpuMs(() => narrativeProblem(`<div>${part.repeat(50_000)}</div>`))).toBeLessThan(1000);
  }
});
