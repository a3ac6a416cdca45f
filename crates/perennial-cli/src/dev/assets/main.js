// Starts the page: one stream of changes from the server, one module per part that shows them.

import { announce } from './announce.js';
import { showAction, startActions } from './actions.js';
import { startClock } from './clock.js';
import { startHeartbeat } from './heartbeat.js';
import { addLine, showLines, startLog } from './log.js';
import { showProvider } from './provider.js';
import { showSession, tickSession } from './session.js';
import { showBead, showBeads, startStrand } from './strand.js';
import { connect } from './stream.js';
import { showTick, showTicks } from './spark.js';

const shows = {
  action: showAction,
  bead(bead) {
    showBead(bead);
    announce(bead.label);
  },
  line: addLine,
  provider: showProvider,
  session: showSession,
  snapshot(all) {
    if (all.session) showSession(all.session);
    showBeads(all.beads);
    showLines(all.lines);
    showProvider(all.provider);
    all.actions.forEach(showAction);
    showTicks(all.ticks);
  },
  tick: showTick,
};

startStrand();
startLog();
startActions();
startClock(tickSession);
connect('/demo/api/events', shows);
startHeartbeat('/demo/me');
