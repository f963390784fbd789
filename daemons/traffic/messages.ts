// What traffic says in the journal. Fields: LARES_DROPS, LARES_FLOWS.
import type { Message } from '../../lib/messages.ts';

export const messages = {
  stateLost: { id: '3e0f6a1c5b7d4f2a9c8e1d2b3a4f5061', level: 'error' },
  stateFailed: { id: '8c2d4e6f1a3b4c5d9e7f0a1b2c3d4e5f', level: 'error' },
  stateWorks: { id: '51a7c3e9d2b84f60a1e5c7d9b3f20846', level: 'notice' },
  crashed: { id: 'b7e1d94c2f6a4380952c1e7da4b8f306', level: 'warning' },
  rebooted: { id: '0d5f8b2e7c914a36bd48e1f6a72c9035', level: 'info' },
  dropped: { id: '94c6e20f1d7b4e8ab3a5f08c6d1e7249', level: 'warning' },
  lostTail: { id: 'e8a1b05d3c7f4629910d6e4bc5f28a73', level: 'warning' },
  noDumps: { id: '62f9d3a8b1e04c57a7c2e8d5904b1f6e', level: 'error' },
  dumpsAgain: { id: 'c40b7e95d8a2413fb6e19c05d7a38f24', level: 'notice' },
  garbage: { id: '7d3c1f8e5a9b4206ae4d7b90c2e6f158', level: 'warning' },
  uncounted: { id: 'f16e8d2b4c0a4753982bd7e1a5c3609e', level: 'warning' },
  resets: { id: '2b94e7c0d6f14a8ebc5f1908e3a7d462', level: 'warning' },
  clockStepped: { id: 'a5d0c8f37e2b4916bd03e6f7c1a8594b', level: 'notice' },
  madeRoom: { id: '39e7b1f4a6c84d05822fd0c9e5b7136a', level: 'info' },
  nameProblem: { id: 'd8f2a6e1c3b94705a90e4c7db1f5836e', level: 'warning' },
  textfileFailed: { id: '16c9e4b7f0d3428a8be57a2d9f1c6e03', level: 'error' },
  sinkLost: { id: '4fa0d7c2e9b64183bc15e7a0d8f3926b', level: 'warning' },
  sinkBack: { id: '85b3e6d1f7a94c20ad9c2e08f4b6715d', level: 'notice' },
  sinkOverdue: { id: 'ca7e05f9b2d84316a8f1c6d3e790b24a', level: 'error' },
  quotaReached: { id: '5e81c7a9f3d24b60941bd0e6a7f28c35', level: 'notice' },
  notifyFailed: { id: 'b02d96e4c8f14a7795e3a1d07c6f84b9', level: 'error' },
} as const satisfies Record<string, Message>;
