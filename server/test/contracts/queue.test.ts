import { describe } from 'node:test';
import { eachDatabase } from '../support/databases.ts';
import { queueContract } from './queue.ts';

eachDatabase(({ name, create }) => {
  describe(`job queue on ${name}`, () => queueContract({ create, severalWriters: name !== 'sqlite' }));
});
