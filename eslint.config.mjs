// SPDX-License-Identifier: GPL-2.0-only
// Lint: what the compiler does not see. Type-aware for everything of ours; floating promises are errors everywhere, .vue files too.
import pluginVue from 'eslint-plugin-vue';
import tseslint from 'typescript-eslint';
import vueParser from 'vue-eslint-parser';

/** Every source file says its licence in its first line (the second, after `#!`). */
const licenceLine = {
  meta: { type: 'problem', schema: [], messages: { missing: 'The SPDX licence line is missing' } },
  create: (context) => ({
    Program(node) {
      const head = context.sourceCode.lines.slice(0, 2).join('\n');
      if (!/SPDX-License-Identifier: GPL-2\.0-only/.test(head)) {
        context.report({ node, messageId: 'missing' });
      }
    },
  }),
};

const ourRules = {
  'diolab/licence-line': 'error',
  'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
  eqeqeq: ['error', 'always'],
  'no-console': 'off',
  'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'], location: 'start' }],
};
const typeRules = {
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': [
    'error',
    { considerDefaultExhaustiveForUnions: true },
  ],
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
  // Ported code returns bytes or -errno, and writes numbers into text everywhere: both are safe to print.
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
};

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'out/',
      'coverage/',
      'node_modules/',
      'test/golden/',
      'bench-results/',
      'test-results/',
    ],
  },
  { plugins: { diolab: { rules: { 'licence-line': licenceLine } } } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        project: [
          'engine/tsconfig.json',
          'main/tsconfig.json',
          'main/desktop/tsconfig.json',
          'renderer/tsconfig.json',
          'test/tsconfig.json',
          'scripts/tsconfig.json',
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: { ...ourRules, ...typeRules },
  },
  {
    files: ['**/*.vue'],
    extends: [tseslint.configs.recommendedTypeChecked, pluginVue.configs['flat/recommended']],
    languageOptions: {
      parser: vueParser,
      parserOptions: {
        parser: tseslint.parser,
        project: ['renderer/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.vue'],
      },
    },
    rules: {
      ...ourRules,
      ...typeRules,
      // Formatting belongs to prettier.
      'vue/html-indent': 'off',
      'vue/html-self-closing': 'off',
      'vue/html-closing-bracket-newline': 'off',
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/multiline-html-element-content-newline': 'off',
      'vue/multi-word-component-names': 'off',
    },
  },
  {
    // typescript-eslint does not see into .vue files, so that what comes out of them has no type for it; vue-tsc checks those.
    files: ['renderer/**'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-redundant-type-constituents': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: { ecmaVersion: 2024, sourceType: 'module' },
    rules: { ...ourRules, 'no-undef': 'off', 'no-unused-vars': 'error' },
  },
  { files: ['test/support/chromedriver/*.js'], languageOptions: { sourceType: 'commonjs' } },
  {
    // A block of tests is one function by its nature; loose values are what tests feed in.
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: {
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
);
