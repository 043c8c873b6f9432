// One list for all routes that have the same filters. Features that return one filter for equal configurations
// (ssl-redirect does) then cost a lookup among many hosts no memory that is not in the cache: to go from a route to the
// first of its own filters takes four dependent loads, 0.5-0.8 us with 1,000 hosts x 10 paths (bench/lookup.ts).
import type { Filter } from "../filter.ts";
import type { NamedFilter } from "./snapshot.ts";

/** One for each compilation. */
export class FilterLists {
  readonly #numbers = new Map<Filter, number>();
  readonly #lists = new Map<string, readonly NamedFilter[]>();

  /** An equal list that was given before, or `filters` itself. */
  share(filters: readonly NamedFilter[]): readonly NamedFilter[] {
    const key = filters.map(({ feature, filter }) => `${feature} ${this.#numberOf(filter)}`).join();
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    this.#lists.set(key, filters);
    return filters;
  }

  #numberOf(filter: Filter): number {
    const number = this.#numbers.get(filter) ?? this.#numbers.size;
    this.#numbers.set(filter, number);
    return number;
  }
}
