/** The page on which people sign in for their terminal, which waits for them. */
import type { PlainReply } from '../../core/protocol.ts';
import { escapeXml } from '../../lib/xml-text.ts';

export interface SignIn {
  readonly host: string;
  readonly state: 'asked' | 'wrong' | 'refused' | 'done';
  readonly why?: string;
}

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem;color:#1b1f24}' +
  'label{display:block;margin-top:1rem}input{width:100%;box-sizing:border-box;font:inherit;padding:.5rem;margin-top:.25rem}' +
  'button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem}.problem{color:#b00020}';

/** Nothing of it runs, and no other page can show it in a frame. */
const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
};

export function signInPage({ host, state, why = '' }: SignIn): PlainReply {
  const body = state === 'done' ? done() : state === 'refused' ? refused(why) : form(host, state === 'wrong');
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in for npm</title><style>${STYLE}</style></head><body>${body}</body></html>`;
  return {
    status: state === 'wrong' ? 401 : state === 'refused' ? 409 : 200,
    bytes: Buffer.from(page),
    headers: HEADERS,
  };
}

function form(host: string, wrong: boolean): string {
  const problem = wrong ? '<p class="problem" role="alert">The user name or the password is wrong.</p>' : '';
  return `<h1>Sign in for npm</h1><p>A terminal has asked to use <strong>${escapeXml(host)}</strong> in your name. Go on only if you have just run <code>npm login</code> yourself.</p>${problem}<form method="post"><label>User name<input name="username" autocomplete="username" required autofocus></label><label>Password<input name="password" type="password" autocomplete="current-password" required></label><button>Sign in</button></form>`;
}

function done(): string {
  return '<h1>You are signed in</h1><p>Go back to your terminal. You can close this page.</p>';
}

function refused(why: string): string {
  return `<h1>That did not work</h1><p class="problem" role="alert">${escapeXml(why)}</p>`;
}
