/** The page about what each setting does here, made from the tables of fields and sections. Run this file to print it. */
import { configurationSections } from './configuration-sections.ts';
import { FIELDS, type SettingField } from './fields.ts';

const HEAD = `# Compatibility of settings

<!-- Made by server/src/repositories/compatibility.ts; change the tables instead. -->

Every field that Artifactory has for repositories is taken, kept and shown as it was set, so that tools find again what they wrote. Many change nothing on this server yet: their last column is empty.

## Fields of repositories

| field | classes | default | what it does here |
| --- | --- | --- | --- |
`;

const REPOSITORY_NOTES = `
- Fields that a class does not have, and fields that nobody knows, are dropped. Switches and numbers may be sent as text; choices in any case.
- A field that an update leaves out, or sends as null, stays as it is. Class, package type and key never change; a local repository can become federated (\`POST api/federation/migrate/{key}\`).
- Secrets (\`password\`, values of \`customHttpHeaders\` that are \`sensitive\`, \`accessToken\` of \`members\`) are kept encrypted and shown as \`********\`. Sent back, the mask keeps them; when \`url\` moves to another host or port, the password and sensitive headers are removed unless new ones are sent.
- Names of key pairs (\`primaryKeyPairRef\`, \`secondaryKeyPairRef\`, \`keyPair\`) must be those of pairs there are; a pair that a repository names cannot be deleted. Nothing is signed with them yet.
- \`?pos=\` is accepted; lists are ordered by key.
- Federated repositories work as local ones.
- What a remote repository \`R\` holds is found as \`R-cache\`, which has the rights of \`R\`, is in no list of repositories, and takes no deploys. No repository can have a key that is the cache of another.
- Deleting a repository takes it out of the virtual repositories that have it as a member.
- A repository key begins with a letter. Keys that begin with a digit are refused.

## Sections of the configuration descriptor

\`PATCH api/system/configuration\` takes YAML with these sections and the lists \`localRepositories\`, \`remoteRepositories\`, \`virtualRepositories\` and \`federatedRepositories\`. Any other section is refused with a sentence. An \`If-Match\` header with the descriptor's \`ETag\` has the change refused (409) when somebody else was first. Replacing the whole descriptor with \`POST\` is refused.

All parts of a request are checked before any is changed. Then repositories are created together, changed together and deleted one by one, and the sections are stored last; a request that is cut between these steps can be sent again.

| section | default | what it does here |
| --- | --- | --- |
`;

/** The whole page, as Markdown. */
export function renderCompatibility(): string {
  const fields = FIELDS.map((field) =>
    row(`\`${field.name}\``, field.classes.join(', '), defaultOf(field), effectOf(field)),
  );
  const sections = configurationSections().map(({ name, fallback, effect }) =>
    row(`\`${name}\``, fallback === undefined ? '' : `\`${JSON.stringify(fallback)}\``, effect ?? ''),
  );
  return `${HEAD}${fields.join('')}${REPOSITORY_NOTES}${sections.join('')}`;
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
}

function effectOf({ effect, secret }: SettingField): string {
  return effect ?? (secret ? 'kept encrypted' : '');
}

/** For a generic repository; package types differ in a few. */
function defaultOf(field: SettingField): string {
  const fallback = field.fallback('generic', { rclass: field.classes[0] });
  if (fallback === undefined) return 'absent';
  return fallback === '' ? 'empty' : `\`${JSON.stringify(fallback)}\``;
}

if (import.meta.main) process.stdout.write(renderCompatibility());
