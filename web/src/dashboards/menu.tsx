import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Entry, list } from './model.ts';

/** Goes from one dashboard to another; nothing where there is none. */
export function Menu({ name }: { name: string | null }) {
  const entries = useSignal<readonly Entry[]>([]);
  useEffect(() => {
    // Without them there is still all that the service has.
    list(new URL('/', location.href)).then(
      (found) => {
        entries.value = found;
      },
      () => {},
    );
  }, []);
  if (entries.value.length === 0 && name === null) {
    return null;
  }
  return (
    <label class="theme">
      <span class="unseen">Dashboard</span>
      <select
        value={name ?? ''}
        onChange={({ currentTarget: { value } }) =>
          location.assign(value === '' ? '/' : `/d/${encodeURIComponent(value)}`)
        }
      >
        <option value="">All metrics</option>
        {entries.value.map((entry) => (
          <option key={entry.name} value={entry.name}>
            {entry.title}
          </option>
        ))}
      </select>
    </label>
  );
}
