import { describe } from 'node:test';
import { eachDatabase } from '../support/databases.ts';
import { eventFeedContract } from './event-feed.ts';

eachDatabase(({ name, create }) => {
  describe(`event feed on ${name}`, () => eventFeedContract({ create, severalWriters: name !== 'sqlite' }));
});
