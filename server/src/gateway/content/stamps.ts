/** Headers with which an administrator brings files from another server: when and by whom they were made and changed. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '../../core/principal.ts';
import type { Stamps } from '../../core/repository.ts';

const USER_NAME = /^[\x21-\x7e]{1,255}$/;
/** The end of the year 9999, after which dates need more digits than clients read. */
const MAX_TIME = Date.UTC(10_000, 0, 1) - 1;

/** What the headers say, where the caller may say so; what cannot be understood is as if it were not there. */
export function stampsOf(headers: IncomingHttpHeaders, principal: Principal): Stamps | undefined {
  if (principal.kind !== 'user' || !principal.admin || principal.scope) return undefined;
  const createdAt = timeOf(headers['x-artifactory-created']);
  const createdBy = nameIn(headers['x-artifactory-created-by']);
  const modifiedAt = timeOf(headers['x-artifactory-last-modified']);
  const modifiedBy = nameIn(headers['x-artifactory-modified-by']);
  const stamps: Stamps = {
    ...(createdAt && { createdAt }),
    ...(createdBy !== undefined && { createdBy }),
    ...(modifiedAt && { modifiedAt }),
    ...(modifiedBy !== undefined && { modifiedBy }),
  };
  return Object.keys(stamps).length === 0 ? undefined : stamps;
}

/** Milliseconds since 1970, or a date in the form of the REST API. */
function timeOf(value: string | string[] | undefined): Date | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  const time = /^\d{1,15}$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  return time >= 0 && time <= MAX_TIME ? new Date(time) : undefined;
}

function nameIn(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && USER_NAME.test(value) ? value : undefined;
}
