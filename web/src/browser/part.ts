/** Milliseconds after which a part that couldn't be loaded is tried again. */
const AGAIN_MS = 2_000;

/**
 * A part of the page that is loaded when it is wanted, however often that takes: the server may be
 * away. Rejects where the server no longer has it, as after an update; `failure.js` then says so.
 */
export async function loadPart<Part>(part: () => Promise<Part>): Promise<Part> {
  for (let load = part; ; ) {
    try {
      return await load();
    } catch (error) {
      load = await anew(error);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** The same for who has plans of its own when to try again: each call is one try. */
export function triedPart<Part>(part: () => Promise<Part>): () => Promise<Part> {
  let load = part;
  return async () => {
    try {
      return await load();
    } catch (error) {
      load = await anew(error);
      throw new Error("the server can't be reached");
    }
  };
}

/** What to try after an error. Rejects where there is nothing. */
async function anew<Part>(error: unknown): Promise<() => Promise<Part>> {
  const [url] = /http\S+?\.js/.exec(`${error}`) ?? [];
  const gone = async () => url === undefined || (await fetch(url)).status === 404;
  if (await gone().catch(() => false)) {
    throw new Error('the server has another version of this page');
  }
  // A browser remembers that a module failed, and the same module by another name is what it asks
  // for again.
  return () => import(/* @vite-ignore */ `${url}?${Date.now()}`);
}
