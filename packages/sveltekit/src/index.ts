// Sessions that renew themselves, for SvelteKit: the server's side. The browser's is in `perennial-sveltekit/client`.

export { beforeGateway, type BeforeGatewayOptions } from './engine/before.js';
export { behindGateway, type BehindGatewayOptions } from './engine/behind.js';
export type { Answer, Engine, Entry, SignedIn, Stranger, Visitor } from './engine/engine.js';
export { EngineUnreachable } from './engine/engine.js';
export { perennial, type Perennial, type PerennialOptions } from './perennial.js';
export { protect } from './protect.js';
export type { Auth, Condition, DefaultSession, Renewed, Session, SessionInfo } from './types.js';
