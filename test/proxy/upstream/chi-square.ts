// Pearson's test of whether counts are what shares promise.

/** Above it the counts would come up by chance once in a thousand times (Wilson and Hilferty's approximation). */
function criticalValue(degrees: number): number {
  const spread = 2 / (9 * degrees);
  return degrees * (1 - spread + 3.09 * Math.sqrt(spread)) ** 3;
}

/** At most 1 when the counts fit the shares; how far they are off otherwise. */
export function misfit(counts: readonly number[], shares: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const shareTotal = shares.reduce((sum, share) => sum + share, 0);
  let statistic = 0;
  for (const [index, share] of shares.entries()) {
    const expected = (total * share) / shareTotal;
    statistic += ((counts[index] ?? 0) - expected) ** 2 / expected;
  }
  return statistic / criticalValue(shares.length - 1);
}
