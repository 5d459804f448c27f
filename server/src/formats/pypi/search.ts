/** Searching by XML-RPC, as `pip search` and tools of its time do it. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Repository } from '../../core/repository.ts';
import { escapeXml } from '../../lib/xml-text.ts';
import { findProject } from './index-pages.ts';
import { normalizeName } from './names.ts';
import { type ProjectList, ROOT_LIST } from './project.ts';
import { newestOf } from './project-json.ts';
import { parseCall, type RpcValue } from './xml-rpc.ts';

const MAX_BODY = 64 * 1024;
const MAX_HITS = 100;
/** Projects whose summaries are looked at, where the search is for those. */
const MAX_LOOKED_AT = 2000;

/** Answers the calls `search`, `list_packages` and `package_releases`. */
export async function search(request: ProtocolRequest, { repo }: Pick<ProtocolContext, 'repo'>): Promise<Reply> {
  const body = await readAll(request.body, { limit: MAX_BODY, what: 'call' });
  const call = parseCall(body.toString('utf8'));
  const [first, second] = call.params;
  switch (call.method) {
    case 'search':
      return answer(arrayOf(await find(repo, first ?? {}, second === 'and')));
    case 'list_packages':
      return answer(arrayOf((await namesOf(repo)).map(text)));
    case 'package_releases':
      return answer(arrayOf(await releasesOf(repo, String(first ?? ''))));
    default:
      throw new AppError('invalid', `There is no call "${clip(call.method)}". Use the simple index.`);
  }
}

async function find(repo: Repository, spec: RpcValue, all: boolean): Promise<string[]> {
  const [names, summaries] = ['name', 'summary'].map((field) => termsOf(spec, field));
  const has = (where: string, terms: readonly string[] | undefined) =>
    (terms ?? []).map((term) => where.toLowerCase().includes(term));
  // Each summary of an upstream would be a request to it.
  const looksAtSummaries = (summaries?.length ?? 0) > 0 && repo.rclass === 'local';
  const hits: string[] = [];
  let looked = 0;
  for (const name of await namesOf(repo)) {
    const inName = has(name, names).some(Boolean) || has(name, (names ?? []).map(dashed)).some(Boolean);
    if (hits.length === MAX_HITS || looked === MAX_LOOKED_AT) break;
    if (!inName && !looksAtSummaries) continue;
    looked += 1;
    const project = await findProject(repo, name);
    const version = project && newestOf(project);
    if (!project || version === undefined) continue;
    const summary = project.files.findLast((file) => file.version === version && file.summary)?.summary ?? '';
    const inSummary = has(summary, summaries).some(Boolean);
    const wanted = all && (summaries?.length ?? 0) > 0 ? inName && inSummary : inName || inSummary;
    if (wanted)
      hits.push(
        structOf({
          name: text(name),
          version: text(version),
          summary: text(summary),
          _pypi_ordering: '<boolean>0</boolean>',
        }),
      );
  }
  return hits;
}

function dashed(term: string): string {
  return normalizeName(term) ?? term;
}

/** The words that are looked for in a field, in lower case. */
function termsOf(spec: RpcValue, field: string): string[] {
  if (typeof spec !== 'object' || Array.isArray(spec)) return [];
  const value = (spec as Readonly<Record<string, RpcValue>>)[field];
  const words = Array.isArray(value) ? (value as readonly RpcValue[]) : value === undefined ? [] : [value];
  return words.flatMap((word) => (typeof word === 'string' && word.trim() !== '' ? [word.trim().toLowerCase()] : []));
}

async function namesOf(repo: Repository): Promise<readonly string[]> {
  const held = await repo.document(ROOT_LIST, '');
  return held ? ((await held.read()) as unknown as ProjectList).names : [];
}

async function releasesOf(repo: Repository, name: string): Promise<string[]> {
  const project = normalizeName(name) === undefined ? undefined : await findProject(repo, name);
  return (project?.versions ?? []).toReversed().map(text);
}

function text(value: string): string {
  return `<string>${escapeXml(value)}</string>`;
}

function structOf(members: Readonly<Record<string, string>>): string {
  const inside = Object.entries(members).map(
    ([name, value]) => `<member><name>${name}</name><value>${value}</value></member>`,
  );
  return `<struct>${inside.join('')}</struct>`;
}

function arrayOf(values: readonly string[]): string {
  return `<array><data>${values.map((value) => `<value>${value}</value>`).join('')}</data></array>`;
}

function answer(value: string): Reply {
  const body = `<?xml version='1.0'?>\n<methodResponse><params><param><value>${value}</value></param></params></methodResponse>\n`;
  return { status: 200, text: body, headers: { 'Content-Type': 'text/xml; charset=utf-8' } };
}
