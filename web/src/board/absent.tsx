import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Entry, list, Missing } from '../dashboards/model.ts';

/** Says why a dashboard can't be shown, and which ones can. */
export function Absent({ failure, name }: { failure: Error; name: string }) {
  const others = useSignal<readonly Entry[]>([]);
  const writable = useSignal(false);
  useEffect(() => {
    document.title = `No dashboard ${name} · pushsvc`;
    list(new URL(document.baseURI)).then(
      (found) => {
        others.value = found.entries;
        writable.value = found.writable;
      },
      () => {},
    );
  }, []);
  const path = (other: string): string => `d/${encodeURIComponent(other)}`;
  return (
    <section class="message">
      <h2>This dashboard can’t be shown</h2>
      <p role="alert">{failure.message.slice(0, 1).toUpperCase() + failure.message.slice(1)}.</p>
      <ul class="ways">
        <li>
          <a href="./">All metrics</a>
        </li>
        {others.value.map((entry) => (
          <li key={entry.name}>
            <a href={path(entry.name)}>{entry.title}</a>
          </li>
        ))}
        {failure instanceof Missing && writable.value && (
          <li>
            <a href={`${path(name)}?edit`}>Make a dashboard of this name</a>
          </li>
        )}
      </ul>
    </section>
  );
}
