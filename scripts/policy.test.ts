// SPDX-License-Identifier: GPL-2.0-only
/** The polkit policy lets pkexec run the one helper that the package installs, and asks for an administrator each time or session. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { INSTALLED_HELPER } from '../main/host/native/helper-session.ts';
import { findProgram } from './tools-table.mjs';

const path = join(import.meta.dirname, '../assets/linux/io.github.diolab.policy');
const text = readFileSync(path, 'utf8');
const all = (pattern: RegExp): (string | undefined)[] =>
  [...text.matchAll(pattern)].map((match) => match[1]);

describe('the polkit policy', () => {
  it('has one action, for the path that the lab starts', () => {
    expect(all(/<action id="([^"]*)"/gu)).toEqual(['io.github.diolab.helper.run']);
    expect(all(/policykit\.exec\.path">([^<]*)</gu)).toEqual([INSTALLED_HELPER]);
    expect(all(/<annotate key="([^"]*)"/gu)).toEqual(['org.freedesktop.policykit.exec.path']);
  });
  it('asks for an administrator, and remembers it for the active session only', () => {
    expect(all(/<allow_any>([^<]*)</gu)).toEqual(['auth_admin']);
    expect(all(/<allow_inactive>([^<]*)</gu)).toEqual(['auth_admin']);
    expect(all(/<allow_active>([^<]*)</gu)).toEqual(['auth_admin_keep']);
  });
  const xmllint = findProgram('xmllint');
  it.skipIf(xmllint === null)(
    `is well-formed XML${xmllint === null ? ' [xmllint is missing]' : ''}`,
    () => {
      expect(execFileSync(xmllint ?? '', ['--noout', '--nonet', path], { encoding: 'utf8' })).toBe(
        '',
      );
    },
  );
});
