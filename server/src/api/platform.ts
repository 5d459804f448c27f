/** What command-line clients call around their work: reports of their use, and pages they print links to. */
import type { Reply } from '../core/protocol.ts';
import { READ, type Route, route } from './route.ts';

/** Reports of use are thanked for and not kept. */
export function platformRoutes(): readonly Route[] {
  const thanks = async (): Promise<Reply> => ({ status: 200, json: {} });
  return [
    route({ methods: ['POST'], pattern: 'artifactory/api/system/usage', right: 'user', handle: thanks }),
    route({
      methods: ['POST'],
      pattern: 'jfconnect/api/v1/backoffice/metrics/log',
      right: 'user',
      handle: thanks,
    }),
    route({
      methods: READ,
      pattern: 'ui/builds/{name}/{number}/{started}/published',
      right: 'none',
      handle: buildPage,
    }),
    route({ methods: READ, pattern: 'ui/builds/{rest...}', right: 'none', handle: buildPage }),
  ];
}

/** The same for every build, so that it tells nothing about which there are. */
async function buildPage({ root }: { readonly root: string }): Promise<Reply> {
  return {
    status: 200,
    text: `This server has no page for builds. The document of a build is at ${root}/api/build/{name}/{number}.\n`,
  };
}
