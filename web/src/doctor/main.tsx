import '../style/page.css';
import './doctor.css';
import { render } from 'preact';
import { Doctor } from './doctor.tsx';

render(<Doctor origin={new URL('/', location.href)} />, document.getElementById('page')!);
