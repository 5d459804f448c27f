/** Media types by file name, as the content plane stores and reports them; what a client says is not asked. */

/** Each type with the endings of the names it stands for. */
const ENDINGS: Readonly<Record<string, string>> = {
  'application/java-archive': 'jar war ear sar har hpi jpi',
  'application/x-maven-pom+xml': 'pom',
  'application/xml': 'xml xsl xslt',
  'application/x-ivy+xml': 'ivy',
  'application/x-nuspec+xml': 'nuspec',
  'application/json': 'json',
  'text/plain': 'txt properties mf asc log yml yaml md',
  'text/html': 'html htm',
  'text/css': 'css',
  'text/csv': 'csv',
  'application/xml-schema': 'xsd',
  'application/xml-dtd': 'dtd',
  'text/x-python': 'py',
  'text/x-java-source': 'java',
  'text/x-groovy-source': 'groovy gradle',
  'text/x-script.sh': 'sh',
  'text/x-ruby-source': 'rb',
  'application/javascript': 'js mjs',
  'application/zip': 'zip whl',
  'application/x-gzip': 'tgz gz',
  'application/x-bzip2': 'bz2 tbz2',
  'application/x-xz': 'xz',
  'application/zstd': 'zst',
  'application/x-7z-compressed': '7z',
  'application/x-tar': 'tar',
  'application/x-rpm': 'rpm',
  'application/x-debian-package': 'deb',
  'application/x-nupkg': 'nupkg',
  'application/x-conda': 'conda',
  'application/x-rubygems': 'gem',
  'application/x-ruby-marshal': 'rz',
  'application/vnd.android.package-archive': 'apk',
  'application/x-vagrant-box': 'box',
  'application/json+info': 'info',
  'text/plain+mod': 'mod',
  'application/x-checksum': 'sha1 sha256 md5',
  'application/x-iso9660-image': 'iso',
  'application/wasm': 'wasm',
  'application/pdf': 'pdf',
  'image/png': 'png',
  'image/jpeg': 'jpg jpeg',
  'image/gif': 'gif',
  'image/svg+xml': 'svg',
  'image/webp': 'webp',
};

const BY_ENDING = new Map(
  Object.entries(ENDINGS).flatMap(([type, endings]) => endings.split(' ').map((ending) => [ending, type] as const)),
);

/** The media type that the name of a file stands for. */
export function mediaTypeOf(path: string): string {
  const dot = path.lastIndexOf('.');
  const ending = dot > path.lastIndexOf('/') ? path.slice(dot + 1).toLowerCase() : '';
  return BY_ENDING.get(ending) ?? 'application/octet-stream';
}
