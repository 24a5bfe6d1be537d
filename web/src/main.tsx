// First of all: modules are evaluated in this order.
import { address, dashboard, loading } from './begin.ts';
import './style/page.css';
import './style/header.css';
import './style/panel.css';
import './style/print.css';
import { render } from 'preact';
import { inspect } from './inspection.ts';
import { loadPart } from './part.ts';
import { watchReach } from './reach.ts';
import { showFreshness } from './ui/freshness.ts';
import { Page } from './ui/page.tsx';
import { escapeWhatIsShown } from './ui/strangers.ts';
import { followAddress, View } from './view.ts';

escapeWhatIsShown();
const view = new View(dashboard, address, loading);
document.body.classList.toggle('embedded', address.panel !== null);
render(<Page dashboard={dashboard} view={view} />, document.getElementById('page')!);
followAddress(view);
void loadPart(() => import('./printing.ts')).then(({ preparePrint }) => preparePrint(dashboard));
showFreshness(dashboard);
watchReach(dashboard, new URL(document.baseURI));
window.__pushsvc = inspect(dashboard);
