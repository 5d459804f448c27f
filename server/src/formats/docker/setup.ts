/** How clients of a registry are set up. */
import {
  type ClientSetup,
  hostNameOf,
  hostOf,
  isOpenToOthers,
  isUnencrypted,
  run,
  SECRET,
  type SetUpFor,
  type SetUpRepository,
  type Snippet,
  UNENCRYPTED,
} from '../../core/setup.ts';
import { quoted, shellWord } from '../../lib/quoting.ts';

/** By what else than their path repositories are addressed. */
export interface SetUpBindings {
  readonly domain?: string | undefined;
  readonly hosts: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, string>>;
}

interface Place {
  /** What clients sign in to. */
  readonly registry: string;
  /** What stands before the name of an image, with a slash at its end. */
  readonly images: string;
  readonly others: readonly string[];
  readonly key: string;
  readonly origin: string;
  readonly user: string;
}

/** The order in which clients are named; a type without a line has that of the first. */
const CLIENTS: Readonly<Record<string, readonly ((place: Place) => ClientSetup)[]>> = {
  docker: [docker, podman, skopeo, containerd, helm, oras],
  oci: [oras, podman, skopeo, docker, containerd, helm],
  helmoci: [helm, oras],
};

export function setUpDocker(
  { key, packageType }: SetUpRepository,
  { origin, user }: SetUpFor,
  bindings: SetUpBindings,
): readonly ClientSetup[] {
  const [first, ...more] = addressesOf(key, origin, bindings);
  const images = first ?? `REGISTRY_HOST/${key}/`;
  const place: Place = {
    registry: images.slice(0, images.indexOf('/')),
    images,
    others: more,
    key,
    origin,
    user,
  };
  return (CLIENTS[packageType] ?? CLIENTS['docker'] ?? []).map((client) => client(place));
}

/**
 * What images of the repository are called by, with a slash at the end: first what the server was reached by, if that
 * stands for the repository, then its path, then its other names.
 */
export function addressesOf(key: string, origin: string, { domain, hosts, ports }: SetUpBindings): readonly string[] {
  const host = hostNameOf(origin);
  const port = hostOf(origin).slice(host.length);
  const byPort = Object.entries(ports).flatMap(([number, bound]) => (bound === key ? [`${host}:${number}`] : []));
  const byHost = [
    ...Object.entries(hosts).flatMap(([name, bound]) => (bound === key ? [`${name}${port}`] : [])),
    ...(domain === undefined ? [] : [`${key}.${domain}${port}`]),
  ];
  const reached = withDot(hostOf(origin), origin);
  // At a port that stands for one repository, names say nothing.
  const isPortBound = Object.hasOwn(ports, port.slice(1));
  const own = [...(isPortBound ? [] : byHost), ...byPort].map((name) => withDot(name, origin));
  const lower = host.toLowerCase();
  // Which names below the domain stand for a repository is not known here, but all repositories have their own there.
  const isBound = isPortBound || Object.hasOwn(hosts, lower) || (domain !== undefined && lower.endsWith(`.${domain}`));
  const byPath = isBound ? [] : [`${reached}/${key}/`];
  return [...new Set([...own.filter((name) => name === reached).map(root), ...byPath, ...own.map(root)])];
}

function root(registry: string): string {
  return `${registry}/`;
}

/** Clients take a first part without a dot or a colon for the beginning of an image's name. */
function withDot(host: string, origin: string): string {
  if (/[.:]/.test(host) || host === 'localhost') return host;
  return `${host}:${isUnencrypted(origin) ? 80 : 443}`;
}

function signIn(client: string, { registry, user }: Place, ...options: readonly string[]): Snippet {
  const words = [...options, '--username', shellWord(user), '--password-stdin', shellWord(registry)];
  return run(
    'Sign in',
    `printf '%s' ${SECRET} | ${client} login ${words.join(' ')}`,
    'With another name or port of the server, sign in there as well.',
  );
}

/** The other names of the same images. */
function otherNames({ others }: Place, what: string): readonly Snippet[] {
  if (others.length === 0) return [];
  const code = others.map((images) => `${images}${what}\n`).join('');
  return [{ title: 'Other names of the same', language: 'text', code }];
}

const IMAGE = 'IMAGE_NAME:IMAGE_TAG';

function docker(place: Place): ClientSetup {
  const name = shellWord(`${place.images}${IMAGE}`);
  return {
    id: 'docker',
    name: 'Docker',
    steps: {
      'sign-in': [signIn('docker', place)],
      configure: isOpenToOthers(place.origin)
        ? [
            {
              title: 'Allow plain HTTP to this registry',
              language: 'json',
              file: '/etc/docker/daemon.json',
              code: `{\n  "insecure-registries": [${quoted(place.registry)}]\n}\n`,
              note: `${UNENCRYPTED} Restart the daemon afterwards.`,
            },
          ]
        : [],
      install: [run('Pull an image', `docker pull ${name}`), ...otherNames(place, IMAGE)],
      publish: [run('Tag and push an image', `docker tag ${IMAGE} ${name}\ndocker push ${name}`)],
    },
  };
}

function podman(place: Place): ClientSetup {
  const name = shellWord(`${place.images}${IMAGE}`);
  const plain = isUnencrypted(place.origin) ? ['--tls-verify=false'] : [];
  const command = (verb: string) => ['podman', verb, ...plain, name].join(' ');
  return {
    id: 'podman',
    name: 'Podman',
    steps: {
      'sign-in': [signIn('podman', place, ...plain)],
      install: [run('Pull an image', command('pull')), ...otherNames(place, IMAGE)],
      publish: [run('Tag and push an image', `podman tag ${IMAGE} ${name}\n${command('push')}`)],
    },
  };
}

function skopeo(place: Place): ClientSetup {
  const remote = shellWord(`docker://${place.images}${IMAGE}`);
  const layout = `oci:${IMAGE}`;
  const plain = (option: string) => (isUnencrypted(place.origin) ? `${option}=false ` : '');
  return {
    id: 'skopeo',
    name: 'Skopeo',
    steps: {
      'sign-in': [signIn('skopeo', place, ...(isUnencrypted(place.origin) ? ['--tls-verify=false'] : []))],
      install: [
        run('Copy an image to a folder', `skopeo copy ${plain('--src-tls-verify')}${remote} ${layout}`),
        ...otherNames(place, IMAGE),
      ],
      publish: [run('Copy an image from a folder', `skopeo copy ${plain('--dest-tls-verify')}${layout} ${remote}`)],
    },
  };
}

function helm(place: Place): ClientSetup {
  const plain = isUnencrypted(place.origin) ? ['--plain-http'] : [];
  const folder = shellWord(`oci://${place.images.replace(/\/$/, '')}`);
  const chart = shellWord(`oci://${place.images}CHART_NAME`);
  const command = (...words: readonly string[]) => ['helm', ...words, ...plain].join(' ');
  return {
    id: 'helm',
    name: 'Helm',
    steps: {
      'sign-in': [signIn('helm registry', place, ...plain)],
      install: [
        run('Install a chart', command('install', 'RELEASE_NAME', chart, '--version', 'CHART_VERSION')),
        run('Download a chart', command('pull', chart, '--version', 'CHART_VERSION')),
        ...otherNames(place, 'CHART_NAME'),
      ],
      publish: [
        run(
          'Package and publish the chart of a folder',
          `helm package CHART_NAME --version CHART_VERSION\n${command('push', 'CHART_NAME-CHART_VERSION.tgz', folder)}`,
        ),
      ],
    },
  };
}

function oras(place: Place): ClientSetup {
  const plain = isUnencrypted(place.origin) ? ['--plain-http'] : [];
  const name = shellWord(`${place.images}${IMAGE}`);
  const command = (...words: readonly string[]) => ['oras', ...words].join(' ');
  return {
    id: 'oras',
    name: 'ORAS',
    steps: {
      'sign-in': [signIn('oras', place, ...plain)],
      install: [run('Download the files of an artifact', command('pull', ...plain, name)), ...otherNames(place, IMAGE)],
      publish: [run('Publish a file as an artifact', command('push', ...plain, name, 'FILE_NAME'))],
    },
  };
}

/** Asks this repository for the images of another registry; only what it fetches itself is found in it. */
function containerd({ images, registry, key, origin }: Place): ClientSetup {
  const scheme = origin.slice(0, origin.indexOf(':'));
  const byPath = images === `${registry}/${key}/`;
  const host = quoted(`${scheme}://${registry}${byPath ? `/v2/${key}` : ''}`);
  const lines = [
    `[host.${host}]`,
    '  capabilities = ["pull", "resolve"]',
    ...(byPath ? ['  override_path = true'] : []),
    `  [host.${host}.header]`,
    `    Authorization = ${quoted(`Bearer ${SECRET}`)}`,
  ];
  return {
    id: 'containerd',
    name: 'containerd',
    steps: {
      configure: [
        {
          title: 'Ask this repository for the images of another registry',
          language: 'toml',
          file: '/etc/containerd/certs.d/MIRRORED_REGISTRY/hosts.toml',
          code: `${lines.join('\n')}\n`,
          note: 'For a repository that fetches from that registry. Takes an access token; without the last two lines, images are asked for by nobody in particular. The configuration of containerd has to name the folder certs.d as config_path.',
        },
      ],
      install: [
        run(
          'Pull an image',
          'ctr images pull --hosts-dir /etc/containerd/certs.d MIRRORED_REGISTRY/IMAGE_NAME:IMAGE_TAG',
        ),
      ],
    },
  };
}
