/**
 * Control characters, direction marks (UAX 9), unusual line separators and lone surrogates: the
 * same that the service escapes on terminals.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is for these characters.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]|\p{Cs}/gu;

/**
 * Text of strangers made safe to show: characters that change the order or place of other text are
 * escaped.
 */
export function printable(text: string): string {
  return text.replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
