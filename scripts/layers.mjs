// SPDX-License-Identifier: GPL-2.0-only
/**
 * `npm run layers [-- --write]`: checks every import of every source file against scripts/layers-table.mjs, through the TypeScript
 * parser. An error is: a file that matches no row, an import that its row does not allow, a module that its list does not name, a
 * file that nothing builds, and a table in docs/ARCHITECTURE.md that is not the one made from the data (`--write` writes it).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { targets } from './build-targets.mjs';
import { layers, testExtras } from './layers-table.mjs';

const sourceRoots = ['engine', 'main', 'renderer', 'test', 'scripts', 'bin'];
const isSource = (name) => /\.(ts|mts|mjs|js|vue)$/.test(name);
const isTest = (file) => file.endsWith('.test.ts');

const globCache = new Map();
/** True where `file` matches the glob: `*` within one folder, `**` at any depth. */
export function matches(glob, file) {
  let pattern = globCache.get(glob);
  if (pattern === undefined) {
    const text = glob
      .split(/(\*\*|\*)/)
      .map((part) => {
        if (part === '**') return '.*';
        if (part === '*') return '[^/]*';
        return part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
      })
      .join('');
    pattern = new RegExp(`^${text}$`);
    globCache.set(glob, pattern);
  }
  return pattern.test(file);
}
const matchesAny = (globs, file) => (globs ?? []).some((glob) => matches(glob, file));

/** All source files below the root, '/' separated. */
export function sourceFiles(root) {
  const files = [];
  const visit = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules') visit(path);
      } else if (isSource(entry.name)) files.push(path);
    }
  };
  for (const folder of sourceRoots) if (existsSync(join(root, folder))) visit(folder);
  return files.sort();
}

/** The script of a .vue file, by lines so that line numbers stay. */
function scriptOf(file, text) {
  if (!file.endsWith('.vue')) return text;
  let kept = '';
  let end = 0;
  for (const match of text.matchAll(/<script\b[^>]*>([\s\S]*?)<\/script>/g)) {
    const start = match.index + match[0].indexOf('>') + 1;
    kept += text.slice(end, start).replace(/[^\n]/g, ' ') + match[1];
    end = start + match[1].length;
  }
  return kept;
}

/** `new URL('./worker.ts', import.meta.url)`: how a worker is named, and built. */
const isWorkerAddress = (node) =>
  ts.isNewExpression(node) &&
  ts.isIdentifier(node.expression) &&
  node.expression.text === 'URL' &&
  node.arguments?.length === 2 &&
  ts.isStringLiteralLike(node.arguments[0]) &&
  /^\.\.?\/.*\.ts$/.test(node.arguments[0].text);

/** Every import of a file: `{ specifier, typeOnly, line }`; re-exports, `import()` and `new URL('./x.ts', import.meta.url)` too. */
export function importsOf(file, text) {
  const source = ts.createSourceFile(
    file,
    scriptOf(file, text),
    ts.ScriptTarget.Latest,
    true,
    ts.ScriptKind.TS,
  );
  const found = [];
  const add = (node, typeOnly) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    found.push({ specifier: node.text, typeOnly, line: line + 1 });
  };
  const isTypeOnly = (node) => {
    if (node.isTypeOnly === true || node.importClause?.isTypeOnly === true) return true;
    const named = node.importClause?.namedBindings ?? node.exportClause;
    const elements = named?.elements;
    const hasDefault = node.importClause?.name !== undefined;
    return (
      !hasDefault &&
      elements !== undefined &&
      elements.length > 0 &&
      elements.every((e) => e.isTypeOnly)
    );
  };
  const visit = (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      add(node.moduleSpecifier, isTypeOnly(node));
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    } else if (ts.isCallExpression(node) && node.arguments.length > 0) {
      const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
      const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require';
      if ((isImport || isRequire) && ts.isStringLiteralLike(node.arguments[0])) {
        add(node.arguments[0], false);
      }
    } else if (isWorkerAddress(node)) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const packageOf = (specifier) => {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
};
const allowsPackage = (list, specifier) =>
  (list ?? []).some(
    (entry) =>
      entry === '*' || entry === specifier || (entry.endsWith('/') && specifier.startsWith(entry)),
  );

/** The module of one kind that a file belongs to, for rows with `modules`: 'engine/devices/*' gives 'engine/devices/model'. */
function moduleOf(glob, file) {
  const depth = glob.split('/').length;
  const parts = file.split('/').slice(0, depth);
  const last = parts.length - 1;
  parts[last] = parts[last].replace(/(\.test)?\.ts$/, '');
  return parts.join('/');
}

/** Why this import is not allowed; null where it is. */
function refusal(row, file, target, { specifier, typeOnly }) {
  const extras = isTest(file) ? testExtras : {};
  if (target === null) {
    if (isBuiltin(specifier)) {
      return row.node || extras.node ? null : `${row.name} may not import Node's ${specifier}`;
    }
    const allowed =
      allowsPackage(row.packages, specifier) ||
      allowsPackage(extras.packages, specifier) ||
      (typeOnly && allowsPackage(row.typePackages, packageOf(specifier)));
    return allowed ? null : `${row.name} may not import the package ${specifier}`;
  }
  if (matchesAny(extras.may, target) || matchesAny(row.may, target)) return null;
  if (typeOnly && matchesAny(row.mayTypes, target)) return null;
  if (matchesAny(row.files, target) && rowOf(target) === row) {
    if (row.modules === undefined) return null;
    return moduleOf(row.modules, file) === moduleOf(row.modules, target)
      ? null
      : `modules of one kind never import each other: ${target}`;
  }
  const kind = matchesAny(row.mayTypes, target) ? ' (only types from it)' : '';
  return `${row.name} may not import ${target}${kind}`;
}

const rowOf = (file) => layers.find((row) => matchesAny(row.files, file));

/** Target of a relative import, '/' separated from the root; null for a package. */
const resolveImport = (file, specifier) =>
  specifier.startsWith('.')
    ? posix.join(posix.dirname(file), specifier.replace(/\?.*$/, ''))
    : null;

/** Checks files given as a map path -> text. Returns errors as lines. */
export function checkImports(texts) {
  const errors = [];
  for (const [file, text] of texts) {
    const row = rowOf(file);
    if (row === undefined) {
      errors.push(`${file}: matches no row of scripts/layers-table.mjs`);
      continue;
    }
    for (const found of importsOf(file, text)) {
      const target = resolveImport(file, found.specifier);
      const why = refusal(row, file, target, found);
      if (why !== null) errors.push(`${file}:${String(found.line)}: ${why}`);
    }
  }
  return errors;
}

/** Modules (folders or files beside a list's index.ts) that the list does not import. */
export function checkLists(texts) {
  const errors = [];
  for (const row of layers.filter((each) => each.list !== undefined)) {
    const folder = posix.dirname(row.list);
    const index = `${folder}/index.ts`;
    const text = texts.get(index);
    const modules = new Set();
    for (const file of texts.keys()) {
      if (!file.startsWith(`${folder}/`) || isTest(file) || matchesAny(row.files, file)) continue;
      const name = moduleOf(row.list, file);
      if (!posix.basename(name).startsWith('_')) modules.add(name);
    }
    if (modules.size === 0) continue;
    const named = new Set(
      text === undefined
        ? []
        : importsOf(index, text).map(({ specifier }) =>
            moduleOf(row.list, resolveImport(index, specifier) ?? specifier),
          ),
    );
    for (const name of modules) {
      if (!named.has(name)) errors.push(`${name}: is not named in ${index}`);
    }
  }
  return errors;
}

/** Sources that no build target reaches, from the targets' entries on; types count as reached. */
export function checkBuilt(texts, entries) {
  const reached = new Set();
  const waiting = [...entries];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file) || !texts.has(file)) continue;
    reached.add(file);
    for (const { specifier } of importsOf(file, texts.get(file))) {
      const target = resolveImport(file, specifier);
      if (target !== null) waiting.push(target);
    }
  }
  const counted = (file) =>
    /^(engine|main|renderer)\//.test(file) && !isTest(file) && !file.endsWith('.d.ts');
  return [...texts.keys()]
    .filter((file) => counted(file) && !reached.has(file))
    .map((file) => `${file}: nothing builds it`);
}

/** Entries of all build targets; the page's come from its index.html. */
function buildEntries(root) {
  const entries = [];
  for (const source of targets.flatMap((target) => Object.values(target.entries))) {
    if (!source.endsWith('.html')) {
      entries.push(source);
      continue;
    }
    if (!existsSync(join(root, source))) continue;
    const html = readFileSync(join(root, source), 'utf8');
    for (const [, path] of html.matchAll(/<script[^>]*\bsrc="([^"]+)"/g)) {
      entries.push(posix.join(posix.dirname(source), path.replace(/^\//, '')));
    }
  }
  return entries;
}

const startMark =
  '<!-- layers: generated by `npm run layers -- --write` -->\n<!-- prettier-ignore-start -->';
const endMark = '<!-- prettier-ignore-end -->\n<!-- /layers -->';

/** The table as Markdown. */
export function layerTable() {
  const code = (list) => list.map((entry) => `\`${entry.replace(/\/\*\*$/, '')}\``).join(', ');
  const rows = layers.map((row) => {
    const parts = [];
    if (row.may.length > 0) parts.push(code(row.may));
    if ((row.mayTypes ?? []).length > 0) parts.push(`types of ${code(row.mayTypes)}`);
    const packages = [...new Set((row.packages ?? []).map((entry) => entry.replace(/\/$/, '')))];
    if (row.node) packages.unshift('Node');
    const allowed = parts.join('; ') || 'nothing';
    return `| ${row.name} | ${allowed} | ${packages.join(', ').replace('*', 'any') || '-'} |`;
  });
  return ['| from | may import | packages |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The document with the table in its place. */
export function withTable(document) {
  const start = document.indexOf(startMark);
  const end = document.indexOf(endMark);
  if (start < 0 || end < start)
    throw new Error(`the marks ${startMark} and ${endMark} are missing`);
  return `${document.slice(0, start + startMark.length)}\n\n${layerTable()}\n\n${document.slice(end)}`;
}

/** Everything, on the checkout at `root`; errors as lines. */
export function checkLayers(root, write = false) {
  const texts = new Map(
    sourceFiles(root).map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );
  const errors = [...checkImports(texts), ...checkLists(texts)];
  errors.push(...checkBuilt(texts, buildEntries(root)));
  const documentPath = join(root, 'docs/ARCHITECTURE.md');
  const document = readFileSync(documentPath, 'utf8');
  const current = withTable(document);
  if (write) writeFileSync(documentPath, current);
  else if (current !== document) {
    errors.push(
      'docs/ARCHITECTURE.md: the layer table is not current; run `npm run layers -- --write`',
    );
  }
  return { errors, fileCount: texts.size };
}

if (process.argv[1] === import.meta.filename) {
  const root = dirname(import.meta.dirname);
  const { errors, fileCount } = checkLayers(root, process.argv.includes('--write'));
  for (const line of errors) console.error(line);
  console.log(`layers: ${String(fileCount)} files, ${String(errors.length)} errors`);
  process.exitCode = errors.length === 0 ? 0 : 1;
}
