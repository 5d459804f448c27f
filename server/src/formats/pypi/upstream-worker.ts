/** The thread that reads a large page of an index, of a project or of all of them. */
import { isAppError } from '../../core/errors.ts';
import { readHere } from '../../lib/thread.ts';
import { parseProject, parseProjectList } from './upstream-pages.ts';
import type { PagePart, PageWanted } from './upstream-reading.ts';

/** Taking on so many takes others a millisecond or two. */
const FILES = 250;
const NAMES = 20_000;

readHere<PageWanted, PagePart>(
  ({ bytes, input }, hand) => {
    if (input === 'list') {
      const { names } = parseProjectList(bytes);
      for (let at = 0; at < names.length; at += NAMES) hand({ names: names.slice(at, at + NAMES).join('\n') });
      return;
    }
    const { files, ...project } = parseProject(bytes, input.name, new URL(input.page));
    hand({ project });
    for (let at = 0; at < files.length; at += FILES) hand({ files: files.slice(at, at + FILES) });
  },
  (error) => (isAppError(error, 'invalid') ? error.message : undefined),
);
