/** How two runs of builds differ: in artifacts, dependencies and properties. */
import type { Artifact, BuildDocument, Dependency, Module } from './document.ts';

export interface Differences<T> {
  readonly new: readonly T[];
  readonly updated: readonly T[];
  readonly unchanged: readonly T[];
  readonly removed: readonly T[];
}

export interface FileDifference {
  readonly name: string;
  readonly type?: string;
  readonly sha1?: string;
  readonly md5?: string;
  readonly module: string;
  readonly scopes?: readonly string[];
  /** What stands for it in the older run. */
  readonly diffName?: string;
}

export interface PropertyDifference {
  readonly key: string;
  readonly value: string;
  /** In the older run. */
  readonly diffValue?: string;
}

export interface BuildDifference {
  readonly artifacts: Differences<FileDifference>;
  readonly dependencies: Differences<FileDifference>;
  readonly properties: Differences<PropertyDifference>;
}

/** What is in the newer run and not in the older one is new. */
export function diffBuilds(newer: BuildDocument, older: BuildDocument): BuildDifference {
  return {
    artifacts: diffRows(artifactsOf(newer), artifactsOf(older)),
    dependencies: diffRows(dependenciesOf(newer), dependenciesOf(older)),
    properties: diffProperties(newer.properties ?? {}, older.properties ?? {}),
  };
}

interface Row {
  /** The same for what is the same thing in another version. */
  readonly key: string;
  readonly checksum: string;
  readonly file: FileDifference;
}

function artifactsOf({ modules = [] }: BuildDocument): Row[] {
  return modules.flatMap((module) =>
    (module.artifacts ?? []).map((artifact) => {
      const name = String(artifact.name ?? '');
      const [base, version] = splitVersion(String(module.id ?? ''));
      return rowOf(`${base} ${version === undefined ? name : name.replaceAll(version, '')}`, name, module, artifact);
    }),
  );
}

function dependenciesOf({ modules = [] }: BuildDocument): Row[] {
  return modules.flatMap((module) =>
    (module.dependencies ?? []).map((dependency) => {
      const name = String(dependency.id ?? '');
      const key = `${splitVersion(String(module.id ?? ''))[0]} ${splitVersion(name)[0]} ${dependency.type ?? ''}`;
      const row = rowOf(key, name, module, dependency);
      return dependency.scopes ? { ...row, file: { ...row.file, scopes: dependency.scopes } } : row;
    }),
  );
}

function rowOf(key: string, name: string, module: Module, file: Artifact | Dependency): Row {
  const { type, sha1, md5 } = file;
  return {
    key,
    checksum: sha1 || file.sha256 || md5 || name,
    file: {
      name,
      ...(type && { type }),
      ...(sha1 && { sha1 }),
      ...(md5 && { md5 }),
      module: String(module.id ?? ''),
    },
  };
}

/** `group:name:1.0` without its version, and the version. */
function splitVersion(id: string): readonly [base: string, version: string | undefined] {
  const colon = id.lastIndexOf(':');
  return colon < 0 ? [id, undefined] : [id.slice(0, colon), id.slice(colon + 1) || undefined];
}

function diffRows(newer: readonly Row[], older: readonly Row[]): Differences<FileDifference> {
  const waiting = Map.groupBy(older, ({ key }) => key);
  const result = { new: [] as FileDifference[], updated: [] as FileDifference[], unchanged: [] as FileDifference[] };
  for (const { key, checksum, file } of newer) {
    const candidates = waiting.get(key) ?? [];
    const same = candidates.findIndex((row) => row.checksum === checksum);
    const [counterpart] = candidates.splice(Math.max(same, 0), 1);
    if (!counterpart) result.new.push(file);
    else result[same >= 0 ? 'unchanged' : 'updated'].push({ ...file, diffName: counterpart.file.name });
  }
  return { ...result, removed: [...waiting.values()].flat().map(({ file }) => file) };
}

function diffProperties(
  newer: Readonly<Record<string, unknown>>,
  older: Readonly<Record<string, unknown>>,
): Differences<PropertyDifference> {
  const before = new Map(Object.entries(older).map(([key, value]) => [key, String(value)]));
  const result = {
    new: [] as PropertyDifference[],
    updated: [] as PropertyDifference[],
    unchanged: [] as PropertyDifference[],
  };
  for (const [key, value] of Object.entries(newer)) {
    const diffValue = before.get(key);
    const row = { key, value: String(value) };
    if (diffValue === undefined) result.new.push(row);
    else result[diffValue === row.value ? 'unchanged' : 'updated'].push({ ...row, diffValue });
    before.delete(key);
  }
  return { ...result, removed: [...before].map(([key, value]) => ({ key, value })) };
}
