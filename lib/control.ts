// A daemon's control socket and its client: Varlink's framing (one JSON object, then NUL), `{method, parameters}` and
// back `{parameters}` or `{error, parameters}`. For reading only; who may connect is the kernel's to check
// (SocketMode=, SocketGroup= of the unit). Total: whatever a peer sends gets an answer or loses its connection.
import { createConnection, createServer, type Socket } from 'node:net';
import { errnoOf, explain, LaresError } from './errors.ts';

const requestBytes = 65_536;
const replyBytes = 67_108_864;
const connections = 16;
const requestsWaiting = 16;
const silenceMs = 10_000;

export type Parameters = Readonly<Record<string, unknown>>;

/** By name; what a method returns is sent as `parameters`. */
export type Methods = Record<string, (parameters: Parameters) => Promise<object> | object>;

/**
 * Serves on a passed listening socket what `methods` gives at the time of each request; `heard` is called for every
 * one. Resolves to what closes it.
 */
export function serveControl(fd: number, methods: () => Methods, heard: () => void): Promise<() => void> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // A peer that resets is nobody's trouble but its own.
    socket.on('error', () => socket.destroy());
    socket.setTimeout(silenceMs, () => socket.destroy());
    let waiting = 0;
    let turn = Promise.resolve();
    onObjects(socket, requestBytes, (text) => {
      heard();
      waiting += 1;
      // One that asks on without reading would fill the memory with answers.
      if (waiting > requestsWaiting) socket.destroy();
      else
        turn = turn.then(async () => {
          const reply = `${JSON.stringify(await answer(text, methods()))}\0`;
          if (!socket.destroyed && !socket.write(reply)) await sent(socket);
          waiting -= 1;
        });
    });
  });
  server.maxConnections = connections;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => {
      resolve(() => {
        server.close();
        for (const socket of open) socket.destroy();
      });
    });
  });
}

/** When what was written has gone, or never will. */
function sent(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve).once('close', () => resolve());
  });
}

async function answer(text: string, methods: Methods): Promise<object> {
  const request = parse(text);
  const method = request?.['method'];
  if (typeof method !== 'string') return { error: 'InvalidRequest', parameters: {} };
  const act = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (act === undefined) return { error: 'MethodNotFound', parameters: { method } };
  try {
    return { parameters: await act(objectOf(request?.['parameters']) ?? {}) };
  } catch (error) {
    return { error: 'Failed', parameters: { message: explain(error) } };
  }
}

/** Asks the daemon behind `socketPath`; it is woken if it sleeps. @throws LaresError E_CONTROL */
export function ask(
  socketPath: string,
  method: string,
  parameters: Parameters = {},
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, options?: ErrorOptions): void => {
      socket.destroy();
      reject(new LaresError('E_CONTROL', `cannot ask ${socketPath}: ${why}`, options));
    };
    const socket = createConnection(socketPath);
    socket.setTimeout(silenceMs, () => fail(`no answer within ${silenceMs / 1_000} s`));
    socket.once('error', (error) => fail(advice(error), { cause: error }));
    socket.once('close', () => fail('it hung up without an answer'));
    onObjects(socket, replyBytes, (text) => {
      const reply = parse(text);
      const answered = objectOf(reply?.['parameters']);
      if (answered === undefined) fail('the answer is no JSON object');
      else if (typeof reply?.['error'] === 'string') fail(`${reply['error']} ${JSON.stringify(answered)}`);
      else resolve(answered);
      socket.destroy();
    });
    socket.write(`${JSON.stringify({ method, parameters })}\0`);
  });
}

function advice(error: Error): string {
  switch (errnoOf(error)) {
    case 'EACCES':
      return 'that needs root or membership in the group lares';
    case 'ENOENT':
    case 'ECONNREFUSED':
      return 'nobody listens there; is its socket unit started? (systemctl list-sockets)';
    default:
      return error.message;
  }
}

/** Each object that arrives, as text; a peer that sends a longer one is cut off. */
function onObjects(socket: Socket, mostBytes: number, take: (text: string) => void): void {
  let waiting: Buffer[] = [];
  let bytes = 0;
  socket.on('data', (chunk) => {
    let rest = chunk;
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      take(Buffer.concat([...waiting, rest.subarray(0, end)]).toString());
      [waiting, bytes, rest] = [[], 0, rest.subarray(end + 1)];
    }
    waiting.push(rest);
    bytes += rest.length;
    if (bytes > mostBytes) socket.destroy();
  });
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}
