// First of all: modules are evaluated in this order.
import { dashboard } from './begin.ts';
import './style/page.css';
import './style/header.css';
import './style/panel.css';
import { render } from 'preact';
import { read } from './dashboards/address.ts';
import { inspect } from './inspection.ts';
import { preparePrint } from './printing.ts';
import { showFreshness } from './ui/freshness.ts';
import { Page } from './ui/page.tsx';

const address = read(location);
document.body.classList.toggle('embedded', address.panel !== null);
render(<Page dashboard={dashboard} address={address} />, document.getElementById('page')!);
preparePrint(dashboard.painter);
showFreshness(dashboard);
window.__pushsvc = inspect(dashboard);
