// First of all: modules are evaluated in this order.
import { dashboard, origin } from './begin.ts';
import 'uplot/dist/uPlot.min.css';
import './style/page.css';
import './style/header.css';
import './style/panel.css';
import { render } from 'preact';
import { inspect } from './inspection.ts';
import { Page } from './ui/page.tsx';

const root = document.getElementById('page')!;
if (dashboard !== null) {
  render(<Page dashboard={dashboard} />, root);
  window.__pushsvc = inspect(dashboard);
} else {
  void import('./doctor/index.ts').then(({ Doctor }) => render(<Doctor origin={origin} />, root));
}
