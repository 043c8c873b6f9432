// How long to wait after failures in a row: twice as long each time, less a random part so that many do not come at once.

export const backOffFirstMs = 200;
export const backOffMaxMs = 30_000;

/** `failures`: 1 after the first. Between half of the time and all of it. */
export function backOffMs(failures: number, random: () => number): number {
  const full = Math.min(backOffMaxMs, backOffFirstMs * 2 ** Math.min(failures - 1, 20));
  return full * (0.5 + random() / 2);
}
