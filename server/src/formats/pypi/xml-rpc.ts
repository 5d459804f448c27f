/** Calls by XML-RPC, read into plain values. */
import { SaxesParser } from 'saxes';
import { AppError } from '../../core/errors.ts';

export type RpcValue = string | readonly RpcValue[] | { readonly [name: string]: RpcValue };

export interface RpcCall {
  readonly method: string;
  readonly params: readonly RpcValue[];
}

interface Element {
  readonly name: string;
  readonly children: Element[];
  text: string;
}

const MAX_DEPTH = 20;

/** Throws `invalid` for what is no call. Values that are neither lists nor structures are read as texts. */
export function parseCall(text: string): RpcCall {
  const root = parseXml(text);
  const method = child(root, 'methodName')?.text.trim();
  if (root.name !== 'methodCall' || method === undefined || method === '') throw refusal('it has no methodName');
  const params = (child(root, 'params')?.children ?? []).map((param) => readValue(child(param, 'value')));
  return { method, params };
}

function readValue(value: Element | undefined): RpcValue {
  const [inner] = value?.children ?? [];
  if (!inner) return value?.text ?? '';
  if (inner.name === 'array') return (child(inner, 'data')?.children ?? []).map(readValue);
  if (inner.name !== 'struct') return inner.text;
  return Object.fromEntries(
    inner.children.map((member) => [child(member, 'name')?.text ?? '', readValue(child(member, 'value'))]),
  );
}

function child(element: Element, name: string): Element | undefined {
  return element.children.find((each) => each.name === name);
}

function parseXml(text: string): Element {
  const top: Element = { name: '', children: [], text: '' };
  const open: Element[] = [top];
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw refusal(error.message);
  });
  parser.on('opentag', ({ name }) => {
    if (open.length > MAX_DEPTH) throw refusal('it is nested too deeply');
    const element: Element = { name, children: [], text: '' };
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
  });
  const addText = (more: string) => {
    const element = open.at(-1);
    if (element) element.text += more;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.write(text).close();
  const [root] = top.children;
  if (!root) throw refusal('it is empty');
  return root;
}

function refusal(problem: string): AppError {
  return new AppError('invalid', `The body is no call by XML-RPC: ${problem.replace(/[<>]/g, '?').slice(0, 200)}.`);
}
