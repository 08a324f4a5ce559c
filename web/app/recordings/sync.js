/** Keeps the video of one party beside that of the other. Pure. */

/** Milliseconds between two looks. */
export const SYNC_PERIOD = 200;
/** Seconds beyond which the follower jumps: to catch up by its rate would take longer than a viewer waits. */
const JUMP = 0.5;
/** Seconds that are not heard: within them, the rate is left alone. */
const UNHEARD = 0.02;
/** The most by which the rate may differ: browsers keep the pitch, and a tenth is hardly noticed. */
const MOST = 0.1;

/**
 * @param {number} lead seconds by which the follower is ahead of the master
 * @param {number} rate of the master
 * @returns {{jump: boolean, rate: number}} whether the follower is to be put where the master is, and how fast it is to play
 */
export function correction(lead, rate) {
  const far = Math.abs(lead);
  if (far > JUMP) return { jump: true, rate };
  if (far <= UNHEARD) return { jump: false, rate };
  return { jump: false, rate: rate * (1 - Math.sign(lead) * Math.min(far, MOST)) };
}
