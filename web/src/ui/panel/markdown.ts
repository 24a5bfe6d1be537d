/** Markdown of strangers as elements that can do no harm. */

import DOMPurify from 'dompurify';
import { Marked } from 'marked';
import { printableLines } from '../strangers.ts';

/** Looks: they go in any case, but the page's policy reports them where they are read at all. */
const LOOKS = /\sstyle\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]*)/gi;
const SHEET = /(<\/?)style\b/gi;

const markdown = new Marked({
  breaks: true,
  // A box that nobody can tick needs no field, which would need a label.
  renderer: {
    checkbox: ({ checked }) => (checked ? '[x] ' : '[ ] '),
    html: ({ text }) => text.replace(LOOKS, '').replace(SHEET, '$1template'),
  },
});

/** What text is made of: nothing that loads, moves, asks, or has looks of its own. */
const TAGS =
  'a b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul';
const ATTRIBUTES = 'align alt colspan href open rowspan src start title';

/** The deepest heading that there is. */
const DEEPEST = 6;

/**
 * The elements of a text in Markdown, with the HTML in it as far as it is harmless. Its headings
 * begin at `level`, and none is more than one below the one before. Pictures are shown that the page
 * may load: of others there is a link.
 */
export function rendered(text: string, level: number): DocumentFragment {
  const fragment = DOMPurify.sanitize(markdown.parse(text, { async: false }), {
    ALLOWED_TAGS: TAGS.split(' '),
    ALLOWED_ATTR: ATTRIBUTES.split(' '),
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  arrangeHeadings(fragment, level);
  for (const image of fragment.querySelectorAll('img')) {
    showOrName(image);
  }
  for (const link of fragment.querySelectorAll('a')) {
    leadOut(link);
  }
  const texts = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    if (node instanceof Text) {
      node.data = printableLines(node.data.replaceAll('\t', '    '));
    } else if (node instanceof Element) {
      for (const name of ['title', 'alt']) {
        const said = node.getAttribute(name);
        if (said !== null) {
          node.setAttribute(name, printableLines(said));
        }
      }
    }
  }
  return fragment;
}

function arrangeHeadings(fragment: DocumentFragment, level: number): void {
  let before = level - 1;
  for (const heading of fragment.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    if (heading.textContent?.trim() === '') {
      heading.remove();
      continue;
    }
    const depth = Number(heading.tagName.slice(1)) - 1;
    before = Math.min(level + depth, before + 1, DEEPEST);
    const placed = document.createElement(`h${before}`);
    placed.append(...heading.childNodes);
    heading.replaceWith(placed);
  }
}

/** Show a picture if the page's Content-Security-Policy lets it; else have a link lead to it. */
function showOrName(image: HTMLImageElement): void {
  const url = urlOf(image.getAttribute('src'));
  if (url?.protocol === 'data:' || url?.origin === location.origin) {
    image.alt ||= '';
    image.loading = 'lazy';
    return;
  }
  const name = image.alt || url?.href || 'a picture';
  const linked = url !== null && image.closest('a') === null;
  const instead = document.createElement(linked ? 'a' : 'span');
  instead.textContent = `${name} (a picture, not shown here)`;
  if (instead instanceof HTMLAnchorElement) {
    instead.href = url!.href;
  }
  image.replaceWith(instead);
}

/** Who follows a link to another site leaves this page open, and isn't told there of it. */
function leadOut(link: HTMLAnchorElement): void {
  const url = urlOf(link.getAttribute('href'));
  if (url === null || link.getAttribute('href')!.startsWith('#')) {
    link.removeAttribute('href'); // places in a text have no names
  } else if (url.origin !== location.origin) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
}

function urlOf(reference: string | null): URL | null {
  return reference === null || !URL.canParse(reference, document.baseURI)
    ? null
    : new URL(reference, document.baseURI);
}
