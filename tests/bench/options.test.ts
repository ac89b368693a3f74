import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseOptions, UsageError } from '../../bench/options.ts';

const DEFAULTS = {
  quick: false,
  filter: undefined,
  tier: undefined,
  json: undefined,
  seconds: 2,
  peers: false,
  merge: undefined,
  report: false,
};

test('bench flags: none, all, and values attached by =', () => {
  assert.equal(parseOptions([]), DEFAULTS);
  assert.equal(
    parseOptions([
      '--quick',
      '--filter',
      'layer_norm',
      '--tier',
      '3',
      '--json',
      'out.json',
      '--seconds',
      '0.25',
      '--peers',
      '--merge',
      'torch.json',
      '--report',
    ]),
    {
      ...{ quick: true, filter: 'layer_norm', tier: 3, json: 'out.json', seconds: 0.25 },
      ...{ peers: true, merge: 'torch.json', report: true },
    },
  );
  assert.equal(parseOptions(['--filter=a=b', '--seconds=3']), { ...DEFAULTS, filter: 'a=b', seconds: 3 });
});

test('bench flags: --quick spends less time on each case', () => {
  assert.ok(parseOptions(['--quick']).seconds < DEFAULTS.seconds);
});

test('bench flags: every mistake is one sentence', () => {
  const mistakes: [words: string[], message: RegExp][] = [
    [['--fast'], /^bench: flags must be of .*--seconds.*, got --fast\.$/],
    [['matmul'], /^bench: flags must be of .*, got matmul\.$/],
    [['--filter'], /^bench: --filter must be given a value, got none\.$/],
    [['--merge'], /^bench: --merge must be given a value, got none\.$/],
    [['--peers=tfjs'], /^bench: --peers takes no value, got tfjs\.$/],
    [['--json='], /^bench: --json must be given a value, got none\.$/],
    [['--tier', '4'], /^bench: --tier must be of 0, 1, 2, 3, got 4\.$/],
    [['--seconds', '0'], /^bench: --seconds must be a number above 0, got 0\.$/],
    [['--seconds', 'long'], /^bench: --seconds must be a number above 0, got long\.$/],
    [['--quick=yes'], /^bench: --quick takes no value, got yes\.$/],
  ];
  for (const [words, message] of mistakes) {
    try {
      parseOptions(words);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as Error).message, message);
      continue;
    }
    assert.unreachable(`${words.join(' ')} was taken`);
  }
});

test('bench: a mistake ends the command with one sentence and exit code 2', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const words = ['--import', './engine/wgsl_loader.mjs', '--import', 'tsx', 'bench/run.ts'];
  for (const [flags, sentence] of [
    [['--fast'], /^bench: flags must be of .*, got --fast\.\n$/],
    [
      ['--filter', 'no such op'],
      /^bench: --filter must be part of an op's name, got no such op\. Ops: .*\n$/,
    ],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...words, ...flags], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.is(status, 2);
    assert.is(stdout, '');
    assert.match(stderr, sentence);
  }
});

test.run();
