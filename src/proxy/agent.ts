/**
 * What a server's agent says of it: HAProxy's agent-check, a line of words separated by spaces, tabs or commas. A word
 * holds until the agent says another of its kind, and what an agent has set only it can take back (HAProxy's
 * configuration manual, 5.2, "agent-check"). The words `cpu:` and `load:` are Tandem's own.
 */
import type { AdminState } from './server-pool.ts';

export type AgentState = {
  readonly admin: AdminState;
  /** The word of it, with what the agent added behind a sharp: "stopped: upgrade"; undefined: up. */
  readonly down: string | undefined;
  /** Of the configured weight; 0 is as good as `drain`. */
  readonly percent: number;
  /** How busy the server is, 0..1. */
  readonly load: number;
  /** Undefined: as configured. */
  readonly maxconn: number | undefined;
  /** A word of the last answer that means nothing here. */
  readonly unknownWord: string | undefined;
};

/** Of an agent that has said nothing yet. */
export const silentAgent: AgentState = {
  admin: 'ready',
  down: undefined,
  percent: 100,
  load: 0,
  maxconn: undefined,
  unknownWord: undefined,
};

const maxconnMax = 1_000_000;
const percentMax = 25_600;
/** A server that is only busy keeps a little of its weight: only the agent's own word takes it out. */
const idleShareMin = 0.01;
const shownCharactersMax = 80;

/** The state after an answer, of which the first line counts. */
export function hearAgent(before: AgentState, answer: string): AgentState {
  const [line = ''] = answer.split(/[\r\n\0]/, 1);
  const [words = '', ...descriptions] = line.split('#');
  const description = shown(descriptions.join('#'));
  const busy = loadOf(words);
  return words
    .split(/[ \t,]+/)
    .filter((word) => word !== '')
    .reduce<AgentState>((state, word) => hearWord(state, word.toLowerCase(), description), {
      ...before,
      load: busy ?? before.load,
      unknownWord: undefined,
    });
}

/** What the agent leaves of the configured weight, >= 0; 0 only if it said 0%. */
export function agentShare({ percent, load }: AgentState): number {
  return (percent / 100) * Math.max(idleShareMin, 1 - load);
}

function hearWord(state: AgentState, word: string, description: string): AgentState {
  switch (word) {
    case 'ready':
    case 'drain':
    case 'maint':
      return { ...state, admin: word };
    case 'up':
      return { ...state, down: undefined };
    case 'down':
    case 'stopped':
    case 'fail':
    case 'failed':
      return { ...state, down: description === '' ? word : `${word}: ${description}` };
  }
  const percent = /^(\d{1,9})%$/.exec(word)?.[1];
  if (percent !== undefined) return { ...state, percent: Math.min(Number(percent), percentMax) };
  const maxconn = /^maxconn:(\d{1,9})$/.exec(word)?.[1];
  if (maxconn !== undefined) return { ...state, maxconn: Math.min(Number(maxconn), maxconnMax) };
  if (loadOfWord(word) !== undefined) return state;
  return { ...state, unknownWord: shown(word) };
}

/** The greater of what an answer's words say; undefined if it says nothing of that kind. */
function loadOf(words: string): number | undefined {
  const loads = words.split(/[ \t,]+/).flatMap((word) => loadOfWord(word.toLowerCase()) ?? []);
  return loads.length === 0 ? undefined : Math.max(...loads);
}

/** "cpu:37%" and "load:0.37" mean the same; more than all is all. */
function loadOfWord(word: string): number | undefined {
  const cpu = /^cpu:(\d{1,6}(?:\.\d{1,6})?)%$/.exec(word)?.[1];
  if (cpu !== undefined) return Math.min(1, Number(cpu) / 100);
  const load = /^load:(\d{1,6}(?:\.\d{1,6})?)$/.exec(word)?.[1];
  return load === undefined ? undefined : Math.min(1, Number(load));
}

/** It ends in an operator's terminal, which must not obey it. */
function shown(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, shownCharactersMax);
}
