let collator: Intl.Collator | undefined;

/** Sorts names with numbers as people do: load2 before load10. */
export function natural(a: string, b: string): number {
  // Created on first use: it takes a browser several milliseconds.
  collator ??= new Intl.Collator('en', { numeric: true });
  return collator.compare(a, b);
}
