// What the receiver says in the journal. Fields: LARES_KEY_ID, LARES_SOURCE, LARES_REASON, LARES_NAME.
import type { Message } from '../../lib/messages.ts';

export const messages = {
  updated: { id: 'a9d2327100c640beb28d3a952307bbfc', level: 'info' },
  seen: { id: '68094f58b0ba480f9afd3996eab30994', level: 'debug' },
  refused: { id: '685eba3bcc694fe2a3ce7b97d297ee03', level: 'info' },
  refusedMore: { id: '14c1b1130f414280b0460b7571ad3c0d', level: 'info' },
  zoneProblem: { id: 'f54dd3c58ca548238b54884188926541', level: 'warning' },
  zoneRead: { id: '3a2baa79c458416189125118f4c5379c', level: 'info' },
  zoneUnreadable: { id: 'f535ce09b84d46d9a01c08552376e8cb', level: 'error' },
  zoneUnwritable: { id: 'aefcc0238b0d464093e0399b6f457a39', level: 'error' },
  zoneConflict: { id: '3037af9e2c364658ad7341ca286a48f2', level: 'notice' },
  zoneLeftover: { id: 'b9f82ebb802841d5bd2ad6095afd0319', level: 'warning' },
  watchLost: { id: 'a964d5904ec147269c5d0bbb92f49891', level: 'warning' },
  stateLost: { id: '06c891e6eebd4b7591f0c73432f17885', level: 'warning' },
  stateFailed: { id: '8d916815ab36420ebe383c840cd85a1d', level: 'error' },
  spoolFailed: { id: 'c2a7e6d4918b4f0fb3d5a06e7c41f982', level: 'error' },
  published: { id: '4107251701294e8cbaaab6d30fc029c3', level: 'info' },
  publishFailed: { id: '2e825dd3893345678e083e27a2df34e2', level: 'warning' },
  publishOutput: { id: 'f176612894c34f93bbbf2ec301d19b4c', level: 'info' },
} as const satisfies Record<string, Message>;
