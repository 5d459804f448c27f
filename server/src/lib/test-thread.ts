/** A thread for tests, which does what it is told. */
import { threadId } from 'node:worker_threads';
import { readHere } from './thread.ts';

export type Told = 'count' | 'say who' | 'find a problem' | 'fail' | 'leave' | 'take all memory' | 'never end';

readHere<Told, number>(
  ({ bytes, input }, hand) => {
    if (input === 'find a problem') throw new SyntaxError('It is no good.');
    if (input === 'fail') throw new Error('a mistake of ours');
    if (input === 'leave') process.exit();
    if (input === 'say who') return hand(threadId);
    const kept: unknown[] = [];
    while (input === 'take all memory') kept.push(Array.from({ length: 1000 }, (_, i) => `${i} ${kept.length}`));
    while (input === 'never end');
    for (const byte of bytes) hand(byte);
  },
  (error) => (error instanceof SyntaxError ? error.message : undefined),
);
