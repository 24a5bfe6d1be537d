import { read } from '../client/selector.ts';
import type { Panel } from '../store/panel.ts';

/**
 * Panels in which every word is found: in the name, the help, or a label. A selector finds those
 * with a series that it means.
 */
export function matching(panels: readonly Panel[], filter: string): readonly Panel[] {
  const means = filter.includes('{') ? read(filter) : null;
  if (means !== null) {
    return panels.filter(({ members }) =>
      members.some(({ series }) => means(series.name, series.labels)),
    );
  }
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return panels;
  }
  return panels.filter((panel) => {
    const text = [
      panel.name,
      panel.help,
      ...panel.members.flatMap(({ series }) =>
        Object.entries(series.labels).map(([name, value]) => `${name}=${value}`),
      ),
    ]
      .join('\n')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
