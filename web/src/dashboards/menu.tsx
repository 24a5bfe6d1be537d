import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Entry, list } from './model.ts';
import { freeName } from './names.ts';

/** No dashboard has this name. */
const NEW = '/new';

/** Goes from one dashboard to another. It has its place before it is known which there are. */
export function Menu({ name }: { name: string | null }) {
  const entries = useSignal<readonly Entry[]>([]);
  const writable = useSignal(false);
  useEffect(() => {
    // Without them there is still all that the service has.
    list(new URL(document.baseURI)).then(
      (found) => {
        entries.value = found.entries;
        writable.value = found.writable;
      },
      () => {},
    );
  }, []);
  const groups = [
    ['Yours', entries.value.filter(({ source }) => source !== 'shipped')],
    ['Come with pushsvc', entries.value.filter(({ source }) => source === 'shipped')],
  ] as const;
  return (
    <label class="menu">
      <span class="unseen">Dashboard</span>
      <select
        value={name ?? ''}
        onChange={({ currentTarget: { value } }) =>
          location.assign(
            value === ''
              ? './'
              : value === NEW
                ? `d/${freeName(
                    'dashboard',
                    entries.value.map((entry) => entry.name),
                  )}?edit`
                : `d/${encodeURIComponent(value)}`,
          )
        }
      >
        <option value="">All metrics</option>
        {name !== null && entries.value.every((entry) => entry.name !== name) && (
          <option value={name}>{name}</option>
        )}
        {groups.map(
          ([title, members]) =>
            members.length > 0 && (
              <optgroup key={title} label={title}>
                {members.map((entry) => (
                  <option key={entry.name} value={entry.name}>
                    {entry.title}
                  </option>
                ))}
              </optgroup>
            ),
        )}
        {writable.value && <option value={NEW}>New dashboard…</option>}
      </select>
    </label>
  );
}
