// What all workers know of one endpoint: numbers in shared memory. Whoever has no shared memory, such as an endpoint that
// is gone from every table and still answers its last request, has the same cells for itself.

/** Int32 of one endpoint, before the cells of the workers. */
const Field = {
  FailuresInARow: 0,
  Level: 1,
  Ejections: 2,
  FailedCheck: 3,
  StatusesInARow: 4,
  BreaksInARow: 5,
  Cause: 6,
} as const;
export const sharedFields = 7;
/** Float64 of one endpoint. */
const Time = { Since: 0, TrialAt: 1, TrialEndsAt: 2 } as const;
export const timeFields = 3;

/** What an endpoint is ejected for. */
export const EjectionCause = {
  /** No connection, or none that brought the head of a response. */
  Failure: 0,
  /** Responses whose status says that the endpoint is in trouble. */
  Status: 1,
  /** Responses that broke off. */
  Break: 2,
} as const;
export type EjectionCause = (typeof EjectionCause)[keyof typeof EjectionCause];

type RunField = typeof Field.FailuresInARow | typeof Field.StatusesInARow | typeof Field.BreaksInARow;
const runs: Readonly<Record<EjectionCause, RunField>> = {
  [EjectionCause.Failure]: Field.FailuresInARow,
  [EjectionCause.Status]: Field.StatusesInARow,
  [EjectionCause.Break]: Field.BreaksInARow,
};

/** Times are on the scale of `systemClock`, which is the same in all threads. */
export class EndpointCells {
  readonly #counts: Int32Array;
  /**
   * Not atomic: there is no such access to doubles. An aligned store of eight bytes is one store on every processor that
   * Node runs on, and these times only say when the next trial is.
   */
  readonly #times: Float64Array;
  readonly #worker: number;
  readonly #changes: Int32Array;

  /** `counts`: `sharedFields`, then the active requests of each worker. `changes`: counts what `changed` announces. */
  constructor(counts: Int32Array, times: Float64Array, worker: number, changes: Int32Array) {
    this.#counts = counts;
    this.#times = times;
    this.#worker = worker;
    this.#changes = changes;
  }

  static local(changes: Int32Array = new Int32Array(1)): EndpointCells {
    return new EndpointCells(new Int32Array(sharedFields + 1), new Float64Array(timeFields), 0, changes);
  }

  /** The endpoint is ejected, or back, or the verdict on it is another one: who counts such endpoints counts again. */
  changed(): void {
    Atomics.add(this.#changes, 0, 1);
  }

  /** How many in a row there were of what a cause is about. */
  run(cause: EjectionCause): number {
    return Atomics.load(this.#counts, runs[cause]);
  }

  /** Returns how many there are in a row, this one included. */
  addToRun(cause: EjectionCause): number {
    return Atomics.add(this.#counts, runs[cause], 1) + 1;
  }

  endRun(cause: EjectionCause): void {
    Atomics.store(this.#counts, runs[cause], 0);
  }

  /** Of the last ejection. */
  get cause(): EjectionCause {
    // Only values of the type are stored.
    return Atomics.load(this.#counts, Field.Cause) as EjectionCause;
  }

  set cause(value: EjectionCause) {
    Atomics.store(this.#counts, Field.Cause, value);
  }

  /** Ejections without a success between them; 0: healthy. */
  get level(): number {
    return Atomics.load(this.#counts, Field.Level);
  }

  /** False: another worker was first. */
  changeLevel(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#counts, Field.Level, from, to) === from;
  }

  get ejections(): number {
    return Atomics.load(this.#counts, Field.Ejections);
  }

  addEjection(): void {
    Atomics.add(this.#counts, Field.Ejections, 1);
  }

  /** The verdict of a health check, whose cells are not those of its endpoint. False until there is one. */
  get failedCheck(): boolean {
    return Atomics.load(this.#counts, Field.FailedCheck) !== 0;
  }

  set failedCheck(value: boolean) {
    const now = value ? 1 : 0;
    if (Atomics.exchange(this.#counts, Field.FailedCheck, now) !== now) this.changed();
  }

  get sinceMs(): number {
    return this.#times[Time.Since] ?? 0;
  }

  set sinceMs(value: number) {
    this.#times[Time.Since] = value;
  }

  get trialAtMs(): number {
    return this.#times[Time.TrialAt] ?? 0;
  }

  set trialAtMs(value: number) {
    this.#times[Time.TrialAt] = value;
  }

  /** Until then a trial is under way; in the past: none. */
  get trialEndsAtMs(): number {
    return this.#times[Time.TrialEndsAt] ?? 0;
  }

  set trialEndsAtMs(value: number) {
    this.#times[Time.TrialEndsAt] = value;
  }

  /** Requests of this worker; of its own cell it is the only writer. */
  addActive(change: 1 | -1): void {
    const index = sharedFields + this.#worker;
    this.#counts[index] = (this.#counts[index] ?? 0) + change;
  }

  /** Requests that all workers have at the endpoint. */
  get active(): number {
    let total = 0;
    for (let i = sharedFields; i < this.#counts.length; i += 1) total += this.#counts[i] ?? 0;
    return total;
  }
}
