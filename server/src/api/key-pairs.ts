/** Key pairs that repositories are signed with. */
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import type { RepositoryDirectory } from '../repositories/directory.ts';
import { type KeyPair, type KeyPairs, type NewKeyPair, unknownPair, verifyKeyPair } from '../repositories/key-pairs.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route } from './route.ts';

export interface KeyPairDeps {
  readonly keyPairs: KeyPairs;
  readonly repositories: RepositoryDirectory;
}

const ALL = 'artifactory/api/security/keypair';
const key = z.string().min(1).max(100_000);
const keyPair = z.object({
  pairName: z.string().min(1).max(200),
  pairType: z.string().transform((text, context) => {
    const type = text.toUpperCase();
    if (type === 'GPG' || type === 'RSA') return type;
    context.addIssue({ code: 'custom', message: 'it must be GPG or RSA' });
    return 'GPG' as const;
  }),
  alias: z.string().max(200).optional(),
  privateKey: key,
  publicKey: key,
  passphrase: z.string().max(1000).optional(),
});

export function keyPairRoutes({ keyPairs, repositories }: KeyPairDeps): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: ALL,
      right: 'admin',
      handle: async () => ({ status: 200, json: keyPairs.list().map(shown) }),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ALL,
      right: 'admin',
      body: keyPair,
      async handle({ body, caller }) {
        await keyPairs.create(pairOf(body), nameOf(caller.principal));
        return { status: 201 };
      },
    }),
    bodyRoute({
      methods: ['PUT'],
      pattern: ALL,
      right: 'admin',
      body: keyPair,
      async handle({ body, caller }) {
        await keyPairs.replace(pairOf(body), nameOf(caller.principal));
        return { status: 200 };
      },
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: `${ALL}/verify`,
      right: 'admin',
      body: keyPair,
      async handle({ body }) {
        await verifyKeyPair(pairOf(body));
        return { status: 200 };
      },
    }),
    route({
      methods: READ,
      pattern: `${ALL}/public/repositories/{repo}`,
      right: 'reader',
      handle: async (request) => publicKeys(keyPairs, repositories, request),
    }),
    route({
      methods: READ,
      pattern: `${ALL}/{name}`,
      right: 'user',
      async handle({ params }) {
        const name = params['name'] ?? '';
        const pair = keyPairs.get(name);
        if (!pair) throw unknownPair(name);
        return { status: 200, json: shown(pair) };
      },
    }),
    route({
      methods: ['DELETE'],
      pattern: `${ALL}/{name}`,
      right: 'admin',
      async handle({ params, caller }) {
        await keyPairs.delete(params['name'] ?? '', nameOf(caller.principal));
        return { status: 204 };
      },
    }),
  ];
}

function pairOf({ pairName, pairType, alias, privateKey, publicKey, passphrase }: z.infer<typeof keyPair>): NewKeyPair {
  return {
    name: pairName,
    type: pairType,
    alias: alias ?? pairName,
    privateKey,
    publicKey,
    passphrase: passphrase ?? '',
  };
}

function shown({ name, type, alias, publicKey }: KeyPair) {
  return { pairName: name, pairType: type, alias, publicKey, unavailable: false };
}

/** What clients need to check the repository's signatures: both keys while one takes the other's place. */
function publicKeys(keyPairs: KeyPairs, repositories: RepositoryDirectory, { params, caller }: ApiRequest): Reply {
  const repo = params['repo'] ?? '';
  const described = repositories.describe(repo, caller.principal);
  if (!described) {
    if (!caller.authenticated) throw new AppError('unauthenticated', 'Authentication is required');
    throw new AppError('not_found', `There is no repository "${clip(repo)}", or you may not use it.`);
  }
  const names = [described.config['primaryKeyPairRef'], described.config['secondaryKeyPairRef']];
  const found = names.flatMap((name) => (typeof name === 'string' && name !== '' ? (keyPairs.get(name) ?? []) : []));
  if (found.length === 0) throw new AppError('not_found', `The repository "${described.key}" has no key pair.`);
  return { status: 200, text: `${found.map(({ publicKey }) => publicKey.trim()).join('\n')}\n` };
}
