/** Names under which this and other repository managers keep data of their own: nothing of a user's may lie there. */

const CONTROL_NAME = /(^|\/)(\.trash|\.nexus|\.entrepot|_uploads)(\/|$)/i;

/** Whether a segment of the path is such a name, also as file systems and people read it. */
export function hasControlName(path: string): boolean {
  return CONTROL_NAME.test(path.normalize('NFKC').replace(/[ .]+(?=\/|$)/g, ''));
}
