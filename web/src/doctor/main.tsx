import '../style/page.css';
import './doctor.css';
import { render } from 'preact';
import { Doctor } from './doctor.tsx';

render(<Doctor origin={new URL(document.baseURI)} />, document.getElementById('page')!);
