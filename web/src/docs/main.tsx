import '../style/page.css';
import './docs.css';
import { render } from 'preact';
import { escapeWhatIsShown } from '../ui/strangers.ts';
import { Docs } from './docs.tsx';
import { type AsyncApi, chaptersOfAsyncApi, chaptersOfOpenApi, type OpenApi } from './model.ts';

async function fetched<T>(name: string): Promise<T> {
  const answer = await fetch(new URL(name, document.baseURI));
  if (!answer.ok) {
    throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  }
  return (await answer.json()) as T;
}

escapeWhatIsShown();
const place = document.getElementById('page')!;
try {
  const [http, websockets] = await Promise.all([
    fetched<OpenApi>('openapi.json'),
    fetched<AsyncApi>('asyncapi.json'),
  ]);
  const chapters = [...chaptersOfOpenApi(http), ...chaptersOfAsyncApi(websockets)];
  // Schemas come after all operations that refer to them.
  const isTypes = ({ title }: { title: string }) => title.startsWith('Types');
  render(
    <Docs
      version={http.info.version}
      chapters={[...chapters.filter((one) => !isTypes(one)), ...chapters.filter(isTypes)]}
    />,
    place,
  );
} catch (error) {
  render(
    <main class="docs">
      <h1>
        <a href="./">pushsvc</a> API
      </h1>
      <p role="alert">
        The descriptions could not be read: {String(error)}. Is the service there? Load the page
        again, or read <a href="openapi.json">openapi.json</a> and{' '}
        <a href="asyncapi.json">asyncapi.json</a>.
      </p>
    </main>,
    place,
  );
}
