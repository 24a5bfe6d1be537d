import 'uplot/dist/uPlot.min.css';
import './style/page.css';
import './style/header.css';
import './style/panel.css';
import { render } from 'preact';
import { Dashboard } from './dashboard.ts';
import { inspect } from './inspection.ts';
import { Page } from './ui/page.tsx';

const dashboard = new Dashboard(new URL('/', location.href));
render(<Page dashboard={dashboard} />, document.getElementById('page')!);
dashboard.start();
window.__pushsvc = inspect(dashboard);
