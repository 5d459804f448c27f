/** The thread that reads a large document of a package. */
import { isAppError } from '../../core/errors.ts';
import { readHere } from '../../lib/thread.ts';
import { type PackumentOrigin, type PackumentPart, readPackument } from './upstream-packument.ts';

readHere<PackumentOrigin, PackumentPart>(
  ({ bytes, input }, hand) =>
    readPackument(bytes, input, (part) => hand(part, 'texts' in part ? [part.texts.buffer, part.full.buffer] : [])),
  (error) => (isAppError(error, 'invalid') ? error.message : undefined),
);
