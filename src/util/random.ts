// Randomness that decides nothing of security: shares of traffic, starting points.

/** Uniform in [0, 1). */
export const systemRandom: () => number = Math.random;
