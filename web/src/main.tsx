// Imported first, because modules are evaluated in this order.
import { address, dashboard, loading } from './begin.ts';
import './style/page.css';
import './style/connection.css';
import './style/menu.css';
import './style/window.css';
import './style/news.css';
import './style/header.css';
import './style/panel.css';
import './style/chart.css';
import './style/legend.css';
import './style/states.css';
import './style/figures.css';
import './style/freshness.css';
import './style/forced-colors.css';
import './style/print.css';
import './ui/header/sheet.css';
import { render } from 'preact';
import { loadPart } from './browser/part.ts';
import { inspect } from './page/inspection.ts';
import { Page } from './page/page.tsx';
import { View } from './state/view.ts';
import { showFreshness } from './ui/header/freshness.ts';
import { escapeWhatIsShown } from './ui/strangers.ts';

escapeWhatIsShown();
const view = new View(dashboard, address, loading);
document.body.classList.toggle('embedded', address.panel !== null);
render(<Page dashboard={dashboard} view={view} />, document.getElementById('page')!);
void loadPart(() => import('./page/afterwards.ts')).then(({ goOn }) =>
  goOn(dashboard, view, loading),
);
showFreshness(dashboard);
window.__pushsvc = inspect(dashboard);
