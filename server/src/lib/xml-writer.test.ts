import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderXml } from './xml-writer.ts';

test('elements hold text or elements, and lists repeat theirs', () => {
  assert.equal(
    renderXml(
      'config',
      { name: 'a<b>&"\u0001', none: undefined, empty: '', list: { item: [1, true] }, 'no name': 1 },
      'urn:x',
    ),
    [
      '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
      '<config xmlns="urn:x">',
      '  <name>a&lt;b&gt;&amp;&quot;</name>',
      '  <empty/>',
      '  <list>',
      '    <item>1</item>',
      '    <item>true</item>',
      '  </list>',
      '</config>',
      '',
    ].join('\n'),
  );
});
