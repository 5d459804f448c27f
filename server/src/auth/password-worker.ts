/**
 * Hashes on a thread of its own. The synchronous function is used on purpose: the asynchronous one would queue in the
 * pool that file access shares, and a burst of logins would stop all reading and writing.
 */
import { argon2Sync } from 'node:crypto';
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashRequest } from './passwords.ts';

// Only on Linux does a priority belong to a thread; elsewhere it would slow down the whole server.
if (process.platform === 'linux') setPriority(10);

parentPort?.on('message', ({ id, message, nonce, ...parameters }: HashRequest) => {
  let answer: HashAnswer;
  try {
    answer = { id, tag: argon2Sync('argon2id', { message, nonce, ...parameters }) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : 'unknown failure' };
  }
  parentPort?.postMessage(answer);
});
