import { useState } from 'preact/hooks';
import type { Dashboard } from '../state/dashboard.ts';
import WAYS from './ways.json' with { type: 'json' };

/** Says why there is no panel, and what to do about it. */
export function Nothing({ dashboard }: { dashboard: Dashboard }) {
  const { filter, panels } = dashboard;
  return panels.value.length === 0 ? (
    <EmptyState />
  ) : (
    <section class="message">
      <h3>No panel matches “{filter.value}”</h3>
      <p>
        The filter looks for words in metric names, help texts and labels, or takes a selector such
        as <code>{'{host=~"web.*"}'}</code>. An expression in PromQL is one with a parenthesis, such
        as <code>sum(up)</code>, with an operator between blanks, or with <code>=</code> before it.
      </p>
      <button type="button" onClick={() => (filter.value = `=${filter.value}`)}>
        Ask it in PromQL
      </button>{' '}
      <button type="button" onClick={() => (filter.value = '')}>
        Show all {panels.value.length} panels
      </button>
    </section>
  );
}

/** Shown while connected without a publisher: tells how to publish the first sample. */
function EmptyState() {
  const [chosen, choose] = useState(0);
  const way = WAYS[chosen]!;
  const here = new URL('.', document.baseURI).href.replace(/\/$/, '');
  return (
    <section class="message">
      <h3>No series yet</h3>
      <p>The server is up and this page is connected. Nobody has published a sample so far.</p>
      <fieldset class="sending">
        <legend class="unseen">Send with</legend>
        {WAYS.map(({ name }, at) => (
          <label key={name}>
            <input type="radio" name="way" checked={at === chosen} onChange={() => choose(at)} />{' '}
            {name}
          </label>
        ))}
      </fieldset>
      <p>{way.lead}</p>
      <Command text={way.text.replaceAll('{url}', here)} key={way.name} />
      <p>
        Where the service asks for a token: <code>{way.token}</code>.
      </p>
      <p>
        Something was sent, and isn’t here? <a href="clients">Who sends, and what was refused</a> is
        listed. For this machine’s own CPU, memory, disks and network, start the server with{' '}
        <code>pushsvc demo</code>.
      </p>
    </section>
  );
}

function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  // Browsers offer the clipboard only to secure origins; elsewhere the text can be selected.
  const clipboard = navigator.clipboard as Clipboard | undefined;
  const copy = async (): Promise<void> => {
    await clipboard?.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div class="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable */}
      <pre tabIndex={0}>{text}</pre>
      {clipboard && (
        <button type="button" onClick={() => void copy()}>
          {copied ? 'Copied' : 'Copy'}
        </button>
      )}
    </div>
  );
}
