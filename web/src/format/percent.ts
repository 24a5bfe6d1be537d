/**
 * A name in an address, as it reads. Unlike decodeURIComponent this takes any text, as `/d/100%`:
 * names have no + and no &, which would mean something else here.
 */
export function decoded(name: string): string {
  return new URLSearchParams(`=${name}`).get('')!;
}
