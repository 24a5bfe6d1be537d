import './words.css';
import type { Panel } from '../../panels/model.ts';
import { queriesOf } from '../../panels/selection.ts';
import type { Dashboard } from '../../state/dashboard.ts';
import { later } from '../later.tsx';
import { Absence } from './remarks.tsx';

/** Markdown is read by libraries that only panels of text need. */
const Prose = later(
  () => import('./prose.tsx'),
  ({ Prose }) => Prose,
);

/** A panel without series: one of text, or one whose series aren't there yet. */
export function Words({ panel, dashboard }: { panel: Panel; dashboard: Dashboard }) {
  const { kind, title, text } = panel;
  if (kind === 'text' || kind === 'row') {
    return (
      <article
        class={text === undefined ? 'panel words heading' : 'panel words'}
        aria-label={title}
      >
        {title && <h3 class="human">{title}</h3>}
        {text && <Prose text={text} level={title ? 4 : 3} />}
      </article>
    );
  }
  const asked = queriesOf(panel).map(({ select }) => select);
  const heading = title ?? asked.join(', ');
  return (
    <article class="panel" aria-label={heading}>
      <header>
        <h3>{heading}</h3>
      </header>
      <Absence asked={asked} dashboard={dashboard} />
    </article>
  );
}
