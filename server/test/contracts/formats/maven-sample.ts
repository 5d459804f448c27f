/** Releases, a snapshot and a plugin, with their checksum files. */
import { mavenReads, publishMavenSamples, type Send } from '../../formats/maven-samples.ts';
import type { FormatSample, Place } from './sample.ts';

function sender({ caller }: Place): Send {
  return (method, path, body) => caller.request(method, path, { ...(body !== undefined && { body }) });
}

export const MAVEN_SAMPLE: FormatSample = {
  packageType: 'maven',
  upstreamUrl: ({ origin, key }) => `${origin}/artifactory/${key}`,
  publish: (place) => publishMavenSamples(sender(place), `/artifactory/${place.key}`),
  reads: (await mavenReads()).map(({ path, what, check }) => ({
    name: what,
    async read(place) {
      const answer = await sender(place)('GET', `/artifactory/${place.key}/${path}`);
      check(answer);
      const { status, text } = answer;
      // When something was put differs where it is put once more, and what is missing is told of with the key.
      return { status, text: status === 200 ? text.replace(/<lastUpdated>\d+</, '<lastUpdated><') : '' };
    },
  })),
};
