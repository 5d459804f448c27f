/** How builds are named, and where the document of a run lies for that. */
import { AppError } from '../core/errors.ts';
import { parseRepoPath, type RepoPath } from '../core/ids.ts';

/** What tells one run of a build from another. */
export interface RunName {
  readonly name: string;
  readonly number: string;
  readonly startedAt: Date;
}

const ENCODED: Readonly<Record<string, string>> = {
  '/': '%2F',
  '\\': '%5C',
  '|': '%7C',
  '*': '%2A',
  '?': '%3F',
  '"': '%22',
  "'": '%22',
  ':': '%3A',
  ';': '%3B',
  '%': '%25',
};

/** Takes the name or the number of a build, with each run of white space as one blank; `invalid` where it cannot be one. */
export function parseBuildWord(text: string, what: 'name' | 'number'): string {
  const word = text.replace(/\s+/g, ' ').trim();
  if (word === '') throw new AppError('invalid', `The build has no ${what}. Send a ${what} that is not blank.`);
  if (word.startsWith('.')) throw new AppError('invalid', `Build ${what} must not start with '.'`);
  return word;
}

/** A name or number as it stands in paths. */
export function encodeBuildWord(word: string): string {
  return word.replace(/[/\\|*?"':;%]/g, (char) => ENCODED[char] ?? char).replace(/ (?=%2F)|(?<=%2F) /g, '%20');
}

/** Where the document of the run lies; `invalid` when no path can hold the name. */
export function documentPath({ name, number, startedAt }: RunName): RepoPath {
  return parseRepoPath(`${encodeBuildWord(name)}/${encodeBuildWord(number)}-${startedAt.getTime()}.json`);
}

/**
 * The names that a segment of an address can stand for, likeliest first: an encoded slash arrives as `%2F`, and some
 * clients encode twice.
 */
export function readingsOf(segment: string): readonly string[] {
  const readings = [segment.replaceAll('%2F', '/'), segment];
  try {
    readings.push(decodeURIComponent(segment));
  } catch {
    // A percent sign that encodes nothing: the name as it stands.
  }
  return [...new Set(readings)];
}
