import './doctor.css';

export { Doctor } from './doctor.tsx';
