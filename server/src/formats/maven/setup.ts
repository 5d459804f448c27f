/** How Maven, Gradle, sbt and Ivy are set up. */
import {
  type ClientSetup,
  hostNameOf,
  isOpenToOthers,
  run,
  SECRET,
  type SetUpFor,
  type SetUpRepository,
  type Snippet,
  UNENCRYPTED,
} from '../../core/setup.ts';
import { groovyQuoted, kotlinQuoted, propertiesValue, quoted } from '../../lib/quoting.ts';
import { escapeXml } from '../../lib/xml-text.ts';

interface Place {
  readonly key: string;
  readonly url: string;
  readonly origin: string;
  readonly user: string;
  readonly packageType: string;
}

/** What the server calls itself when it asks for credentials, by which some clients find them. */
const REALM = 'Artifactory Realm';

const CLIENTS: readonly (readonly [id: string, client: (place: Place) => ClientSetup])[] = [
  ['maven', maven],
  ['gradle', gradle],
  ['sbt', sbt],
  ['ivy', ivy],
];

/** The client that the repository is named for comes first. */
export function setUpMaven({ key, packageType }: SetUpRepository, { origin, user }: SetUpFor): readonly ClientSetup[] {
  const place = { key, url: `${origin}/artifactory/${key}`, origin, user, packageType };
  const isOwn = ([id]: readonly [string, unknown]) => id === packageType;
  return [...CLIENTS.filter(isOwn), ...CLIENTS.filter((each) => !isOwn(each))].map(([, client]) => client(place));
}

function maven({ key, url, origin, user }: Place): ClientSetup {
  const [id, address] = [escapeXml(key), escapeXml(url)];
  const open = isOpenToOthers(origin);
  const mirror = (of: string) =>
    [
      '  <mirrors>',
      '    <mirror>',
      `      <id>${id}</id>`,
      `      <mirrorOf>${of}</mirrorOf>`,
      `      <url>${address}</url>`,
      '    </mirror>',
      '  </mirrors>',
    ].join('\n');
  const repository = (element: string) =>
    [
      `        <${element}>`,
      `          <id>${id}</id>`,
      `          <url>${address}</url>`,
      '          <releases><enabled>true</enabled></releases>',
      '          <snapshots><enabled>true</enabled></snapshots>',
      `        </${element}>`,
    ].join('\n');
  const profile = [
    '  <profiles>',
    '    <profile>',
    `      <id>${id}</id>`,
    '      <repositories>',
    repository('repository'),
    '      </repositories>',
    '      <pluginRepositories>',
    repository('pluginRepository'),
    '      </pluginRepositories>',
    '    </profile>',
    '  </profiles>',
    '  <activeProfiles>',
    `    <activeProfile>${id}</activeProfile>`,
    '  </activeProfiles>',
  ].join('\n');
  const settings = (title: string, parts: readonly string[], note?: string): Snippet => ({
    title,
    language: 'xml',
    file: '~/.m2/settings.xml',
    code: ['<settings>', serverOf(key, user), ...parts, '</settings>', ''].join('\n'),
    ...(note !== undefined && { note }),
  });
  // Maven 3.8.1 and later reach other machines by plain HTTP only where a mirror says so.
  const beside = open ? [mirror(id), profile] : [profile];
  return {
    id: 'maven',
    name: 'Maven',
    steps: {
      configure: [
        settings('Use this repository beside others', beside, open ? `The element mirrors: ${UNENCRYPTED}` : undefined),
        settings(
          'Use this repository in the place of all others',
          [mirror('*'), profile],
          'For a repository that has, or fetches, all that your builds need, plugins of Maven among it.',
        ),
      ],
      install: [
        run('Download an artifact', 'mvn dependency:get -Dartifact=GROUP_ID:PACKAGE_NAME:PACKAGE_VERSION'),
        {
          title: 'Depend on an artifact',
          language: 'xml',
          file: 'pom.xml',
          code: '<dependency>\n  <groupId>GROUP_ID</groupId>\n  <artifactId>PACKAGE_NAME</artifactId>\n  <version>PACKAGE_VERSION</version>\n</dependency>\n',
          note: 'Belongs in the element dependencies.',
        },
      ],
      publish: [
        {
          title: 'Say where the project is published',
          language: 'xml',
          file: 'pom.xml',
          code: [
            '<distributionManagement>',
            ...['repository', 'snapshotRepository'].flatMap((element) => [
              `  <${element}>`,
              `    <id>${id}</id>`,
              `    <url>${address}</url>`,
              `  </${element}>`,
            ]),
            '</distributionManagement>',
            '',
          ].join('\n'),
          note: 'The credentials are those of settings.xml.',
        },
        run('Build and publish the project', 'mvn deploy'),
      ],
    },
  };
}

function serverOf(key: string, user: string): string {
  return [
    '  <servers>',
    '    <server>',
    `      <id>${escapeXml(key)}</id>`,
    `      <username>${escapeXml(user)}</username>`,
    `      <password>${SECRET}</password>`,
    '    </server>',
    '  </servers>',
  ].join('\n');
}

function gradle({ url, origin, user, packageType }: Place): ClientSetup {
  const kind = packageType === 'ivy' ? 'ivy' : 'maven';
  const publication = packageType === 'ivy' ? 'IvyPublication' : 'MavenPublication';
  const open = isOpenToOthers(origin);
  const insecure = (line: string) => (open ? [line] : []);
  const groovy = [
    `${kind} {`,
    `    url = ${groovyQuoted(url)}`,
    ...insecure('    allowInsecureProtocol = true'),
    '    credentials {',
    '        username = entrepotUser',
    '        password = entrepotPassword',
    '    }',
    '}',
  ];
  const kotlin = [
    `${kind} {`,
    `    url = uri(${kotlinQuoted(url)})`,
    ...insecure('    isAllowInsecureProtocol = true'),
    '    credentials {',
    '        username = providers.gradleProperty("entrepotUser").get()',
    '        password = providers.gradleProperty("entrepotPassword").get()',
    '    }',
    '}',
  ];
  const within = (name: string, lines: readonly string[]) => [`${name} {`, ...lines.map((line) => `    ${line}`), '}'];
  const source = (lines: readonly string[]) => `${lines.join('\n')}\n`;
  const more = open ? { note: `allowInsecureProtocol: ${UNENCRYPTED}` } : {};
  return {
    id: 'gradle',
    name: 'Gradle',
    steps: {
      'sign-in': [
        {
          title: 'Store the credentials',
          language: 'properties',
          file: '~/.gradle/gradle.properties',
          code: `entrepotUser=${propertiesValue(user)}\nentrepotPassword=${SECRET}\n`,
        },
      ],
      configure: [
        {
          title: 'Resolve from this repository',
          language: 'groovy',
          file: 'build.gradle',
          code: source(within('repositories', groovy)),
          ...more,
        },
        {
          title: 'Resolve from this repository',
          language: 'kotlin',
          file: 'build.gradle.kts',
          code: source(within('repositories', kotlin)),
          ...more,
        },
      ],
      install: [
        {
          title: 'Depend on an artifact',
          language: 'groovy',
          file: 'build.gradle',
          code: "dependencies {\n    implementation 'GROUP_ID:PACKAGE_NAME:PACKAGE_VERSION'\n}\n",
        },
        {
          title: 'Depend on an artifact',
          language: 'kotlin',
          file: 'build.gradle.kts',
          code: 'dependencies {\n    implementation("GROUP_ID:PACKAGE_NAME:PACKAGE_VERSION")\n}\n',
        },
      ],
      publish: [
        {
          title: 'Say what is published, and where',
          language: 'groovy',
          file: 'build.gradle',
          code: source([
            `apply plugin: '${kind}-publish'`,
            ...within('publishing', [
              ...within('publications', [`library(${publication}) {`, '    from components.java', '}']),
              ...within('repositories', groovy),
            ]),
          ]),
          ...more,
        },
        {
          title: 'Say what is published, and where',
          language: 'kotlin',
          file: 'build.gradle.kts',
          code: source([
            `apply(plugin = "${kind}-publish")`,
            ...within('configure<PublishingExtension>', [
              ...within('publications', [`create<${publication}>("library") {`, '    from(components["java"])', '}']),
              ...within('repositories', kotlin),
            ]),
          ]),
          ...more,
        },
        run('Build and publish the project', 'gradle publish'),
      ],
    },
  };
}

function sbt({ key, url, origin, user }: Place): ClientSetup {
  const resolver = `(${quoted(key)} at ${quoted(url)})${isOpenToOthers(origin) ? '.withAllowInsecureProtocol(true)' : ''}`;
  return {
    id: 'sbt',
    name: 'sbt',
    steps: {
      'sign-in': [
        {
          title: 'Store the credentials',
          language: 'properties',
          file: '~/.sbt/.credentials',
          code: `realm=${REALM}\nhost=${propertiesValue(hostNameOf(origin))}\nuser=${propertiesValue(user)}\npassword=${SECRET}\n`,
        },
      ],
      configure: [
        {
          title: 'Resolve from this repository',
          language: 'scala',
          file: 'build.sbt',
          code: `credentials += Credentials(Path.userHome / ".sbt" / ".credentials")\nresolvers += ${resolver}\n`,
        },
      ],
      install: [
        {
          title: 'Depend on an artifact',
          language: 'scala',
          file: 'build.sbt',
          code: 'libraryDependencies += "GROUP_ID" % "PACKAGE_NAME" % "PACKAGE_VERSION"\n',
        },
      ],
      publish: [
        {
          title: 'Say where the project is published',
          language: 'scala',
          file: 'build.sbt',
          code: `publishTo := Some(${resolver})\n`,
        },
        run('Build and publish the project', 'sbt publish'),
      ],
    },
  };
}

function ivy({ key, url, origin, user, packageType }: Place): ClientSetup {
  const [name, address] = [escapeXml(key), escapeXml(url)];
  const layout = `${address}/[organisation]/[module]/[revision]`;
  // Modules with descriptors of Ivy, or artifacts as Maven has them.
  const resolver =
    packageType === 'ivy'
      ? [
          `    <url name="${name}" checkmodified="true">`,
          `      <ivy pattern="${layout}/ivys/ivy-[revision].xml"/>`,
          `      <artifact pattern="${layout}/[type]s/[artifact]-[revision].[ext]"/>`,
          '    </url>',
        ]
      : [`    <ibiblio name="${name}" m2compatible="true" root="${address}/"/>`];
  return {
    id: 'ivy',
    name: 'Ivy',
    steps: {
      configure: [
        {
          title: 'Resolve from this repository, and publish to it',
          language: 'xml',
          file: 'ivysettings.xml',
          code: [
            '<ivysettings>',
            `  <settings defaultResolver="${name}"/>`,
            `  <credentials host="${escapeXml(hostNameOf(origin))}" realm="${REALM}" username="${escapeXml(user)}" passwd="${SECRET}"/>`,
            '  <resolvers>',
            ...resolver,
            '  </resolvers>',
            '</ivysettings>',
            '',
          ].join('\n'),
        },
      ],
      install: [
        {
          title: 'Depend on a module',
          language: 'xml',
          file: 'ivy.xml',
          code: '<dependencies>\n  <dependency org="GROUP_ID" name="PACKAGE_NAME" rev="PACKAGE_VERSION"/>\n</dependencies>\n',
          note: 'Belongs in the element ivy-module.',
        },
        run(
          'Download a module',
          "java -jar ivy.jar -settings ivysettings.xml -dependency GROUP_ID PACKAGE_NAME PACKAGE_VERSION -retrieve 'lib/[artifact]-[revision].[ext]'",
        ),
      ],
      publish: [
        run(
          'Publish the module of ivy.xml',
          `java -jar ivy.jar -settings ivysettings.xml -ivy ivy.xml -publish ${key} -revision PACKAGE_VERSION -publishpattern '[artifact].[ext]'`,
        ),
      ],
    },
  };
}
