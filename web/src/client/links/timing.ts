/** Every interval of the client, in milliseconds. */
export interface Timing {
  /** How long a transport may try alone before the next one joins the race. */
  readonly headStart: number;
  /** How long a transport may take to deliver its first document. */
  readonly opening: number;
  /** A link that lived so long was no failure: the next attempt counts from the beginning. */
  readonly settled: number;
  /** How long a transport that did not work is passed over; doubles each time, up to an hour. */
  readonly demoted: number;
  /**
   * While SSE serves: after how long a WebSocket is tried again; doubles, up to `upgradeAtMost`.
   * SSE delivers as well, but messages to the server need a request each.
   */
  readonly upgrade: number;
  readonly upgradeAtMost: number;
  /**
   * While polls serve: after how long the others are tried again, each time. A try that hangs takes
   * `headStart` and `opening`, so that the next one begins at most 15 s after the network is good
   * again. Beside the polls themselves that costs little.
   */
  readonly upgradePolls: number;
  /** How long the transport that worked on a network goes first there. */
  readonly remembered: number;
  /** After being hidden for so long, a page asks for less. */
  readonly lowerAfter: number;
  /** After being hidden for so long, it disconnects; it resumes when it is shown again. */
  readonly letGoAfter: number;
  /** Between two measurements of the round trip. */
  readonly measure: number;
  /** A tab that shares a connection and hears nothing for so long asks whether the leader lives. */
  readonly leaderQuiet: number;
}

export const TIMING: Timing = {
  headStart: 1_000,
  opening: 5_000,
  settled: 5_000,
  demoted: 60_000,
  upgrade: 10_000,
  upgradeAtMost: 300_000,
  upgradePolls: 8_000,
  remembered: 3_600_000,
  lowerAfter: 10_000,
  letGoAfter: 300_000,
  measure: 30_000,
  leaderQuiet: 8_000,
};

/** The most that a doubling interval grows to. */
export const LONGEST = 3_600_000;

/** Updates a second that a hidden page asks for. */
export const HIDDEN_HZ = 1;

/** Seconds that a poll is held where there is no news. */
export const POLL_SECONDS = 25;
