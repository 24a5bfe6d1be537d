/** A name that nothing else has: as wanted, or with a number behind it. */
export function freeName(wanted: string, others: Iterable<string>): string {
  const taken = new Set(others);
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.has(name)) {
      return name;
    }
  }
}
