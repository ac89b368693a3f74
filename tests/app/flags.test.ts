// The command line's words as values: every flag by its declared type, from its raw text.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { command, helpOf, helpOfAll, numbers, on, oneOf, text, texts, whole } from '../../ps3/app/flags.ts';
import { ps3 } from './run_cli.ts';

const FLAGS = {
  prompt: text('<text>', 'What to look for'),
  steps: whole('Steps'),
  seed: whole('Seed', 0),
  box: numbers('<l,t,r,b>', 'Where'),
  format: oneOf(['npy', 'safetensors'], 'Format'),
  all: on('Everything'),
  'no-mix': on('Without'),
  set: texts('<key=value>', 'Changes'),
};

async function given(...args: string[]): Promise<[object, readonly string[]]> {
  const calls: [object, readonly string[]][] = [];
  const run = async (values: object, operands: readonly string[]): Promise<number> => {
    calls.push([values, operands]);
    return 0;
  };
  await command({ name: 'go', operands: '[...files]', help: 'Goes', flags: FLAGS, run }).run(args);
  return calls[0];
}

test('flags: a text stays as it was written, also where it reads as a number or an option', async () => {
  for (const word of [
    '007',
    '1e3',
    '1.50',
    '0x1F',
    'true',
    'null',
    '-1',
    '-',
    ' a ',
    '+5',
    'NaN',
    'a=b',
    '٣',
  ]) {
    assert.equal(await given('--prompt', word), [{ prompt: word }, []], word);
    assert.equal(await given(`--prompt=${word}`), [{ prompt: word }, []], word);
  }
  assert.equal(await given('--prompt=--all'), [{ prompt: '--all' }, []]);
  assert.equal(await given('--prompt', '-h'), [{ prompt: '-h' }, []]);
});

test('flags: operands stay as they were written, in order', async () => {
  assert.equal(await given('007', '--all', '1e3', '--', '--all', '-2'), [
    { all: true },
    ['007', '1e3', '--all', '-2'],
  ]);
});

test('flags: one that may be repeated collects its texts, in order', async () => {
  assert.equal(await given('--set', 'a=1', '--all', '--set=b=2'), [{ set: ['a=1', 'b=2'], all: true }, []]);
});

test('flags: one operand at most, where one may be given', async () => {
  const run = async (): Promise<number> => 0;
  const go = command({ name: 'go', operands: '[file]', help: 'Goes', flags: {}, run });
  assert.is(await go.run(['a']), 0);
  const error: unknown = await go.run(['a', 'b']).catch((error: unknown) => error);
  assert.match(String(error), /go: there must be one \[file\] at most, got a, b\./);
});

test('flags: whole numbers', async () => {
  const read: [string, number][] = [
    ['1', 1],
    ['007', 7],
    ['1e3', 1000],
    ['+12', 12],
    ['5.0', 5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ];
  for (const [word, steps] of read) assert.equal(await given('--steps', word), [{ steps }, []], word);
  assert.equal(await given('--seed', '0', '--no-mix'), [{ seed: 0, 'no-mix': true }, []]);
});

test('flags: numbers with commas between', async () => {
  assert.equal(await given('--box', '0.1,-.2,3e-1,1'), [{ box: [0.1, -0.2, 0.3, 1] }, []]);
  assert.equal(await given('--box', '-1,0,1,2'), [{ box: [-1, 0, 1, 2] }, []]);
});

test('flags: what does not fit is refused by name', async () => {
  const refused: [RegExp, ...string[]][] = [
    [/^go: an option must be one of --prompt, .*, got --promt\. See ps3 go --help\.$/, '--promt', 'x'],
    [/got -x/, '-x'],
    [/got --no-all/, '--no-all'],
    [/got --constructor/, '--constructor'],
    [/--prompt must be followed by a text that is not empty, got nothing/, '--prompt'],
    [/--prompt must be followed by .*, got --all/, '--prompt', '--all'],
    [/--prompt must be a text that is not empty, got an empty text/, '--prompt', ''],
    [/--prompt must be a text that is not empty, got an empty text/, '--prompt='],
    [/--prompt must be given once/, '--prompt', 'a', '--prompt', 'b'],
    [/--all must be given once/, '--all', '--all'],
    [/--all must be given without a value, got yes/, '--all=yes'],
    [/--format must be one of npy, safetensors, got NPY/, '--format', 'NPY'],
    ...[
      '0',
      '-1',
      '1.5',
      'x',
      '1x',
      ' 1',
      '1 ',
      'Infinity',
      'NaN',
      '0x10',
      '1e400',
      '9007199254740993',
      '1_0',
    ].map((word): [RegExp, ...string[]] => [
      new RegExp(`--steps must be a whole number of at least 1, got ${word}\\.`),
      ...['--steps', word],
    ]),
    ...[
      '0.1,,0.3,0.5',
      '1,2,3',
      '1,2,3,4,5',
      '1,2,3,',
      '1;2;3;4',
      '0, 1, 2, 3',
      '1,2,3,NaN',
      '0,0,1,Infinity',
    ].map((word): [RegExp, ...string[]] => [
      /--box must be 4 numbers with commas between, got /,
      '--box',
      word,
    ]),
  ];
  for (const [sentence, ...args] of refused) {
    try {
      await given(...args);
    } catch (error) {
      assert.is((error as Error).name, 'UsageError', args.join(' '));
      assert.match((error as Error).message, sentence);
      continue;
    }
    assert.unreachable(`${args.join(' ')} was taken`);
  }
});

test('flags: operands that are not there, or too many, are refused', async () => {
  const run = async (): Promise<number> => 0;
  const of = (operands: string, ...args: string[]): Promise<number> =>
    command({ name: 'go', operands, help: 'Goes', flags: {}, run }).run(args);
  const message = async (work: Promise<number>): Promise<string> =>
    work.then(String, (error) => error.message);
  assert.match(await message(of('', 'x')), /go: there must be nothing but options, got x/);
  assert.match(await message(of('<run>')), /go: there must be one <run>, got none/);
  assert.match(await message(of('<run>', 'a', 'b')), /go: there must be one <run>, got a, b/);
  assert.match(await message(of('<run>', 'a', '--x')), /an option must be one of none, got --x/);
  assert.is(await of('<run>', '007'), 0);
});

test('flags: the help names every flag with its value', () => {
  const run = async (): Promise<number> => 0;
  const go = command({ name: 'go', operands: '<run>', help: 'Goes', flags: FLAGS, run });
  const help = helpOf(go);
  assert.match(help, /^Goes\.\n\nUsage:\n {2}\$ ps3 go <run> \[options\]\n/);
  for (const line of [
    '  --prompt <text>    What to look for\n',
    '  --set <key=value>  Changes\n',
    '  --all              Everything\n',
    '  -h, --help   ',
  ])
    assert.ok(help.includes(line), line);
  assert.match(helpOfAll([go]), /Commands:\n {2}go <run> {2}Goes\n/);
});

test('ps3 --help: every command of the list helps with itself', async () => {
  const { out } = await ps3('--help');
  const names = [...out.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name);
  assert.ok(names.length >= 14, out);
  for (const name of names) {
    const help = await ps3(name, '--help');
    assert.is(help.code, 0, help.err);
    assert.ok(help.out.includes(`$ ps3 ${name} `), help.out);
  }
});

test.run();
