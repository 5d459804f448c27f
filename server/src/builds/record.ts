/** What of a document becomes rows. Rows are for finding: long values are cut, and the document keeps them whole. */
import type { BuildModule, BuildProperty, BuildRecord } from '../core/build.ts';
import { parseMoment } from './dates.ts';
import { type Artifact, type BuildDocument, type Dependency, type Module, runOf, type Status } from './document.ts';

/** Keys and values stand in one index entry, whose size the databases limit. */
const MAX_KEY_BYTES = 500;
const MAX_VALUE_BYTES = 1800;
const MAX_TEXT_BYTES = 4000;
const HEX = { sha1: /^[0-9a-f]{40}$/, md5: /^[0-9a-f]{32}$/, sha256: /^[0-9a-f]{64}$/ };

export function recordOf(document: BuildDocument): BuildRecord {
  const { url, properties, statuses = [], modules = [] } = document;
  return {
    ...runOf(document),
    url: textOf(url, MAX_TEXT_BYTES),
    properties: pairsOf(properties),
    promotions: statuses.map(promotionOf),
    modules: modules.map(moduleOf),
  };
}

function promotionOf({ status, repository, comment, ciUser, user, timestamp }: Status) {
  return {
    status: textOf(status, MAX_VALUE_BYTES),
    repo: textOf(repository, MAX_VALUE_BYTES),
    comment: textOf(comment, MAX_TEXT_BYTES),
    ciUser: textOf(ciUser, MAX_VALUE_BYTES),
    at: timestamp === undefined ? new Date() : parseMoment(timestamp),
    by: textOf(user, MAX_VALUE_BYTES) ?? '',
  };
}

function moduleOf({ id, type, properties, artifacts = [], dependencies = [] }: Module): BuildModule {
  return {
    name: textOf(id, MAX_VALUE_BYTES) ?? '',
    type: textOf(type, MAX_VALUE_BYTES),
    properties: pairsOf(properties),
    artifacts: artifacts.map(artifactOf),
    dependencies: dependencies.map(dependencyOf),
  };
}

function artifactOf(artifact: Artifact) {
  return {
    ...bytesOf(artifact),
    name: textOf(artifact.name, MAX_TEXT_BYTES) ?? '',
    path: textOf(artifact.path, MAX_TEXT_BYTES),
    repo: textOf(artifact.originalDeploymentRepo, MAX_VALUE_BYTES),
  };
}

function dependencyOf(dependency: Dependency) {
  return {
    ...bytesOf(dependency),
    name: textOf(dependency.id, MAX_TEXT_BYTES) ?? '',
    scopes: (dependency.scopes ?? []).flatMap((scope) => textOf(scope, MAX_VALUE_BYTES) ?? []),
  };
}

function bytesOf(file: Artifact | Dependency) {
  return {
    type: textOf(file.type, MAX_VALUE_BYTES),
    sha1: checksumOf(file, 'sha1'),
    md5: checksumOf(file, 'md5'),
    sha256: checksumOf(file, 'sha256'),
  };
}

/** A checksum in lower case; undefined for what is none. */
export function checksumOf(file: Artifact | Dependency, algorithm: 'sha1' | 'md5' | 'sha256'): string | undefined {
  const hex = file[algorithm]?.toLowerCase();
  return hex !== undefined && HEX[algorithm].test(hex) ? hex : undefined;
}

function pairsOf(properties: Readonly<Record<string, unknown>> | undefined): BuildProperty[] {
  return Object.entries(properties ?? {}).map(([key, value]) => ({
    key: textOf(key, MAX_KEY_BYTES) ?? '',
    value: textOf(typeof value === 'object' ? JSON.stringify(value) : String(value), MAX_VALUE_BYTES) ?? '',
  }));
}

/** Text that every database takes; undefined for nothing. */
function textOf(value: string | number | undefined, maxBytes: number): string | undefined {
  if (value === undefined || value === '') return undefined;
  const text = String(value).replaceAll('\0', '').toWellFormed();
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text;
  return Buffer.from(text)
    .subarray(0, maxBytes)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}
