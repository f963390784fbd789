// The reader of systemd's configuration syntax: what systemd.syntax(7) promises, and that no text at all upsets it.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseIni, splitWords } from '../../lib/ini.ts';

const parsed = (text: string): string[] => {
  const { entries, problems } = parseIni(text);
  return [
    ...entries.map(({ section, key, value, line }) => `${line} [${section}] ${key}=${value}`),
    ...problems.map(({ line, message }) => `${line} ! ${message}`),
  ];
};

test('the example of systemd.syntax(7) reads as the page says', () => {
  const text = `[Section A]
KeyOne=value 1
KeyTwo=value 2

# a comment

[Section B]
Setting="something" "some thing" "..."
KeyTwo=value 2 \\
       value 2 continued

[Section C]
KeyThree=value 3\\
# this line is ignored
; this line is ignored too
       value 3 continued
`;
  assert.deepEqual(parsed(text), [
    '2 [Section A] KeyOne=value 1',
    '3 [Section A] KeyTwo=value 2',
    '8 [Section B] Setting="something" "some thing" "..."',
    '9 [Section B] KeyTwo=value 2 value 2 continued',
    '13 [Section C] KeyThree=value 3 value 3 continued',
  ]);
});

test('blanks around keys, values, headers and comments do not count', () => {
  assert.deepEqual(parsed(' \t[A]\t\n  Key \t=  a b \t\n\t # comment\n\t;comment\n   \n'), ['2 [A] Key=a b']);
});

test('a value keeps equals signs, comment signs and brackets', () => {
  assert.deepEqual(parsed('[A]\nKey=a=b # c ; [d]\nOther==\n'), ['2 [A] Key=a=b # c ; [d]', '3 [A] Other==']);
});

test('an empty assignment is an entry with an empty value', () => {
  assert.deepEqual(parsed('[A]\nKey=\n'), ['2 [A] Key=']);
});

test('CRLF line ends, a byte order mark and a missing final newline change nothing', () => {
  const plain = parseIni('[A]\nKey=value \\\nmore\nLast=1\n');
  assert.equal(plain.entries.length, 2);
  assert.deepEqual(parseIni('\uFEFF[A]\r\nKey=value \\\r\nmore\r\nLast=1'), plain);
});

test('a blank line ends a continued line', () => {
  assert.deepEqual(parsed('[A]\nKey=a\\\n\nOther=b\n'), ['2 [A] Key=a', '4 [A] Other=b']);
});

test('a file that ends inside a continued line keeps what it has', () => {
  assert.deepEqual(parsed('[A]\nKey=a\\\nb\\'), ['2 [A] Key=a b']);
  assert.deepEqual(parsed('[A]\n\\'), []);
});

test('a comment never continues, whatever it ends with', () => {
  assert.deepEqual(parsed('[A]\n# comment \\\nKey=a\n'), ['3 [A] Key=a']);
});

test('a continued section header or key is one line', () => {
  assert.deepEqual(parsed('[A\\\nB]\nKey\\\n=a\n'), ['3 [A B] Key=a']);
});

test('a line that is neither header nor assignment is a problem with its line', () => {
  const { entries, problems } = parseIni('[A]\nnonsense\n=value\nKey=a\n');
  assert.deepEqual(entries, [{ section: 'A', key: 'Key', value: 'a', line: 4 }]);
  assert.deepEqual(
    problems.map(({ line }) => line),
    [2, 3],
  );
  for (const { message } of problems) assert.match(message, /Key=Value/);
});

for (const header of ['[A', '[]', '[A]B', '[[A]]', '[A] # comment']) {
  test(`after the broken header ${header} no key lands in the section before it`, () => {
    const { entries, problems } = parseIni(`[Before]\n${header}\nKey=a\n`);
    assert.deepEqual(entries, []);
    assert.deepEqual(
      problems.map(({ line }) => line),
      [2, 3],
    );
    assert.match(problems[0]?.message ?? '', /section header/);
  });
}

test('a key before any section is a problem', () => {
  assert.deepEqual(parsed('Key=a\n'), ['1 ! Key= stands outside any section, ignored']);
});

test('a NUL byte spoils its own line alone', () => {
  const { entries, problems } = parseIni('[A]\nKey=a\0b\nOther=c\n');
  assert.deepEqual(entries, [{ section: 'A', key: 'Other', value: 'c', line: 3 }]);
  assert.deepEqual(problems, [{ line: 2, message: 'line with a NUL byte, ignored' }]);
});

test('an overlong line is a problem, the longest allowed one is not', () => {
  const longest = 65_536 - 'Key='.length;
  assert.equal(parseIni(`[A]\nKey=${'x'.repeat(longest)}\n`).entries.length, 1);
  const { entries, problems } = parseIni(`[A]\nKey=${'x'.repeat(longest + 1)}\nOther=a\n`);
  assert.deepEqual(entries, [{ section: 'A', key: 'Other', value: 'a', line: 3 }]);
  assert.deepEqual(problems, [{ line: 2, message: 'line longer than 65536 characters, ignored' }]);
});

test('continued lines that add up to an overlong one are a problem where they start', () => {
  const { entries, problems } = parseIni(`[A]\nKey=a\\\n${`${'x'.repeat(40_000)}\\\n`.repeat(2)}\nOther=a\n`);
  assert.deepEqual(
    entries.map(({ key }) => key),
    ['Other'],
  );
  assert.deepEqual(
    problems.map(({ line }) => line),
    [2],
  );
});

// Pieces that make structure likely, between arbitrary text.
const piece = fc.oneof(
  fc.constantFrom(
    '[A]',
    '[',
    ']',
    '=',
    '\\',
    '\\\n',
    '\n',
    '\r\n',
    '#',
    ';',
    ' ',
    '\t',
    '\0',
    'Key=',
    '"',
    "'",
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const anyText = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));

test('any text gives entries and problems whose lines lie in the text, in order, and never throws', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const { entries, problems } = parseIni(text);
      const last = text.split('\n').length;
      for (const { line } of [...entries, ...problems]) {
        assert.ok(Number.isInteger(line) && line >= 1 && line <= last);
      }
      for (const list of [entries, problems]) {
        list.slice(1).forEach(({ line }, index) => assert.ok(line > (list[index]?.line ?? 0)));
      }
      for (const { section, key, value } of entries) {
        assert.ok(section !== '' && key !== '' && !key.includes('='));
        assert.equal(value, value.trim());
        assert.doesNotMatch(section + key + value, /[\n\0]/);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('every line that is not blank, comment or header becomes an entry or a problem', () => {
  const line = fc.stringMatching(/^[a-zA-Z0-9=[\]#; .:-]{0,20}$/);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      const { entries, problems } = parseIni(lines.join('\n'));
      const said = new Set([...entries, ...problems].map((one) => one.line));
      lines.forEach((raw, index) => {
        const silent = /^\s*($|[#;]|\[[^[\]]+\]\s*$)/.test(raw);
        assert.equal(said.has(index + 1), !silent, raw);
      });
    }),
    { numRuns: 500 },
  );
});

for (const [text, words] of [
  ['', []],
  ['  \t ', []],
  ['/usr/bin/make', ['/usr/bin/make']],
  ['  a   b\tc ', ['a', 'b', 'c']],
  ['a "b c" d', ['a', 'b c', 'd']],
  ["a 'b c' d", ['a', 'b c', 'd']],
  ['"" \'\'', ['', '']],
  [`"it's" 'say "hi"'`, ["it's", 'say "hi"']],
  ['"a \\" b" "c\\\\"', ['a " b', 'c\\']],
  ["'a\\b'", ['a\\b']],
  ['a\\ b \\"c', ['a b', '"c']],
  ['a="b c"', ['a=b c']],
  ['"a" \'\\\' b', ['a', '\\', 'b']],
] as const) {
  test(`the command line ${JSON.stringify(text)} has the words ${JSON.stringify(words)}`, () => {
    assert.deepEqual(splitWords(text), words);
  });
}

for (const text of ['"a', "a 'b", 'a "b\\"', 'a\\', '"a" "']) {
  test(`the command line ${JSON.stringify(text)} is refused: something is left open`, () => {
    assert.equal(splitWords(text), undefined);
  });
}

test('words that are quoted come back as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 8 }), (words) => {
      const quoted = words.map((word) => `"${word.replace(/["\\]/g, '\\$&')}"`).join(' ');
      assert.deepEqual(splitWords(quoted), words);
    }),
  );
});

test('any command line gives words or undefined, a long one too', () => {
  fc.assert(fc.property(anyText, (text) => assert.doesNotThrow(() => splitWords(text))));
  assert.deepEqual(splitWords('a'.repeat(60_000)), ['a'.repeat(60_000)]);
  assert.deepEqual(splitWords(`"${'a\\"'.repeat(20_000)}"`), ['a"'.repeat(20_000)]);
  assert.equal(splitWords('"a" '.repeat(20_000).trim())?.length, 20_000);
});
