/** What `/client.js` offers: start with `connect`. */

export { type Client, type ConnectOptions, connect } from './client.ts';
export type { TokenSource } from './credentials.ts';
export type { Kind, Labels, Merge, Value } from './protocol.ts';
export type { SeriesPoint, SeriesView } from './series.ts';
export type { Phase, Status } from './status.ts';
export type { SubscribeOptions, Subscription } from './subscription.ts';
export type { Timing } from './timing.ts';
export type { TransportName } from './transport.ts';
export {
  type EndedUpdate,
  type Ending,
  type GapUpdate,
  type GoneUpdate,
  type PointsUpdate,
  SubscriptionError,
  type Update,
} from './update.ts';
