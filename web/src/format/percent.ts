/**
 * Decodes a name in an address for display. Unlike decodeURIComponent it accepts any text, like
 * `/d/100%`. Names contain no + and no &, which have other meanings here.
 */
export function decoded(name: string): string {
  return new URLSearchParams(`=${name}`).get('')!;
}
