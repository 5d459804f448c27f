import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileAntPattern, parseAntSegments } from '../../core/ant-pattern.ts';
import { aboveRegex, belowRegex, wholeRegex } from './rights.ts';

const names = fc.constantFrom('a', 'b', 'ab', 'aab', 'ü', '😀', 'a.b', 'x(y');
const wildNames = fc.constantFrom('*', '?', '??', 'a*', '*b', 'a?', '*a*', '?😀', '**', '**', 'a**b');
const path = fc.array(names, { maxLength: 5 }).map((parts) => parts.join('/'));
const pattern = fc
  .array(fc.oneof(names, wildNames), { minLength: 1, maxLength: 5 })
  .chain((parts) => fc.constantFrom(parts.join('/'), `${parts.join('/')}/`, `/${parts.join('/')}`));

/** As PostgreSQL reads it: by characters, against the path with a slash in front of each segment. */
function decides(expression: string | undefined, text: string): boolean {
  if (expression === undefined) return false;
  return new RegExp(`^(?:${expression})$`, 'u').test(text === '' ? '' : `/${text}`);
}

test('expressions decide as the patterns they are made of', () => {
  fc.assert(
    fc.property(pattern, path, (text, at) => {
      const compiled = compileAntPattern(text);
      const segments = parseAntSegments(text);
      assert.equal(decides(wholeRegex(segments), at), compiled.matches(at), `${text} matches ${at}`);
      assert.equal(decides(aboveRegex(segments), at), compiled.mayMatchBelow(at), `${text} may match below ${at}`);
      assert.equal(decides(belowRegex(segments), at), compiled.coversBelow(at), `${text} covers all below ${at}`);
    }),
    { numRuns: 20_000 },
  );
});
