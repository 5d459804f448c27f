/** Client certificates for remote repositories. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { nameOf } from '../core/principal.ts';
import type { ClientCertificate, ClientCertificates } from '../repositories/certificates.ts';
import { READ, type Route, route } from './route.ts';
import { readTextBody } from './text-body.ts';

const ALL = 'artifactory/api/system/security/certificates';
const ONE = `${ALL}/{alias}`;
const PEM_TYPES = ['application/text', 'text/plain', 'application/x-pem-file', 'application/octet-stream'];

export function certificateRoutes({ certificates }: { readonly certificates: ClientCertificates }): readonly Route[] {
  return [
    route({
      methods: READ,
      pattern: ALL,
      right: 'admin',
      handle: async () => ({ status: 200, json: certificates.list().map(shown) }),
    }),
    route({
      methods: ['POST'],
      pattern: ONE,
      right: 'admin',
      async handle({ params, exchange, caller }) {
        const pem = await readTextBody(exchange, PEM_TYPES);
        await certificates.set(params['alias'] ?? '', pem, nameOf(caller.principal));
        return { status: 200, json: { status: 200, message: 'The certificate was successfully installed' } };
      },
    }),
    route({
      methods: ['DELETE'],
      pattern: ONE,
      right: 'admin',
      async handle({ params, caller }) {
        const alias = params['alias'] ?? '';
        if (!(await certificates.delete(alias, nameOf(caller.principal)))) {
          throw new AppError('not_found', `There is no certificate "${clip(alias)}".`);
        }
        return { status: 200, json: { status: 200, message: 'The certificate was successfully deleted' } };
      },
    }),
  ];
}

function shown({ alias, certificate }: ClientCertificate) {
  return {
    certificateAlias: alias,
    issuedTo: nameIn(certificate.subject),
    issuedBy: nameIn(certificate.issuer),
    issuedOn: new Date(certificate.validFrom).toISOString(),
    validUntil: new Date(certificate.validTo).toISOString(),
    fingerprint: certificate.fingerprint256,
  };
}

/** The common name, or all of the name where it has none. */
function nameIn(distinguished: string): string {
  const [, common] = /^CN=(.*)$/m.exec(distinguished) ?? [];
  return common ?? distinguished.replaceAll('\n', ', ');
}
