// Log records in their three dresses, what a message can never smuggle in, and what happens when nobody reads.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { type Dress, dressed, openLog } from '../../lib/journal.ts';
import type { Level, Message } from '../../lib/messages.ts';
import { scratch } from '../support/scratch.ts';

const levels = ['debug', 'info', 'notice', 'warning', 'error', 'critical'] as const;
const message = (level: Level): Message => ({ id: '0123456789abcdef0123456789abcdef', level });
const notice = message('notice');
const entry = (text: string, priority = 5): string =>
  `${JSON.stringify({ PRIORITY: priority, time: 0, SYSLOG_IDENTIFIER: 'lares-ddns', MESSAGE: text })}\n`;

/** Without the sequences that set a colour, and only those. */
function withoutColours(text: string): string {
  const [first = '', ...rest] = text.split('\x1b');
  return (
    first + rest.map((part) => (/^\[\d+m/.test(part) ? part.replace(/^\[\d+m/, '') : `\x1b${part}`)).join('')
  );
}

/** A pipe with a name: neither end ever waits. */
function pipe(t: TestContext): {
  end: number;
  fill: (room?: number) => void;
  drain: () => string;
  hangUp: () => void;
} {
  const name = path.join(scratch(t), 'pipe');
  execFileSync('mkfifo', [name]);
  const source = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  const end = openSync(name, constants.O_WRONLY | constants.O_NONBLOCK);
  let isOpen = true;
  const hangUp = (): void => {
    if (isOpen) closeSync(source);
    isOpen = false;
  };
  t.after(() => {
    hangUp();
    closeSync(end);
  });
  const take = (bytes: number): string | undefined => {
    const part = Buffer.alloc(bytes);
    try {
      const length = readSync(source, part);
      return length === 0 ? undefined : part.toString('utf8', 0, length);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      return undefined;
    }
  };
  return {
    end,
    hangUp,
    // Whole pages, so that taking `room` bytes out again makes just that room.
    fill: (room = 0) => {
      try {
        for (;;) writeSync(end, '.'.repeat(4_096));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      }
      if (room > 0) take(room);
    },
    drain: () => {
      let text = '';
      for (let part = take(65_536); part !== undefined; part = take(65_536)) text += part;
      return text.replace(/^\.+/, '');
    },
  };
}

function logged(
  t: TestContext,
  dress: Dress,
  level: Level | undefined,
  use: (log: ReturnType<typeof openLog>) => void,
) {
  const { end, drain } = pipe(t);
  use(level === undefined ? openLog('ddns', dress, end) : openLog('ddns', dress, end, level));
  return drain().split('\n').slice(0, -1);
}

test('a script gets one JSON object a line with the field names of the journal', (t) => {
  const [line = '', ...rest] = logged(t, 'json', undefined, (log) =>
    log.say(notice, 'updated', { LARES_NAME: 'a.example', LARES_COUNT: 3, LARES_KEY_ID: undefined }),
  );
  assert.deepEqual(rest, []);
  const { time, ...fields } = JSON.parse(line) as Record<string, unknown>;
  assert.equal(typeof time, 'number');
  assert.deepEqual(fields, {
    PRIORITY: 5,
    SYSLOG_IDENTIFIER: 'lares-ddns',
    MESSAGE_ID: notice.id,
    MESSAGE: 'updated',
    LARES_NAME: 'a.example',
    LARES_COUNT: 3,
  });
});

test('a pipe gets the priority of syslog before each text', (t) => {
  const lines = logged(t, 'pipe', 'debug', (log) => {
    for (const level of levels) log.say(message(level), level, { LARES_NAME: 'not shown' });
  });
  assert.deepEqual(lines, ['<7>debug', '<6>info', '<5>notice', '<4>warning', '<3>error', '<2>critical']);
});

test('records below the level are left out; without one, debug is', (t) => {
  const all = (log: ReturnType<typeof openLog>): void => {
    for (const level of levels) log.say(message(level), level);
  };
  assert.deepEqual(logged(t, 'pipe', 'warning', all), ['<4>warning', '<3>error', '<2>critical']);
  assert.equal(logged(t, 'pipe', undefined, all)[0], '<6>info');
});

test('a terminal gets time, noun and text, the text in the colour of its priority', () => {
  const line = (priority: number): string => dressed('terminal', entry('a text', priority));
  assert.match(stripVTControlCharacters(line(5)), /^\d\d:\d\d:\d\d ddns {6}a text\n$/);
  const colour = (priority: number): string | undefined =>
    line(priority).split('a text')[0]?.split(' ').at(-1);
  assert.deepEqual([2, 3, 4, 5, 7].map(colour), ['\x1b[31m', '\x1b[31m', '\x1b[33m', '\x1b[1m', '\x1b[90m']);
});

test('JSON passes through as it is', () => {
  assert.equal(dressed('json', entry('a\nb')), entry('a\nb'));
});

test('a newline in a message does not start a record of its own', () => {
  assert.equal(
    dressed('pipe', entry('a\n<0>forged\r\0\x7f\x9b')),
    '<5>a\\x0a<0>forged\\x0d\\x00\\x7f\\x9b\n',
  );
});

test('an escape sequence in a message does not reach the terminal', () => {
  const line = dressed('terminal', entry('\x1b[2J\x9b2J\x07'));
  assert.ok(stripVTControlCharacters(line).endsWith(' \\x1b[2J\\x9b2J\\x07\n'), JSON.stringify(line));
  assert.doesNotMatch(withoutColours(line), /[^\P{Cc}\n]/u);
});

test('whatever a message holds, each dress makes one line of it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      assert.match(dressed('pipe', entry(text)), /^<5>\P{Cc}*\n$/u);
      assert.match(withoutColours(dressed('terminal', entry(text))), /^\P{Cc}*\n$/u);
    }),
  );
});

test('whatever a message holds, JSON gives it back', (t) => {
  const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 40 }), 50);
  texts.push('100% %s %d %j %% %o', '\n', '"\\', '\u2028');
  const lines = logged(t, 'json', undefined, (log) => texts.forEach((text) => log.say(notice, text)));
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { MESSAGE: string }).MESSAGE),
    texts,
  );
});

for (const dress of ['pipe', 'json', 'terminal'] as const) {
  test(`what a full pipe cannot take is counted and said with the next record (${dress})`, (t) => {
    const { end, fill, drain } = pipe(t);
    const log = openLog('ddns', dress, end);
    fill();
    for (const text of ['one', 'two', 'three']) log.say(notice, text);
    assert.equal(drain(), '');
    log.say(notice, 'four');
    log.say(notice, 'five');
    const lines = stripVTControlCharacters(drain()).split('\n');
    assert.equal(lines.length, 4);
    for (const [index, text] of ['3 records dropped', 'four', 'five', ''].entries()) {
      assert.ok(lines[index]?.includes(text), lines[index]);
    }
    if (dress === 'pipe') assert.deepEqual(lines, ['<4>3 records dropped', '<5>four', '<5>five', '']);
  });
}

test('a record that does not fit whole does not swallow the one after it', (t) => {
  const { end, fill, drain } = pipe(t);
  const log = openLog('ddns', 'pipe', end);
  fill(4_096);
  log.say(notice, 'x'.repeat(10_000));
  const before = drain();
  log.say(notice, 'next');
  const lines = (before + drain()).split('\n');
  assert.ok(
    lines.includes('<5>next'),
    `the record after it became part of another: ${lines.at(-2)?.slice(-20)}`,
  );
});

test('a reader that is gone does not stop the writer', (t) => {
  const { end, hangUp } = pipe(t);
  const log = openLog('ddns', 'pipe', end);
  hangUp();
  log.say(notice, 'nobody reads this');
  log.say(notice, 'nor this');
});

test('a descriptor that is not open is a bug, and is not hidden', () => {
  assert.throws(() => openLog('ddns', 'pipe', 1_000_000).say(notice, 'text'), { code: 'EBADF' });
});
