/** What the dotted names of a query stand for, seen from the domain that is searched. */
import { type Domain, domainOf } from '../../db/search/domains.ts';

export interface Named {
  readonly links: readonly string[];
  /** Where the links lead. */
  readonly domain: Domain;
  /** A field; `*` for all; undefined where the name is the domain's own. */
  readonly field: string | undefined;
  /** What follows an `@`: the links then lead to where properties hang. */
  readonly key: string | undefined;
}

/** Undefined when there is nothing of that name. */
export function resolveName(from: Domain, name: string): Named | undefined {
  const at = name.indexOf('@');
  if (at > 0 && name[at - 1] !== '.') return undefined;
  const key = at < 0 ? undefined : name.slice(at + 1);
  if (key === '') return undefined;
  const words =
    at < 0
      ? name.split('.')
      : name
          .slice(0, Math.max(at - 1, 0))
          .split('.')
          .filter(Boolean);
  const own = from.prefix.split('.');
  const rest = own.every((word, i) => words[i] === word) ? words.slice(own.length) : words;
  return follow(from, rest, key);
}

function follow(from: Domain, words: readonly string[], key: string | undefined): Named | undefined {
  const links: string[] = [];
  let domain = from;
  for (const [i, word] of words.entries()) {
    const isLast = i === words.length - 1;
    if (isLast && key === undefined && (word === '*' || domain.fields.get(word)?.isInternal === false)) {
      return { links, domain, field: word, key };
    }
    const link = domain.links.get(word);
    if (!link) return undefined;
    links.push(word);
    domain = domainOf(link.to);
  }
  if (key !== undefined && domain.properties === undefined) return undefined;
  return { links, domain, field: undefined, key };
}
