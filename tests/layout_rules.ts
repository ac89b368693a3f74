// The rules of the source tree, each a function from the tree to the places that break it. layout.test.ts applies them.

import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import ts from 'typescript';

/** Modules that have a twin for browsers, by the name under which they are imported. */
const { imports: twins } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as Record<'imports', Readonly<Record<string, { default: string }>>>;

/** Path from the repository root -> text; a file that is neither source code nor Markdown has the text ''. */
export type Tree = ReadonlyMap<string, string>;
/** Returns one line per breach: `path:line what is wrong`. */
export type Rule = (tree: Tree) => string[];

const topLevel =
  'package.json package-lock.json tsconfig.json biome.json engine shaders ps3 bench tests README.md LICENSE NOTICE ' +
  'CHANGELOG.md CONTRIBUTING.md .ci .gitignore';

/** Layers from the bottom up: what a path begins with, and the layers that it may import besides its own. */
const layers: [layer: string, prefix: RegExp, mayImport: string][] = [
  ['shaders', /^shaders\//, ''],
  ['gpu', /^engine\/gpu\//, 'shaders'],
  ['tensor', /^engine\/tensor\//, 'shaders gpu'],
  ['ops', /^engine\/ops\//, 'shaders gpu tensor'],
  ['nn', /^engine\/nn\//, 'gpu tensor ops'],
  ['io', /^engine\/io\//, 'gpu tensor ops'],
  ['engine', /^engine\//, 'shaders gpu tensor ops nn io'],
  ['ranks', /^ps3\/ranks\//, 'engine'],
  ['model', /^ps3\/(model\/|config\.ts)/, 'gpu tensor ops nn io engine'],
  ['language', /^ps3\/language\//, 'gpu tensor ops nn io engine model'],
  ['vila', /^ps3\/vila\//, 'gpu tensor ops nn io engine model language'],
  ['data', /^ps3\/data\//, 'gpu tensor ops nn io engine ranks model'],
  ['benchmarks', /^ps3\/benchmarks\//, 'gpu tensor ops nn io engine ranks model data'],
  ['train', /^ps3\/train(\/|\.ts)/, 'gpu tensor ops nn io engine ranks model language vila data benchmarks'],
  ['app', /^ps3\/app\//, 'gpu tensor ops nn io engine ranks model language vila data benchmarks train'],
  ['ps3', /^ps3\//, 'gpu tensor ops nn io engine ranks model language vila data benchmarks train app'],
  ['twins', /^tests\/reference\//, ''], // float64, apart from all that they check
  [
    'bench',
    /^bench\//,
    'shaders gpu tensor ops nn io engine ranks model language vila data benchmarks train app ps3 twins',
  ],
  [
    'tests',
    /^tests\//,
    'shaders gpu tensor ops nn io engine ranks model language vila data benchmarks train app ps3 twins bench',
  ],
];

/** Where WebGPU's own names may appear: its layer, what embeds it, other libraries' devices, and tests. */
const webgpuPlaces =
  /^(engine\/(gpu|examples)|bench\/page|bench\/peers|ps3\/app\/page|tests\/gpu|tests\/embed)\//;

const isScript = (path: string): boolean => /\.(ts|mjs)$/.test(path);
const isSource = (path: string): boolean => /\.(ts|mjs|wgsl)$/.test(path);

/** The lines of a file that match, as `path:line`. */
function placesOf(pattern: RegExp, path: string, text: string): string[] {
  return text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}`] : []));
}

type Visit = (node: ts.Node, breach: (what: string) => void, path: string) => void;

/** A rule that looks at every syntax node of every script. */
function syntaxRule(visit: Visit): Rule {
  return (tree) => {
    const breaches: string[] = [];
    for (const [path, text] of tree) {
      if (!isScript(path)) continue;
      const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
      const walk = (node: ts.Node): void => {
        const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
        visit(node, (what) => breaches.push(`${path}:${line} ${what}`), path);
        ts.forEachChild(node, walk);
      };
      walk(file);
    }
    return breaches;
  };
}

interface Import {
  /** The module as it is written. */
  name: string;
  /** True when nothing of it remains at run time. */
  typeOnly: boolean;
}

/** What a node imports: import and export declarations, import() calls and import('...') types. */
function importOf(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const name = node.moduleSpecifier;
    if (!name || !ts.isStringLiteral(name)) return undefined;
    if (ts.isExportDeclaration(node)) return { name: name.text, typeOnly: node.isTypeOnly };
    const bindings = node.importClause?.namedBindings;
    const onlyTypes =
      !node.importClause?.name &&
      bindings !== undefined &&
      ts.isNamedImports(bindings) &&
      bindings.elements.length > 0;
    const typeOnly =
      node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword ||
      (onlyTypes && bindings.elements.every((element) => element.isTypeOnly));
    return { name: name.text, typeOnly };
  }
  if (
    ts.isImportTypeNode(node) &&
    ts.isLiteralTypeNode(node.argument) &&
    ts.isStringLiteral(node.argument.literal)
  ) {
    return { name: node.argument.literal.text, typeOnly: true };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const name = node.arguments[0];
    if (name && ts.isStringLiteral(name)) return { name: name.text, typeOnly: false };
  }
  return undefined;
}

/** The file of this repository that an import names, or undefined for a package. */
function targetOf(path: string, name: string): string | undefined {
  if (name === 'ps3-webgpu') return 'ps3/index.ts';
  if (name === 'ps3-webgpu/engine') return 'engine/index.ts';
  if (name in twins) return posix.normalize(twins[name].default);
  return name.startsWith('.') ? posix.join(posix.dirname(path), name) : undefined;
}

const layerOf = (path: string): (typeof layers)[number] | undefined =>
  layers.find(([, prefix]) => prefix.test(path));

export const knownTopLevel: Rule = (tree) => {
  const allowed = topLevel.split(' ');
  const entries = new Set([...tree.keys()].map((path) => path.split('/')[0]));
  return [...entries]
    .filter((entry) => !allowed.includes(entry))
    .map((entry) => `${entry}:1 is not a top-level entry`);
};

export const importsPointDown: Rule = syntaxRule((node, breach, path) => {
  const imported = importOf(node);
  const target = imported && targetOf(path, imported.name);
  if (!target) return;
  const from = layerOf(path);
  const to = layerOf(target);
  if (!from || !to) breach(`imports ${target}: one of the two is in no layer`);
  else if (from[0] !== to[0] && !from[2].split(' ').includes(to[0]))
    breach(`${from[0]} must not import ${to[0]}: ${target}`);
});

/** A tensor knows the op that made it, and an op its tensors: types that refer to each other, in two files. */
const mayReferToEachOther = (path: string): boolean => path.startsWith('engine/tensor/');

export const noImportCycles: Rule = (tree) => {
  const graph = new Map<string, { target: string; line: string }[]>();
  const collect = syntaxRule((node, breach, path) => {
    const imported = importOf(node);
    const target = imported && targetOf(path, imported.name);
    if (target && !(imported.typeOnly && mayReferToEachOther(path))) breach(target);
  });
  for (const edge of collect(tree)) {
    const [line, target] = edge.split(' ');
    const path = line.replace(/:\d+$/, '');
    graph.set(path, [...(graph.get(path) ?? []), { target, line }]);
  }
  const breaches: string[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: string[]): void => {
    if (finished.has(path)) return;
    for (const { target, line } of graph.get(path) ?? []) {
      const start = trail.indexOf(target);
      if (start >= 0)
        breaches.push(`${line} closes a circle: ${[...trail.slice(start), target].join(' -> ')}`);
      else visit(target, [...trail, target]);
    }
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path, [path]);
  return breaches;
};

/** Of the engine, what others import: what it publishes, errors, and what builds, loads and serves sources. */
const doors = /^engine\/(index|wgsl|errors|bundle|parsed_shaders|page_server|wgsl_loader)\.(ts|mjs)$/;
const internalDoor = 'engine/internal.ts';

/** What goes round the engine's doors: other files of it, and the device behind `engine.gpu` or `tensor.gpu`. */
export const engineByItsDoor: Rule = syntaxRule((node, breach, path) => {
  const isBench = path.startsWith('bench/');
  const imported = importOf(node);
  const target = imported && targetOf(path, imported.name);
  if (target === internalDoor && !/^(bench|tests)\//.test(path)) breach(`imports ${target}: it is for bench`);
  if (!isBench && !path.startsWith('ps3/')) return;
  if (target?.startsWith('engine/') && target !== internalDoor && !doors.test(target))
    breach(`imports ${target}: use engine/index.ts${isBench ? ` or ${internalDoor}` : ''}`);
  const isDevice = ts.isPropertyAccessExpression(node) && node.name.text === 'gpu';
  const isOwn = isDevice && !(ts.isIdentifier(node.expression) && node.expression.text === 'navigator');
  const isTaken =
    ts.isBindingElement(node) &&
    ts.isObjectBindingPattern(node.parent) &&
    (node.propertyName ?? node.name).getText() === 'gpu';
  if (isOwn || isTaken) breach('reaches for the device: use what Engine and Tensor offer');
});

export const webgpuStaysInItsLayer: Rule = syntaxRule((node, breach, path) => {
  if (webgpuPlaces.test(path) || !ts.isIdentifier(node) || !/^GPU[A-Z]/.test(node.text)) return;
  breach(`${node.text} belongs in engine/gpu`);
});

/** Names that tell adapters apart. */
const asksAdapter = (node: ts.Node): boolean => {
  if (ts.isPropertyAccessExpression(node))
    return /^(isSoftware|adapterClass)$/.test(node.name.text) || /\btarget\.kind$/.test(node.getText());
  if (!ts.isBindingElement(node)) return false;
  const owner = node.parent.parent;
  const isTarget = ts.isParameter(owner) && owner.type?.getText() === 'Target';
  const name = (node.propertyName ?? node.name).getText();
  return /^(isSoftware|adapterClass)$/.test(name) || (isTarget && name === 'kind');
};

export const onlyPlansAskTheAdapter: Rule = syntaxRule((node, breach, path) => {
  if (!/^engine\/(ops|tensor|nn)\//.test(path) || !asksAdapter(node)) return;
  const owner = ts.findAncestor(node, ts.isFunctionDeclaration);
  if (!owner?.name || !/^plan[A-Z]/.test(owner.name.text))
    breach('asks what kind of adapter it runs on outside of a plan');
});

/** A shader, or a folder of shaders beside shaders/lib, is a kernel family; its ops are a file, or a folder of the same name. */
export const fourFilesPerKernel: Rule = (tree) => {
  const paths = [...tree.keys()];
  const families = new Map<string, string>();
  for (const path of paths) {
    const name = /^shaders\/(?!lib\/)(\w+)(\/\w+)?\.wgsl$/.exec(path)?.[1];
    if (name && !families.has(name)) families.set(name, path);
  }
  return [...families].flatMap(([name, path]) =>
    [
      path.split('/').length === 3 ? `engine/ops/${name}/${name}.ts` : `engine/ops/${name}.ts`,
      `tests/ops/${name}.test.ts`,
      `bench/ops/${name}.bench.ts`,
      `tests/reference/${name}.ts`,
    ]
      .filter((companion) => !tree.has(companion))
      .map((companion) => `${path}:1 has no ${companion}`),
  );
};

export const lowerSnakeCaseShaders: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => path.endsWith('.wgsl') && !/^[a-z0-9_/]+\.wgsl$/.test(path))
    .map((path) => `${path}:1 is not lower_snake_case`);

export const testsEndWithRun: Rule = (tree) =>
  [...tree]
    .filter(([path, text]) => path.endsWith('.test.ts') && !/\.run\(\);\n?$/.test(text))
    .map(([path, text]) => `${path}:${text.trimEnd().split('\n').length} does not end with .run()`);

export const atMost400Lines: Rule = (tree) =>
  [...tree]
    .map(([path, text]) => ({ path, lines: text.replace(/\n$/, '').split('\n').length }))
    .filter(({ path, lines }) => isSource(path) && lines > 400)
    .map(({ path, lines }) => `${path}:401 has ${lines} lines: it is two files`);

export const shadersAtMost110Columns: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.endsWith('.wgsl'))
    .flatMap(([path, text]) => placesOf(/^.{111}/, path, text))
    .map((place) => `${place} is longer than 110 columns`);

export const bindingsStateTheirShape: Rule = (tree) =>
  [...tree].flatMap(([path, text]) => {
    if (!path.endsWith('.wgsl')) return [];
    const structs = [...text.matchAll(/^struct +(\w+)/gm)].map(([, name]) => name);
    return [...text.matchAll(/@binding\([^;]*;.*/g)] // a declaration and the rest of its last line
      .filter(([declaration]) => {
        const comment = declaration.match(/\/\/(.*)/)?.[1] ?? '';
        const words = comment.split(/\W+/);
        return (
          !declaration.includes('var<uniform>') &&
          !/\[[^\]]+\]/.test(comment) &&
          !structs.some((name) => words.includes(name))
        );
      })
      .map(({ index }) => `${path}:${text.slice(0, index).split('\n').length} binding without a // [shape]`);
  });

export const noCatchAllNames: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => path.split('/').some((part) => /^(utils?|helpers?|common|misc)(\.|$)/.test(part)))
    .map((path) => `${path}:1 has a name that says nothing`);

export const noEscapesFromTypes: Rule = syntaxRule((node, breach) => {
  if (node.kind === ts.SyntaxKind.AnyKeyword) breach('has the type any');
  const isDoubleAssertion =
    ts.isAsExpression(node) &&
    ts.isAsExpression(node.expression) &&
    node.expression.type.kind === ts.SyntaxKind.UnknownKeyword;
  if (isDoubleAssertion) breach('asserts a type by way of unknown');
});

export const noEmptyCatch: Rule = syntaxRule((node, breach) => {
  if (ts.isCatchClause(node) && node.block.statements.length === 0) breach('catches an error and drops it');
});

const declaresUsing = (node: ts.Node): boolean =>
  ts.isVariableStatement(node) && (node.declarationList.flags & ts.NodeFlags.Using) !== 0;
const isAsync = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) &&
  !!ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);

/** Names of functions and methods of the tree that return promises. */
function asyncNames(tree: Tree): Set<string> {
  const names = new Set<string>();
  syntaxRule((node) => {
    if (!ts.isFunctionLike(node)) return;
    const { name } = ts.isArrowFunction(node) && ts.isVariableDeclaration(node.parent) ? node.parent : node;
    const isPromise = isAsync(node) || node.type?.getText().startsWith('Promise<');
    if (name && ts.isIdentifier(name) && isPromise) names.add(name.text);
  })(tree);
  return names;
}

function callsOf(node: ts.Expression): ts.CallExpression[] {
  if (ts.isConditionalExpression(node)) return [...callsOf(node.whenTrue), ...callsOf(node.whenFalse)];
  return ts.isCallExpression(node) ? [node] : [];
}

/** What `using` holds is gone when a function returns, though its promise may need it still. */
export const promisesAwaitedUnderUsing: Rule = (tree) => {
  const names = asyncNames(tree);
  return syntaxRule((node, breach) => {
    if (!ts.isReturnStatement(node) || !node.expression) return;
    const called = callsOf(node.expression).some(({ expression }) => {
      const name = ts.isPropertyAccessExpression(expression) ? expression.name : expression;
      return ts.isIdentifier(name) && names.has(name.text);
    });
    const used: boolean[] = [];
    let at: ts.Node;
    for (at = node; !ts.isFunctionLike(at) && at.parent; at = at.parent) {
      const { parent } = at;
      if (ts.isBlock(parent))
        used.push(
          parent.statements.slice(0, parent.statements.indexOf(at as ts.Statement)).some(declaresUsing),
        );
    }
    if (called && isAsync(at) && used.includes(true)) breach('returns a promise that outlives what is used');
  })(tree);
};

export const noExportStar: Rule = syntaxRule((node, breach) => {
  if (ts.isExportDeclaration(node) && !node.exportClause) breach('exports names without listing them');
});

/** `Picture_1A` is the name of a photograph. */
export const subjectIsAnImage: Rule = (tree) =>
  [...tree]
    .flatMap(([path, text]) => placesOf(/pict[u]re(?!_\d)/i, path, text))
    .map((place) => `${place} calls an image something else`);

export const noOpenTasks: Rule = (tree) =>
  [...tree]
    .filter(([path]) => isSource(path))
    .flatMap(([path, text]) => placesOf(/\b(TO[D]O|FIX[M]E)\b/, path, text))
    .map((place) => `${place} leaves a task open`);

/** Words of this project alone, in the names of shaders: what the field or this project says everywhere else. */
const privateNames: [pattern: RegExp, instead: string][] = [
  [
    /^(?:const|alias|override)\s+(?:WORKGROUP\w*|WG_SIZE|\w*GROUP_SIZE|GROUP|THREADS|INVOCATIONS)\b/,
    'WG, or a name that ends in _WG',
  ],
  [/@workgroup_size\((?!\d+\)|(?:\w+_)?WG\))/, 'WG, or a name that ends in _WG'],
  [/^(?:const|alias|override)\s+(?:LANES|COLUMNS|COLS|ROWS|WIDTH\w*|SPAN)\b/, 'SUBGROUP, THREAD_M/N, WG_M/N'],
  [/^(?:const|alias|override)\s+(?:NEAR_\w+|PARTS_\w+|HALVES|K_TILE)\b/, 'SUBGROUP_M/N, SQUARES_M/N, TILE_K'],
  [/^alias\s+(?:Lane|Value|Element|Cell|Part|Source|Count|Bits|Real)\b/, 'Vec, UVec, FVec, or Scalar'],
  [/^(?:const\s+|\s+)\w*(?:chunk|strip|slab|parts|piece)\w*\s*:/i, 'split'],
];

/** The same in the sentences of shaders and engine. */
const privatePhrases: [pattern: RegExp, instead: string][] = [
  [/\bturned\b/i, 'transposed, rotated or made'],
  [/\bon (?:its|their) way\b/i, 'in flight'],
  [/\bwr(?:ites?|itten) out\b/i, 'unrolled, copied or stored'],
  [/\bhand(?:s|ed|ing)? round\b/i, 'broadcast'],
  [/\b(?:deals?|dealt|shares?|shared) out\b/i, 'distribute or assign'],
  [/\bof one's own\b/i, 'custom'],
  [/\bdear\b/i, 'expensive'],
];

export const privateWords: Rule = (tree) =>
  [...tree].flatMap(([path, text]) => {
    const isShader = path.endsWith('.wgsl');
    const words = [
      ...(isShader ? privateNames : []),
      ...(isShader || (path.startsWith('engine/') && isScript(path)) ? privatePhrases : []),
    ];
    return words.flatMap(([pattern, instead]) =>
      placesOf(pattern, path, text).map((place) => `${place} has a private word: use ${instead}`),
    );
  });
