// The contract between the `lares` command and a daemon's folder: what `daemons/NOUN/commands.ts` exports. The command
// line itself is commander's; a verb writes through `Io` and says its exit code, so that tests run it in-process.
import type { Command } from 'commander';

export interface Io {
  out: (text: string) => void;
  err: (text: string) => void;
  stdout: NodeJS.WriteStream;
  /** The exit code of the process once all is done; 0 unless a verb says otherwise. */
  exit: (code: number) => void;
}

export type Health = 'ok' | 'note' | 'bad';

/** One line of `lares doctor`: `advice` says what to type. */
export interface Finding {
  health: Health;
  subject: string;
  text: string;
  advice?: string;
}

/** What `lares up` runs a daemon on: flags for it, and what a person may type to see it work. */
export interface Demo {
  flags: string[];
  hints: string[];
  /** Why it cannot run here, or not as this user. */
  lacking?: string | undefined;
}

export interface DaemonCommands {
  noun: string;
  summary: string;
  /** Its units; the first is the one that an admin enables. */
  units: string[];
  /** Adds the daemon's own verbs below `lares NOUN`. */
  register: (program: Command, io: Io) => void;
  /** Looks at what the daemon needs on this machine; `hasUnits`: systemd runs here and knows the daemon's units. */
  doctor: (hasUnits: boolean) => Finding[] | Promise<Finding[]>;
  /** Prepares scratch state in `folder` (exists, empty or from an earlier run). */
  demo: (folder: string) => Demo;
}
