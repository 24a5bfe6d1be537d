import '../style/page.css';
import './clients.css';
import { render } from 'preact';
import { escapeWhatIsShown } from '../ui/strangers.ts';
import { Clients } from './clients.tsx';

escapeWhatIsShown();
render(<Clients origin={new URL(document.baseURI)} />, document.getElementById('page')!);
