/** Puts files and gets them by their plain paths, as one caller. */
import assert from 'node:assert/strict';
import type { Answer, Caller } from './test-app.ts';

export interface PlainFiles {
  /** Takes a path below the context, and fails where the answer has another status. */
  put(path: string, body: string, status?: number): Promise<Answer>;
  /** Resolves with the text that is answered. */
  get(path: string, status?: number): Promise<string>;
}

/** The caller is asked for when a file is, since servers start after their tests are described. */
export function plainFilesOf(caller: () => Caller): PlainFiles {
  return {
    async put(path, body, status = 201) {
      const answer = await caller().request('PUT', `/artifactory/${path}`, { body });
      assert.equal(answer.status, status, `${path}: ${answer.text}`);
      return answer;
    },
    async get(path, status = 200) {
      const answer = await caller().request('GET', `/artifactory/${path}`);
      assert.equal(answer.status, status, `${path}: ${answer.text}`);
      return answer.text;
    },
  };
}
