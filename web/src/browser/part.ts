/** Milliseconds after which a part that couldn't be loaded is tried again. */
const AGAIN_MS = 2_000;

/**
 * A part of the page that is loaded when it is wanted, however often that takes: the server may be
 * away. A browser remembers that a module failed, and the same module by another name is what it
 * asks for again. Rejects where the server no longer has it, as after an update; `failure.js` then
 * says so.
 */
export async function loadPart<Part>(part: () => Promise<Part>): Promise<Part> {
  try {
    return await part();
  } catch (error) {
    const [url] = /http\S+?\.js/.exec(`${error}`) ?? [];
    const gone = async () => url === undefined || (await fetch(url)).status === 404;
    if (await gone().catch(() => false)) {
      throw new Error('the server has another version of this page');
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    return loadPart(() => import(/* @vite-ignore */ `${url}?${Date.now()}`));
  }
}
