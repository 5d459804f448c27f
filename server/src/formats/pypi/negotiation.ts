/** Which form of the index a client takes (PEP 691). */
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import { HTML_TYPE, JSON_TYPE, TEXT_HTML } from './simple.ts';

const SERVED: ReadonlyMap<string, string> = new Map([
  [JSON_TYPE, JSON_TYPE],
  ['application/vnd.pypi.simple.latest+json', JSON_TYPE],
  [HTML_TYPE, HTML_TYPE],
  ['application/vnd.pypi.simple.latest+html', HTML_TYPE],
  [TEXT_HTML, TEXT_HTML],
  ['text/*', TEXT_HTML],
  ['application/*', HTML_TYPE],
  ['*/*', TEXT_HTML],
]);
const MAX_RANGES = 50;

/** The media type of the answer; `not_acceptable` where the client takes none that there is. */
export function negotiate(accept: string | undefined, format: string | null): string {
  if (format !== null && format !== '') {
    const asked = SERVED.get(format.toLowerCase());
    if (asked === undefined || format.includes('*')) throw notAcceptable(format);
    return asked;
  }
  if (accept === undefined || accept.trim() === '') return TEXT_HTML;
  let best: { readonly type: string; readonly quality: number } | undefined;
  for (const item of accept.split(',', MAX_RANGES)) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    const type = SERVED.get(name);
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter));
    const quality = weight === undefined ? 1 : Number(weight.slice(weight.indexOf('=') + 1));
    if (type === undefined || !(quality > 0)) continue;
    if (!best || quality > best.quality) best = { type, quality };
  }
  if (!best) throw notAcceptable(accept);
  return best.type;
}

function notAcceptable(asked: string): AppError {
  return new AppError(
    'not_acceptable',
    `The index is not to be had as "${clip(asked)}". Ask for ${JSON_TYPE}, ${HTML_TYPE} or ${TEXT_HTML}.`,
  );
}
