import assert from 'node:assert/strict';
import { test } from 'node:test';
import { negotiate } from './negotiation.ts';

const [AS_JSON, AS_HTML, AS_TEXT] = [
  'application/vnd.pypi.simple.v1+json',
  'application/vnd.pypi.simple.v1+html',
  'text/html',
];

test('clients get the form that they like best', () => {
  for (const [accept, wanted] of [
    [undefined, AS_TEXT],
    ['*/*', AS_TEXT],
    [`${AS_JSON}, ${AS_HTML}; q=0.1, text/html; q=0.01`, AS_JSON],
    [`text/html;q=0.1, ${AS_HTML};q=0.2`, AS_HTML],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', AS_TEXT],
    ['application/vnd.pypi.simple.latest+json', AS_JSON],
    [`${AS_JSON};q=0, */*;q=0.1`, AS_TEXT],
  ] as const) {
    assert.equal(negotiate(accept, null), wanted, accept ?? 'nothing');
  }
  assert.equal(negotiate('text/html', AS_JSON), AS_JSON);
});

test('what there is not is refused', () => {
  for (const accept of ['application/vnd.pypi.simple.v99+json', `${AS_JSON};q=0`, 'image/png']) {
    assert.throws(() => negotiate(accept, null), { code: 'not_acceptable' });
  }
  assert.throws(() => negotiate('text/html', '*/*'), { code: 'not_acceptable' });
});

test('many ranges cost little', () => {
  const startedAt = performance.now();
  assert.throws(() => negotiate(`${'a/b;q=0.1,'.repeat(800)}text/html`, null), { code: 'not_acceptable' });
  assert.ok(performance.now() - startedAt < 10);
});
