// First of all: modules are evaluated in this order.
import { dashboard } from './begin.ts';
import 'uplot/dist/uPlot.min.css';
import './style/page.css';
import './style/header.css';
import './style/panel.css';
import { render } from 'preact';
import { inspect } from './inspection.ts';
import { Page } from './ui/page.tsx';

render(<Page dashboard={dashboard} />, document.getElementById('page')!);
window.__pushsvc = inspect(dashboard);
