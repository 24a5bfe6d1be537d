/** Asking the service again and again, while somebody looks. */

import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

export type Answer<T> =
  | { readonly state: 'asking' }
  | { readonly state: 'told'; readonly told: T }
  /** `told` is what was told before, if anything was. */
  | { readonly state: 'failed'; readonly why: string; readonly told: T | null };

/** Seconds between an answer and the next question. */
const PAUSE_MS = 2000;

/** The newest answer at a path. */
export function useAnswers<T>(url: URL): Signal<Answer<T>> {
  const answer = useSignal<Answer<T>>({ state: 'asking' });
  useEffect(() => {
    const stop = new AbortController();
    void ask(url, answer, stop.signal);
    return () => stop.abort();
  }, [url.href]);
  return answer;
}

async function ask<T>(url: URL, answer: Signal<Answer<T>>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const before = answer.value;
    const told = before.state === 'asking' ? null : before.told;
    try {
      const response = await fetch(url, { signal: stop, cache: 'no-store' });
      const body = (await response.json()) as T & { detail?: string };
      answer.value = response.ok
        ? { state: 'told', told: body }
        : { state: 'failed', why: body.detail ?? `it answered ${response.status}`, told };
    } catch {
      if (stop.aborted) {
        return;
      }
      answer.value = { state: 'failed', why: 'it can’t be reached', told };
    }
    await pause(stop);
  }
}

/** Waits, and on while nobody can see the page. */
async function pause(stop: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  while (document.hidden && !stop.aborted) {
    await new Promise((resolve) => {
      document.addEventListener('visibilitychange', resolve, { once: true, signal: stop });
      stop.addEventListener('abort', resolve, { once: true });
    });
  }
}
