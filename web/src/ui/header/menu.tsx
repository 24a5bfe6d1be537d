import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import { type Entry, list } from '../../dashboards/model.ts';
import { freeName } from '../../dashboards/names.ts';
import { ALL, MenuButton, type MenuProps } from './menu-button.tsx';

/**
 * Leads to other dashboards: a button that shows links, so that none is followed before it is
 * chosen, and each can be opened in another tab.
 */
export function Menu({ name, open }: MenuProps) {
  const entries = useSignal<readonly Entry[]>([]);
  const writable = useSignal(false);
  const root = useRef<HTMLElement>(null);
  const id = useId();
  useEffect(() => {
    // Without the list there is still the link to all metrics.
    list(new URL(document.baseURI)).then(
      (found) => {
        entries.value = found.entries;
        writable.value = found.writable;
      },
      () => {},
    );
  }, []);
  useEffect(() => {
    if (!open.value) {
      return;
    }
    const leave = (event: Event): void => {
      if (!root.current!.contains(event.target as Node)) {
        open.value = false;
      }
    };
    root.current!.querySelector<HTMLElement>('[aria-current]')?.focus();
    document.addEventListener('pointerdown', leave);
    document.addEventListener('focusin', leave);
    return () => {
      document.removeEventListener('pointerdown', leave);
      document.removeEventListener('focusin', leave);
    };
  }, [open.value]);
  const press = (event: KeyboardEvent): void => {
    const links = [...root.current!.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const { length } = links;
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? length - 1 : at - 1 + length,
      Home: 0,
      End: length - 1,
    };
    const next = steps[event.key];
    if (event.key === 'Escape' && open.value) {
      open.value = false;
      root.current!.querySelector('button')!.focus();
    } else if (next !== undefined && length > 0) {
      links[next % length]!.focus();
    } else if (next !== undefined && event.key.startsWith('Arrow')) {
      open.value = true;
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const names = entries.value.map((entry) => entry.name);
  const here = entries.value.find((entry) => entry.name === name);
  const groups = [
    ['Yours', entries.value.filter(({ source }) => source !== 'shipped')],
    ['Come with pushsvc', entries.value.filter(({ source }) => source === 'shipped')],
  ] as const;
  const link = (href: string, title: string, current = false) => (
    <li>
      <a href={href} aria-current={current ? 'page' : undefined}>
        {title}
      </a>
    </li>
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveElementInteractions: keys of what is in it.
    <nav ref={root} class="menu" aria-label="Dashboards" onKeyDown={press}>
      <MenuButton name={name} title={here?.title} open={open} list={id} />
      <div id={id} hidden={!open.value}>
        {open.value && (
          <>
            <ul>
              {link('./', ALL, name === null)}
              {name !== null && here === undefined && link(hrefOf(name), name, true)}
            </ul>
            {groups.map(
              ([title, members]) =>
                members.length > 0 && (
                  <section key={title} aria-label={title}>
                    <p>{title}</p>
                    <ul>
                      {members.map((entry) =>
                        link(hrefOf(entry.name), entry.title ?? entry.name, entry === here),
                      )}
                    </ul>
                  </section>
                ),
            )}
            <ul>
              {writable.value && link(`d/${freeName('dashboard', names)}?edit`, 'New dashboard…')}
              {link('clients', 'Who sends, who watches')}
            </ul>
          </>
        )}
      </div>
    </nav>
  );
}

function hrefOf(name: string): string {
  return `d/${encodeURIComponent(name)}`;
}
