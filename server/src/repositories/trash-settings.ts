/** Whether what is deleted is kept, and how long: what the configuration file says, and what an administrator set since. */
import type { Config } from '../config/load.ts';
import type { SystemConfiguration } from './system-configuration.ts';

export interface TrashSettings {
  readonly enabled: boolean;
  readonly retentionDays: number;
}

/** What the configuration file says of the trash can, as the descriptor has it. */
export function trashcanOf(trash: Config['trash']) {
  return { enabled: trash.enabled, allowPermDeletes: false, retentionPeriodDays: trash.retentionDays };
}

/** Those in force, which an administrator can change while the server runs. */
export function trashSettings(configuration: SystemConfiguration): TrashSettings {
  const now = () => configuration.section('trashcanConfig') as ReturnType<typeof trashcanOf>;
  return {
    get enabled() {
      return now().enabled;
    },
    get retentionDays() {
      return now().retentionPeriodDays;
    },
  };
}
