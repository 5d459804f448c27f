import assert from 'node:assert/strict';
import type { Target } from './target.ts';

export interface FileInfo {
  readonly size?: string;
  readonly created: string;
  readonly checksums?: { readonly sha1: string; readonly md5: string; readonly sha256: string };
  readonly children?: readonly { readonly uri: string; readonly folder: boolean }[];
}

/** Looks at the server past the client under test, by plain requests. */
export class ServerFacts {
  readonly #target: Target;
  readonly #authorization: string;

  constructor(target: Target) {
    this.#target = target;
    this.#authorization = `Basic ${Buffer.from(`${target.username}:${target.password}`).toString('base64')}`;
  }

  /** The address of the server as Artifactory's clients are told it. */
  get root(): string {
    return new URL('/artifactory', this.#target.url).href;
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const isJson = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
    return await fetch(`${this.root}/${path}`, {
      method,
      headers: {
        authorization: this.#authorization,
        ...(isJson && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isJson ? JSON.stringify(body) : (body as string | Uint8Array<ArrayBuffer>) }),
    });
  }

  async json<T>(path: string): Promise<T> {
    const answer = await this.ask('GET', path);
    assert.equal(answer.status, 200, `${path}: ${answer.status}`);
    return (await answer.json()) as T;
  }

  async statusOf(path: string): Promise<number> {
    const answer = await this.ask('GET', path);
    await answer.body?.cancel();
    return answer.status;
  }

  async textOf(path: string): Promise<string> {
    const answer = await this.ask('GET', path);
    assert.equal(answer.status, 200, `${path}: ${answer.status}`);
    return await answer.text();
  }

  async infoOf(path: string): Promise<FileInfo> {
    return await this.json<FileInfo>(`api/storage/${path}`);
  }

  async propertiesOf(path: string): Promise<Record<string, string[]>> {
    const answer = await this.ask('GET', `api/storage/${path}?properties`);
    if (answer.status === 404) return {};
    return ((await answer.json()) as { properties: Record<string, string[]> }).properties;
  }

  /** The paths of all files below a folder or repository, sorted. */
  async filesBelow(path: string): Promise<string[]> {
    const { files } = await this.json<{ files: { uri: string }[] }>(`api/storage/${path}?list&deep=1`);
    return files.map(({ uri }) => uri).sort();
  }

  /** Puts a file where nothing is measured; headers may tell when it was made. */
  async deploy(path: string, text: string, headers: Record<string, string> = {}): Promise<void> {
    const answer = await this.ask('PUT', path, text, headers);
    assert.equal(answer.status, 201, `${path}: ${answer.status} ${await answer.text()}`);
  }

  async createRepository(key: string, settings: Record<string, unknown> = {}): Promise<void> {
    const body = { rclass: 'local', packageType: 'generic', ...settings };
    const answer = await this.ask('PUT', `api/repositories/${key}`, body);
    assert.equal(answer.status, 200, `${key}: ${answer.status} ${await answer.text()}`);
  }

  async deleteRepositories(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.ask('DELETE', `api/repositories/${key}`);
  }
}
