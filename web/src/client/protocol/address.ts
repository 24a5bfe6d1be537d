const STREAM = /\/v1\/stream\/?$/;

/** The stream of the service at a URL, which may be the stream's own. */
export function streamAt(url: string | URL): URL {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  const whole = new URL(url, base);
  whole.search = '';
  whole.hash = '';
  if (STREAM.test(whole.pathname)) {
    whole.pathname = whole.pathname.replace(/\/$/, '');
    return whole;
  }
  whole.pathname = whole.pathname.replace(/\/?$/, '/');
  return new URL('v1/stream', whole);
}
