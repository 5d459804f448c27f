/** What a server wants to know of a caller: the field WWW-Authenticate (RFC 9110, section 11.6.1). */

export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case; of a name that comes twice the first counts. */
  readonly parameters: Readonly<Record<string, string>>;
}

const MAX_LENGTH = 16 * 1024;
const MAX_CHALLENGES = 20;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
/** A value without quotes; some servers put there what is no token, such as a URL. */
const BARE = /[^\s,"]+/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"?/y;
const TOKEN_68 = /[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/y;
const SPACE = /[\s]*/y;
const SEPARATORS = /[\s,]*/y;

/** Reads all challenges of a field, in their order; what cannot be read is passed over. */
export function parseChallenges(field: string): readonly Challenge[] {
  const text = field.slice(0, MAX_LENGTH);
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  while (at < text.length && challenges.length <= MAX_CHALLENGES) {
    take(SEPARATORS);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) {
      at += 1;
      continue;
    }
    const afterName = at;
    take(SPACE);
    const current = challenges.at(-1);
    if (text[at] === '=' && current) {
      at += 1;
      take(SPACE);
      const value = takeValue(take);
      if (!Object.hasOwn(current.parameters, name)) current.parameters[name] = value;
    } else if (at > afterName || at === text.length || text[at] === ',') {
      challenges.push({ scheme: name, parameters: Object.create(null) as Record<string, string> });
      take(TOKEN_68);
    } else {
      at += 1;
    }
  }
  return challenges;
}

function takeValue(take: (pattern: RegExp) => RegExpExecArray | null): string {
  const quoted = take(QUOTED);
  if (quoted) return (quoted[1] ?? '').replaceAll(/\\([\s\S])/g, '$1');
  return take(BARE)?.[0] ?? '';
}
