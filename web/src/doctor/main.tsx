import '../style/page.css';
import './doctor.css';
import { render } from 'preact';
import { escapeWhatIsShown } from '../ui/strangers.ts';
import { Doctor } from './doctor.tsx';

escapeWhatIsShown();
render(<Doctor origin={new URL(document.baseURI)} />, document.getElementById('page')!);
