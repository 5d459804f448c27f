/** Queries for everything else, and for what is shown, with the rows that answer them in the world of `search-world.ts`. */
import { hex } from './search-world.ts';

const date = (text: string) => new Date(text).toISOString();

/** Rows in any order. */
export const DOMAIN_QUERIES: readonly (readonly [query: string, rows: readonly object[]])[] = [
  // What is included with items.
  [
    'items.find({"name":"a1.jar"})',
    [
      {
        repo: 'libs',
        path: 'org/acme/1.0',
        name: 'a1.jar',
        type: 'file',
        size: 20,
        created: date('2024-01-02'),
        created_by: 'ann',
        modified: date('2024-07-02'),
        modified_by: 'ann',
        updated: date('2024-07-02'),
      },
    ],
  ],
  ['items.find({"name":"a1.jar"}).include("name","repo")', [{ name: 'a1.jar', repo: 'libs' }]],
  [
    'items.find({"name":"a1.jar"}).include("name","actual_sha1","actual_md5","sha256","original_sha1","depth")',
    [
      {
        name: 'a1.jar',
        actual_sha1: hex('sha1', 'a1.jar'),
        actual_md5: hex('md5', 'a1.jar'),
        sha256: hex('sha256', 'a1.jar'),
        original_sha1: hex('sha1', 'a1.jar'),
        depth: 4,
      },
    ],
  ],
  ['items.find({"name":"a1.pom"}).include("name","original_sha1")', [{ name: 'a1.pom' }]],
  [
    'items.find({"repo":"both","name":"a1.pom"}).include("name","virtual_repos")',
    [{ name: 'a1.pom', virtual_repos: ['both'] }],
  ],
  [
    'items.find({"name":{"$match":"a?.*"}}).include("name","property")',
    [
      {
        name: 'a1.jar',
        properties: [
          { key: 'build.name', value: 'b' },
          { key: 'build.number', value: '7' },
          { key: 'env', value: 'test' },
          { key: 'license', value: 'GPL-3' },
        ],
      },
      { name: 'a1.pom' },
      {
        name: 'a2.jar',
        properties: [
          { key: 'build.name', value: 'b' },
          { key: 'build.number', value: '8' },
          { key: 'license', value: 'GPL' },
          { key: 'license', value: 'MIT' },
        ],
      },
    ],
  ],
  [
    'items.find({"name":{"$match":"a?.*"}}).include("name","@license")',
    [
      { name: 'a1.jar', properties: [{ key: 'license', value: 'GPL-3' }] },
      { name: 'a1.pom' },
      {
        name: 'a2.jar',
        properties: [
          { key: 'license', value: 'GPL' },
          { key: 'license', value: 'MIT' },
        ],
      },
    ],
  ],
  [
    'items.find({"name":"m1.bin"}).include("name","property.key")',
    [{ name: 'm1.bin', properties: [{ key: 'version' }] }],
  ],
  [
    'items.find({"name":"m1.bin"}).include("name","property.*")',
    [{ name: 'm1.bin', properties: [{ key: 'version', value: '1' }] }],
  ],
  [
    'items.find({"$rf":[{"@license":"MIT"}]}).include("name","property")',
    [{ name: 'a2.jar', properties: [{ key: 'license', value: 'MIT' }] }],
  ],
  [
    'items.find({"name":{"$match":"a?.jar"}}).include("name","stat")',
    [
      { name: 'a1.jar', stats: [{ downloaded: date('2024-06-01'), downloads: 5, downloaded_by: 'ann' }] },
      { name: 'a2.jar', stats: [{ downloads: 0 }] },
    ],
  ],
  ['items.find({"name":"a1.jar"}).include("name","stat.downloads")', [{ name: 'a1.jar', stats: [{ downloads: 5 }] }]],
  [
    'items.find({"name":"a2.jar"}).include("name","archive.entry")',
    [
      {
        name: 'a2.jar',
        archives: [
          {
            entries: [
              { 'entry.name': 'MANIFEST.MF', 'entry.path': 'META-INF' },
              { 'entry.name': 'root.properties', 'entry.path': '.' },
            ],
          },
        ],
      },
    ],
  ],
  [
    'items.find({"name":"a1.jar"}).include("name","artifact.module.build.name")',
    [{ name: 'a1.jar', artifacts: [{ modules: [{ builds: [{ 'build.name': 'b' }] }] }] }],
  ],
  [
    'items.find({"name":"o1.jar"}).include("name","dependency","dependency.module.name")',
    [
      {
        name: 'o1.jar',
        dependencies: [
          {
            'dependency.name': 'o1.jar',
            'dependency.scope': 'compile,test',
            'dependency.type': 'jar',
            modules: [{ 'module.name': 'org.acme:a:1.0' }],
          },
        ],
      },
    ],
  ],
  [
    'items.find({"name":"a2.jar"}).include("name","artifact.module.build.@os")',
    [
      {
        name: 'a2.jar',
        artifacts: [
          {
            modules: [
              { builds: [{ 'build.properties': [{ 'build.property.key': 'os', 'build.property.value': 'mac' }] }] },
            ],
          },
        ],
      },
    ],
  ],
  // The other domains.
  ['properties.find({"key":"license"})', ['GPL-3', 'GPL', 'MIT', 'Apache'].map((value) => ({ key: 'license', value }))],
  ['properties.find({"property.value":"test"})', [{ key: 'env', value: 'test' }]],
  ['properties.find({"item.name":"m1.bin"})', [{ key: 'version', value: '1' }]],
  ['properties.find({"key":"env"}).include("value","item.name")', [{ value: 'test', items: [{ name: 'a1.jar' }] }]],
  ['stats.find({"downloads":{"$gt":5}}).include("downloads")', [{ downloads: 50 }]],
  [
    'stats.find({"item.repo":"libs"}).include("downloads").sort({"$asc":["downloads"]})',
    [{ downloads: 0 }, { downloads: 5 }],
  ],
  [
    'stats.find({"downloads":5}).include("downloads","item.name","item.repo")',
    [{ downloads: 5, items: [{ name: 'a1.jar', repo: 'libs' }] }],
  ],
  [
    'archives.find({"entry.name":"Logger.class"}).include("entry.name","item.name")',
    [
      {
        'archive.id': hex('sha256', 'a1.jar'),
        entries: [{ 'entry.name': 'Logger.class' }, { 'entry.name': 'MANIFEST.MF' }],
        items: [{ name: 'a1.jar' }],
      },
    ],
  ],
  ['archive.entries.find({"name":"Logger.class"})', [{ 'entry.name': 'Logger.class', 'entry.path': 'org/acme' }]],
  [
    'archive.entries.find({"archive.item.name":"a2.jar"}).include("name")',
    [{ 'entry.name': 'MANIFEST.MF' }, { 'entry.name': 'root.properties' }],
  ],
  [
    'builds.find({"name":"b"}).include("name","number","created").sort({"$desc":["created"]}).limit(1)',
    [{ 'build.name': 'b', 'build.number': '8', 'build.created': date('2024-03-01') }],
  ],
  [
    'builds.find({"build.number":"7"})',
    [
      {
        'build.url': 'http://ci/7',
        'build.name': 'b',
        'build.number': '7',
        'build.started': date('2024-02-01'),
        'build.created': date('2024-02-01'),
        'build.created_by': 'ci',
        'build.modified': date('2024-02-01'),
        'build.modified_by': 'ci',
      },
    ],
  ],
  [
    'builds.find({"started":{"$gt":"2024-03-15"}}).include("name","repo")',
    [{ 'build.name': 'team/c', 'build.repo': 'artifactory-build-info' }],
  ],
  ['builds.find({"@os":"linux"}).include("number")', [{ 'build.number': '7' }]],
  ['builds.find({"@os":{"$ne":"linux"}}).include("number")', [{ 'build.number': '8' }, { 'build.number': '1' }]],
  ['builds.find({"property.key":"os","property.value":"mac"}).include("number")', [{ 'build.number': '8' }]],
  ['builds.find({"promotion.status":"released"}).include("number")', [{ 'build.number': '7' }]],
  ['builds.find({"module.name":"c:main"}).include("name")', [{ 'build.name': 'team/c' }]],
  ['builds.find({"module.artifact.item.name":"a2.jar"}).include("number")', [{ 'build.number': '8' }]],
  ['builds.find({"module.artifact.item.repo":"apps"}).include("name")', [{ 'build.name': 'team/c' }]],
  [
    'builds.find({"number":"7"}).include("number","property","promotion.status","module.name")',
    [
      {
        'build.number': '7',
        'build.properties': [{ 'build.property.key': 'os', 'build.property.value': 'linux' }],
        'build.promotions': [{ 'build.promotion.status': 'released' }],
        modules: [{ 'module.name': 'org.acme:a:1.0' }],
      },
    ],
  ],
  ['build.properties.find({"value":"mac"})', [{ 'build.property.key': 'os', 'build.property.value': 'mac' }]],
  ['build.properties.find({"build.number":"7"}).include("value")', [{ 'build.property.value': 'linux' }]],
  [
    'build.promotions.find()',
    [
      {
        'build.promotion.created': date('2024-02-02'),
        'build.promotion.created_by': 'ann',
        'build.promotion.status': 'released',
        'build.promotion.repo': 'libs',
        'build.promotion.comment': 'ship',
        'build.promotion.user': 'ci',
      },
    ],
  ],
  ['build.promotions.find({"build.name":"team/c"})', []],
  [
    'modules.find({"name":{"$match":"org.acme:*"}})',
    [{ 'module.name': 'org.acme:a:1.0' }, { 'module.name': 'org.acme:a:1.1' }],
  ],
  [
    'modules.find({"@color":"red"}).include("name","build.number")',
    [{ 'module.name': 'org.acme:a:1.0', builds: [{ 'build.number': '7' }] }],
  ],
  [
    'module.properties.find({"module.build.name":"b"})',
    [{ 'module.property.key': 'color', 'module.property.value': 'red' }],
  ],
  ['artifacts.find({"name":"a2.jar"})', [{ 'artifact.name': 'a2.jar', 'artifact.type': 'jar' }]],
  ['artifacts.find({"module.build.number":"8"}).include("sha1")', [{ 'artifact.sha1': hex('sha1', 'a2.jar') }]],
  [
    'artifacts.find({"item.path":"."}).include("name","item.repo")',
    [{ 'artifact.name': 'App.zip', items: [{ repo: 'apps' }] }],
  ],
  [
    'dependencies.find({"scope":{"$match":"compile*"}})',
    [{ 'dependency.name': 'o1.jar', 'dependency.scope': 'compile,test', 'dependency.type': 'jar' }],
  ],
  ['releases.find({"name":"x"})', []],
  ['release_artifacts.find({"release.name":"x"}).include("path","item")', []],
];

/** What is no query, or asks for what there is not. */
export const REFUSED: readonly string[] = [
  'items.find(',
  'items.find({',
  'items.find({)',
  'items.find({"name":"a"}',
  'items.find({"name":"a"))',
  'items.find({"name"})',
  'items.find({"name":})',
  'items.find({name:"a"})',
  "items.find({'name':'a'})",
  'items.find({"name":"a",})',
  'items.find({"name":"a"},)',
  'items.find({"name":"a" "repo":"b"})',
  'items.find({"name":["a"]})',
  'items.find({"name":"a}) ',
  'items.find({"name":"\\x"})',
  'items.find()x',
  'items.find().x()',
  'items.find().delete()',
  'items.find().update()',
  'items',
  'items.delete()',
  'item.find()',
  'nothing.find()',
  'constructor.find()',
  '__proto__.find()',
  '\u0000',
  'items.find({"nothing":"a"})',
  'items.find({"__proto__":"a"})',
  'items.find({"constructor":"a"})',
  'items.find({"toString":"a"})',
  'items.find({"property.toString":"a"})',
  'items.find({"build.name":"a"})',
  'items.find({"@":"a"})',
  'items.find({"stat.@a":"a"})',
  'items.find({"repo_path_checksum":"a"})',
  'items.find({"$not":[{"name":"a"}]})',
  'items.find({"name":{"$not":"a"}})',
  'items.find({"name":{"$where":"1"}})',
  'items.find({"name":{"$regex":".*"}})',
  'items.find({"name":{"$in":["a"]}})',
  'items.find({"name":{"$contains":"a"}})',
  'items.find({"name":{"$last":"1d"}})',
  'items.find({"created":{"$last":"1 fortnight"}})',
  'items.find({"created":{"$match":"2024*"}})',
  'items.find({"created":"yesterday"})',
  'items.find({"created":"2024-02-31"})',
  'items.find({"size":"big"})',
  'items.find({"size":{"$match":"1*"}})',
  'items.find({"name":{"$gt":null}})',
  'items.find({"$and":{"name":"a"}})',
  'items.find({"$or":"a"})',
  'items.find().limit(-1)',
  'items.find().limit("x")',
  'items.find().limit(1.5)',
  'items.find().limit(1e30)',
  'items.find().limit()',
  'items.find().offset(-1)',
  'items.find().limit(1).limit(2)',
  'items.find().include("nothing")',
  'items.find().include("build")',
  'items.find().include(name)',
  'items.find().include("stat.@x")',
  'items.find().sort({"$asc":["nothing"]})',
  'items.find().sort({"$asc":["sha256"]})',
  'items.find().include("name").sort({"$asc":["size"]})',
  'items.find().include("name","property").sort({"$asc":["property.key"]})',
  'items.find().sort({"$asc":["name","name"]})',
  'items.find().sort({"$up":["name"]})',
  'items.find().sort({"$asc":[]})',
  'items.find().distinct(1)',
  'builds.find().transitive()',
];
