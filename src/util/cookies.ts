// Reading the Cookie field (RFC 6265, 5.4).

/** The value of the first cookie of that name, without blanks around it; names are case-sensitive. */
export function cookieValue(field: string, name: string): string | undefined {
  let start = 0;
  while (start < field.length) {
    const semicolon = field.indexOf(";", start);
    const end = semicolon < 0 ? field.length : semicolon;
    const equals = field.indexOf("=", start);
    if (equals >= 0 && equals < end && field.slice(start, equals).trim() === name) {
      return field.slice(equals + 1, end).trim();
    }
    start = end + 1;
  }
  return undefined;
}
