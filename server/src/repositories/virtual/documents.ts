/** Documents of a virtual repository: those of its members, merged by their format for one caller. */
import { hash } from 'node:crypto';
import type { DocumentKind, HeldDocument, OpaqueDoc } from '../../core/document.ts';
import type { Format } from '../../core/format.ts';
import type { Lru } from '../../lib/lru.ts';
import { Attempts, type BoundMember, type BoundMembers, unlessRefused } from './bound.ts';
import type { GuardedNames } from './guard.ts';
import type { Plan, Tier } from './plan.ts';
import type { ShadowedDocuments } from './shadowed-documents.ts';

export interface DocumentsDeps {
  readonly plan: Plan;
  readonly members: BoundMembers;
  readonly format: Format | undefined;
  readonly names: GuardedNames;
  readonly shadowed: ShadowedDocuments;
  /** Merged documents by what they were merged of: the same for everybody for whom that is the same. */
  readonly merged: Lru<string, Promise<OpaqueDoc>>;
}

interface Part {
  readonly key: string;
  readonly held: HeldDocument;
}

/** The document as its members' documents make it; undefined where none of them has it. */
export async function mergedDocument(
  deps: DocumentsDeps,
  kind: string,
  name: string,
): Promise<HeldDocument | undefined> {
  const definition = deps.format?.documents?.[kind];
  if (!definition) return undefined;
  const attempts = new Attempts();
  const packageName = definition.package(name);
  let parts: Part[] = [];
  for (const tier of deps.plan.tiers) {
    parts = [...parts, ...(await partsOf(deps, tier, { kind, name, definition, packageName, attempts }))];
    // A package that a member with priority has is not looked for elsewhere.
    if (tier.priority && parts.length > 0 && packageName !== undefined) break;
  }
  if (parts.length === 0) {
    attempts.finish();
    return undefined;
  }
  const revision = revisionOf(parts, `${kind}\n${name}`, attempts.inTrouble);
  return {
    revision,
    modifiedAt: new Date(Math.max(...parts.map(({ held }) => held.modifiedAt.getTime()))),
    partial: attempts.inTrouble || parts.some(({ held }) => held.partial),
    read: () => read(deps, definition, parts, revision),
  };
}

interface Asked {
  readonly kind: string;
  readonly name: string;
  readonly definition: DocumentKind<OpaqueDoc>;
  readonly packageName: string | undefined;
  readonly attempts: Attempts;
}

async function partsOf({ members, names, format, shadowed }: DocumentsDeps, tier: Tier, asked: Asked): Promise<Part[]> {
  const { kind, name, definition, packageName, attempts } = asked;
  const fetch = async (bound: BoundMember): Promise<Part[]> => {
    const { member, repo } = bound;
    if (!(await names.allows(member, packageName))) return [];
    const work = () => repo.document(kind, name);
    let held: HeldDocument | undefined;
    if (member.leaf.rclass === 'remote') {
      await names.noteAsked(member, packageName);
      held = await attempts.remote(bound, work);
      // What is about one package was judged above.
      if (held && packageName === undefined) {
        held = await shadowed.cut(member, { format, definition, what: `${kind}\n${name}` }, held);
      }
    } else held = await unlessRefused(work);
    return held ? [{ key: member.key, held }] : [];
  };
  // Upstreams are asked all at once: the slowest decides, not the sum.
  return (await Promise.all(members.of([...tier.locals, ...tier.remotes]).map(fetch))).flat();
}

/** Undefined where a part was made for this caller alone, so that what is merged of it is so too. */
function revisionOf(parts: readonly Part[], what: string, inTrouble: boolean): string | undefined {
  let text = `${what}\n${inTrouble ? 'partial' : 'whole'}`;
  for (const { key, held } of parts) {
    if (held.revision === undefined) return undefined;
    text += `\n${key}\n${held.revision}\n${held.partial}`;
  }
  return hash('sha256', text);
}

function read(
  { merged }: DocumentsDeps,
  definition: DocumentKind<OpaqueDoc>,
  parts: readonly Part[],
  revision: string | undefined,
): Promise<OpaqueDoc> {
  const [first, ...more] = parts;
  // Whoever read it keeps it as long as it is worth.
  if (first !== undefined && more.length === 0) return first.held.read();
  const merge = async () => definition.merge(await Promise.all(parts.map(({ held }) => held.read())));
  if (revision === undefined) return merge();
  const kept = merged.get(revision);
  if (kept !== undefined) return kept;
  const made = merge();
  merged.set(revision, made);
  made.catch(() => merged.delete(revision));
  return made;
}
