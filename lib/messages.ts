// What a daemon can say, declared once: a MESSAGE_ID (sd-id128) and a level a message. Ids are an interface: they never
// change their meaning, and the journal's catalogue explains each.

export type Level = 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical';

export interface Message {
  /** 32 lower-case hex digits. */
  id: string;
  level: Level;
}

/** Journal fields beside MESSAGE; names in upper case as the journal wants them. */
export type Fields = Record<Uppercase<string>, string | number | undefined>;

export interface Log {
  say: (message: Message, text: string, fields?: Fields) => void;
}

/** The messages that every daemon has, said by lib/daemon.ts. */
export const commonMessages = {
  ready: { id: 'aab2514218b946999a9735aa2792332c', level: 'notice' },
  stopped: { id: '17b2fc03ba9148aeabc641c0230d5c09', level: 'notice' },
  reloaded: { id: '74667fdc58734857bfa25c3da9c58434', level: 'notice' },
  notReloaded: { id: 'c9f25ae4b89240d097dae5123a7c3be4', level: 'error' },
  configProblem: { id: '7691e6d48cf94692ab4060a02550cea6', level: 'warning' },
  unknownFd: { id: '4e590f648fdf44468205c1a980ecd364', level: 'warning' },
  dropped: { id: '705441e7926341f5aa6421147f4d594b', level: 'warning' },
  degraded: { id: 'b6d0f8c1a4e94b1f8b6c0d7c2f5e9a31', level: 'error' },
  unwell: { id: '5f1c7b0e9d3a4c62a8e4b7d6013c9f58', level: 'error' },
  failed: { id: 'd7082682804c4f14a0f820a25571522f', level: 'critical' },
} as const satisfies Record<string, Message>;
