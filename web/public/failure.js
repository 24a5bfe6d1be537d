// Whatever goes wrong in a script is said to the reader, with a way on: never a blank page, and
// never one that stands still without a word. Plain and on its own, so that it works when nothing
// else does.
(() => {
  /** How `part.ts` says that a part of the page is gone from the server. */
  const OTHER = 'another version of this page';
  /** Milliseconds: within the first a page that nobody attends to is loaded anew, once in the second. */
  const SOON = 30_000;
  const RARELY = 3_600_000;
  let shown = null;
  const say = (reason) => {
    if (shown !== null) {
      return;
    }
    const box = document.createElement('div');
    const words = document.createElement('p');
    const reload = document.createElement('button');
    const dismiss = document.createElement('button');
    box.id = 'failure';
    box.setAttribute('role', 'alert');
    // Written here, since a style sheet may be what is missing.
    box.style.cssText =
      'position:fixed;z-index:9;inset:auto 0 0;padding:.7rem 1rem;display:flex;flex-wrap:wrap;' +
      'gap:.7rem;align-items:center;background:#b3261e;color:#fff;font:1rem system-ui,sans-serif';
    words.style.cssText = 'margin:0;flex:1 1 20rem;overflow-wrap:anywhere';
    words.textContent = reason.endsWith(OTHER)
      ? 'The server has another version of this page by now. What is shown goes on; what is missing ' +
        'comes with the new one.'
      : `Something on this page failed: ${reason}. What is shown may be old.`;
    reload.textContent = 'Reload';
    reload.addEventListener('click', () => location.reload());
    dismiss.textContent = 'Go on';
    dismiss.addEventListener('click', () => {
      box.remove();
      shown = null;
    });
    for (const button of [reload, dismiss]) {
      button.type = 'button';
      button.style.cssText = 'font:inherit;padding:.3rem .8rem;color:#16202a;background:#fff';
    }
    box.append(words, reload, dismiss);
    document.body.append(box);
    shown = box;
  };
  const tell = (reason) => {
    if (document.body === null) {
      addEventListener('DOMContentLoaded', () => say(reason), { once: true });
    } else {
      say(reason);
    }
  };
  addEventListener(
    'error',
    (event) => {
      if (event.target instanceof HTMLScriptElement) {
        tell(`${event.target.src} could not be loaded`);
      } else if (event.target === window && !/^ResizeObserver loop/.test(event.message)) {
        // A size that changes while it is looked at is looked at again: nothing is lost.
        tell(event.message || 'a script ended with an error');
      }
    },
    true,
  );
  addEventListener('unhandledrejection', ({ reason }) => {
    const message = reason?.message ?? String(reason);
    tell(message);
    // In a kiosk there is nobody to press a button.
    if (message.endsWith(OTHER) && new URLSearchParams(location.search).has('kiosk')) {
      const last = Number(sessionStorage.getItem('pushsvc.anew') ?? 0);
      if (Date.now() - last > RARELY) {
        sessionStorage.setItem('pushsvc.anew', String(Date.now()));
        setTimeout(() => location.reload(), Math.random() * SOON);
      }
    }
  });
})();
