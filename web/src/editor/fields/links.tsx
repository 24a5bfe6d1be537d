import type { Link } from '../../panels/model.ts';

const MOST = 20;

interface LinksProps {
  readonly title: string;
  readonly links: readonly Link[];
  readonly onChange: (links: readonly Link[]) => void;
}

/** Where a panel leads, or its values do. */
export function Links({ title, links, onChange }: LinksProps) {
  const put = (index: number, fields: Partial<Link>): void =>
    onChange(links.map((one, at) => (at === index ? { ...one, ...fields } : one)));
  return (
    <fieldset class="thresholds variables whole">
      <legend>{title}</legend>
      {links.map((link, index) => (
        <fieldset key={index}>
          <legend class="unseen">Link {index + 1}</legend>
          <label>
            Called
            <input
              type="text"
              maxLength={200}
              required
              value={link.title}
              onInput={({ currentTarget }) => put(index, { title: currentTarget.value })}
            />
          </label>
          <label>
            Address
            <input
              type="text"
              maxLength={2000}
              required
              autocomplete="off"
              spellcheck={false}
              placeholder="https://example.org/hosts/{{host}}"
              value={link.url}
              onInput={({ currentTarget }) => {
                const { value } = currentTarget;
                const scheme = /^[^/?#:]*:/.exec(value.trim())?.[0];
                currentTarget.setCustomValidity(
                  scheme === undefined || /^https?:$/i.test(scheme)
                    ? ''
                    : 'http:, https:, or a path of this service',
                );
                put(index, { url: value });
              }}
            />
          </label>
          <button type="button" onClick={() => onChange(links.filter((_, one) => one !== index))}>
            Remove link {index + 1}
          </button>
        </fieldset>
      ))}
      {links.length < MOST && (
        <button type="button" onClick={() => onChange([...links, { title: '', url: '' }])}>
          Add a link
        </button>
      )}
    </fieldset>
  );
}
