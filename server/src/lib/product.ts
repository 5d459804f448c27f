/** What this program is called, and which release of it this is. */
export const PRODUCT = { name: 'Entrepot', version: '0.1.0' } as const;

/** The release of Artifactory whose behaviour clients may expect; they compare it with what they need. */
export const COMPATIBLE_VERSION = '7.161.15';
export const COMPATIBLE_REVISION = '86115900';
