/** What command-line clients store in the place of a password they were given. */
import { createToken, MAX_TOKEN_SECONDS } from '../auth/account-tokens.ts';
import type { AccountDeps } from '../auth/accounts.ts';
import { type Route, route } from './route.ts';

export interface EncryptedPasswordDeps {
  readonly accounts: AccountDeps;
}

/** A token of the caller's, which serves as a password and can be revoked without changing it. */
export function encryptedPasswordRoutes({ accounts }: EncryptedPasswordDeps): readonly Route[] {
  return [
    route({
      methods: ['GET'],
      pattern: 'artifactory/api/security/encryptedPassword',
      right: 'user',
      async handle({ caller }) {
        const created = await createToken(
          accounts,
          {
            description: 'Stands for the password in the configuration of a client',
            expiresInSeconds: MAX_TOKEN_SECONDS,
            reference: true,
            parentTokenId: caller.credential?.tokenId,
          },
          caller.principal,
        );
        return { status: 200, text: created.referenceToken ?? '', headers: { 'Cache-Control': 'no-store' } };
      },
    }),
  ];
}
