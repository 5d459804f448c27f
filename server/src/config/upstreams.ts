import { z } from 'zod';
import { upstream } from './fields.ts';

/** One field for each type of which a first start makes repositories. */
export const upstreamsSection = z
  .strictObject({
    docker: upstream().optional().describe('Of `docker-remote`. Without it, Docker Hub, which clients ask by default.'),
    helm: upstream().optional().describe('Of `helm-remote`. There is no default.'),
    maven: upstream()
      .optional()
      .describe(
        'Of `maven-remote`. Without it, the one that an installed Maven asks, mirrors of its settings included.',
      ),
    npm: upstream()
      .optional()
      .describe('Of `npm-remote`. Without it, the registry that npm, which comes with Node, is set to.'),
    pypi: upstream()
      .optional()
      .describe(
        'Of `pypi-remote`, as `index-url` of pip has it: `https://pypi.example/simple`. Without it, the one that an installed pip asks.',
      ),
  })
  .readonly();
