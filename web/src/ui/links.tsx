import './links.css';
import { type Lead, leadsOf } from '../panels/links.ts';
import type { Link } from '../panels/model.ts';
import type { Dashboard } from '../state/dashboard.ts';
import type { Member } from '../store/panel.ts';

/** Where a panel leads. */
export function PanelLinks({ links, dashboard }: { links: readonly Link[]; dashboard: Dashboard }) {
  return <Leads leads={leadsOf(links, spanOf(dashboard), document.baseURI)} />;
}

/** Where a value leads. */
export function DataLinks({
  member: { series, title, links },
  value,
  span,
}: {
  member: Member;
  value: number;
  span: { readonly from: number; readonly to: number };
}) {
  const { labels } = series;
  const filled = { labels, name: title || series.name, value, ...span };
  return <Leads leads={leadsOf(links, filled, document.baseURI)} />;
}

function spanOf({ time }: Dashboard): { readonly from: number; readonly to: number } {
  const to = time.edge;
  return { from: to - time.windowMs.value, to };
}

function Leads({ leads }: { leads: readonly Lead[] }) {
  return (
    <span class="leads">
      {leads.map(({ title, href, away }) => (
        <a
          key={`${title} ${href}`}
          href={href}
          rel="noopener noreferrer"
          {...(away && { target: '_blank' })}
        >
          {title}
        </a>
      ))}
    </span>
  );
}
