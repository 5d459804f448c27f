/** Reads pages of an upstream's index: large ones in a thread of their own. */
import { AppError } from '../../core/errors.ts';
import { Spell } from '../../lib/spell.ts';
import { readInThread, ThreadProblem } from '../../lib/thread.ts';
import type { Project, ProjectFile, ProjectList } from './project.ts';
import { parseProject, parseProjectList } from './upstream-pages.ts';

export type PageWanted = 'list' | { readonly name: string; readonly page: string };

export type PagePart =
  | { readonly names: string }
  | { readonly project: Omit<Project, 'files'> }
  | { readonly files: readonly ProjectFile[] };

/** Reading so much takes some milliseconds. */
const SMALL_BYTES = 128 * 1024;
const MAX_MS = 120_000;
const MAX_MEMORY_MB = 2048;

/** The page of a project that lies at `page`. Throws `invalid` for what is none. */
export async function readProject(bytes: Buffer, name: string, page: URL): Promise<Project> {
  if (bytes.length <= SMALL_BYTES) return parseProject(bytes, name, page);
  let project: Omit<Project, 'files'> = { name, versions: [] };
  const files: ProjectFile[] = [];
  await readApart(bytes, { name, page: page.href }, (part) => {
    if ('project' in part) project = part.project;
    else if ('files' in part) files.push(...part.files);
  });
  return { ...project, files };
}

/** The list of all projects. Throws `invalid` for what is none. */
export async function readProjectList(bytes: Buffer): Promise<ProjectList> {
  if (bytes.length <= SMALL_BYTES) return parseProjectList(bytes);
  const parts: string[] = [];
  await readApart(bytes, 'list', (part) => {
    if ('names' in part) parts.push(part.names);
  });
  const spell = new Spell();
  const names: string[] = [];
  for (const part of parts) {
    for (const name of part.split('\n')) names.push(name);
    if (spell.isOver) await spell.rest();
  }
  return { names };
}

async function readApart(bytes: Buffer, input: PageWanted, take: (part: PagePart) => void): Promise<void> {
  const script = new URL('./upstream-worker.ts', import.meta.url);
  try {
    await readInThread<PageWanted, PagePart>(bytes, { script, input, maxMs: MAX_MS, maxMemoryMb: MAX_MEMORY_MB, take });
  } catch (error) {
    if (error instanceof ThreadProblem) throw new AppError('invalid', error.message, {}, { cause: error });
    throw error;
  }
}
