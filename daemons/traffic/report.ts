// What the daemon says of itself when it is asked for its status.

export interface Report {
  peers: number;
  /** Living ones that are counted. */
  flows: number;
  /** Events that the kernel dropped because the socket's buffer was full, since the ledger began. */
  drops: number;
  /** Flows that went without a last word, and an estimate of the bytes that are missing of them. */
  lostTail: { flows: number; bytes: number };
  /** So many flows at most were born and gone without ever being seen. */
  unseenAtMost: number;
  /** Runs that did not stop in order. */
  crashes: number;
  /** Living flows without counters. */
  uncounted: number;
  /** Living flows that hardware or a flow table forwards: their counters may stand still. */
  offloaded: number;
  lastDump: { at: number; tookMs: number; flows: number };
  /** Why living flows are not seen, or the ledger is not written. */
  dumpTrouble: string | null;
  stateTrouble: string | null;
  intervalMs: number;
  reliable: boolean;
}
