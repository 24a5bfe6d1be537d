/** What `/client.js` offers: start with `connect`. */

export type { Client, ConnectOptions } from './client.ts';
export { connect } from './connect.ts';
export type { SeriesPoint, SeriesView } from './data/series.ts';
export {
  type EndedUpdate,
  type Ending,
  type FailingUpdate,
  type GapUpdate,
  type GoneUpdate,
  type PointsUpdate,
  SubscriptionError,
  type Update,
} from './data/update.ts';
export type { Timing } from './links/timing.ts';
export type { TransportName } from './links/transport.ts';
export type { Kind, Labels, Merge, Reasons, Value } from './protocol/documents.ts';
export type { TokenSource } from './stream/credentials.ts';
export type { Phase, Status } from './stream/status.ts';
export type { SubscribeOptions, Subscription } from './subscriptions/subscription.ts';
