// Opens the HTML report in a real headless browser and uses it as a person does.
// Run by `make browser`; needs the binary, Chromium, and this folder's packages.
//
//   node report.mjs [--merlon BIN] [--chromium BIN] [--screenshots DIR] [--limits]
//
// Times are printed. They are held to the limits of the issue only with
// --limits: a test that asserts on a clock fails on a busy machine.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({ options: {
  merlon: { type: 'string', default: join(here, '../../bin/merlon') },
  chromium: { type: 'string', default: '/usr/bin/chromium' },
  screenshots: { type: 'string' },
  limits: { type: 'boolean', default: false },
} });
const axe = readFileSync(join(here, 'node_modules/axe-core/axe.min.js'), 'utf8');
const work = mkdtempSync(join(tmpdir(), 'merlon-browser-'));
if (flags.screenshots) mkdirSync(flags.screenshots, { recursive: true });

// scan makes a report of a folder; findings are no failure here.
function scan(name, ...args) {
  const file = join(work, name + '.html');
  try {
    execFileSync(resolve(flags.merlon), ['scan', '-o', 'html=' + file, '--fail-on', 'none', ...args], { cwd: join(here, '../..'), stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (e) {
    if (e.status !== 3) throw e; // gaps
  }
  return file;
}

// open opens a report in a page of its own, which may ask for nothing.
async function open(browser, file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 850 }, ...options });
  const page = await context.newPage();
  page.seen = { requests: [], errors: [], dialogs: 0 };
  page.on('request', (r) => page.seen.requests.push(r.url()));
  page.on('pageerror', (e) => page.seen.errors.push(String(e)));
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') page.seen.errors.push(m.text()); });
  page.on('dialog', (d) => { page.seen.dialogs += 1; d.dismiss(); });
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => performance.getEntriesByName('ready').length > 0);
  return page;
}

async function quiet(page, file) {
  assert.deepEqual(page.seen.requests, [pathToFileURL(file).href], 'a request left the page');
  assert.deepEqual(page.seen.errors, [], 'the browser complains');
  assert.equal(page.seen.dialogs, 0, 'a dialog was opened');
  await page.context().close();
}

// accessible runs axe. The page's policy lets no script in, so that it comes by
// the debugger, which the policy does not bind.
async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical' || v.tags.some((t) => t.startsWith('wcag')));
  assert.deepEqual(bad.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html.slice(0, 120) + ' ' + n.failureSummary).slice(0, 3)]), [], what);
  assert.ok(passes.length > 10, 'axe looked at too little');
  return violations.map((v) => v.id);
}

const shot = async (page, name) => { if (flags.screenshots) await page.screenshot({ path: join(flags.screenshots, name + '.png') }); };
const text = (page, selector) => page.locator(selector).innerText();
const count = (page) => text(page, '#count');

const tests = {
  async 'what to mend first, evidence, fix, frameworks'(browser) {
    const file = scan('shop', 'examples/shop');
    const page = await open(browser, file);
    assert.match(await text(page, '#rows .row >> nth=0'), /critical/);
    assert.match(await count(page), /^\d+ mistakes, \d+ findings$/);
    await page.locator('.row', { hasText: 'Container runs privileged' }).click();
    const detail = await text(page, '#detail');
    for (const part of ['Container runs privileged', 'workload/privileged-container', 'examples/shop/shop.yaml:34:13', 'allowPrivilegeEscalation: false', 'cis-1.12 5.2.2']) assert.ok(detail.includes(part), part);
    await shot(page, 'mend-first');
    await page.locator('#detail .findings button').first().click();
    assert.match(await text(page, '#detail pre >> nth=0'), /^# examples\/shop\/shop.yaml:34:13\nspec:\n[^]*securityContext:\n.*privileged: true$/);
    const password = /DB_PASSWORD[^]*?value: *"?([^"\n}]+)/.exec(readFileSync(join(here, '../../examples/shop/shop.yaml'), 'utf8'))[1];
    assert.ok(password.length > 10 && !(await page.content()).includes(password), 'a secret value is on the page');
    assert.equal(await page.locator('#framework').isVisible(), false);
    await shot(page, 'finding');
    await page.locator('#detail .chip', { hasText: 'nsa' }).click();
    assert.match(await text(page, '#detail h2'), /^NSA-POD-05/);
    await shot(page, 'frameworks');
    await page.locator('#framework').selectOption({ label: 'mitre-attack-containers' });
    assert.match(await text(page, '#note'), /Never a pass/);
    assert.equal(await page.locator('#note .badge.pass').count(), 0);
    await shot(page, 'coverage');
    await quiet(page, file);
  },

  async 'filters'(browser) {
    const page = await open(browser, join(work, 'shop.html'));
    const all = await count(page);
    await page.locator('#text').fill('privileged shop.yaml');
    await page.waitForFunction((was) => document.getElementById('count').value !== was, all);
    assert.match(await text(page, '#rows .row >> nth=0'), /privileged/);
    await page.locator('#text').fill('nothing like this');
    await page.waitForFunction(() => !document.getElementById('empty').hidden);
    assert.match(await text(page, '#empty'), /Nothing matches/);
    await page.locator('#clear').click();
    assert.equal(await count(page), all);
    await page.locator('.level.high').click();
    assert.equal(await page.locator('#rows .badge:not(.high)').count(), 0);
    assert.equal(await page.locator('.level.high').getAttribute('aria-pressed'), 'true');
    await page.locator('.level.high').click();
    await page.locator('#kind').selectOption('ClusterRoleBinding');
    assert.match(await count(page), /finding/);
    await page.locator('#view-1').click();
    assert.equal(await page.locator('.row').count(), 1);
    await shot(page, 'by-workload');
    await page.context().close();
  },

  async 'keyboard alone'(browser) {
    const page = await open(browser, join(work, 'shop.html'));
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'text');
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'list');
    const first = await text(page, '#detail h2');
    await page.keyboard.press('ArrowDown');
    assert.notEqual(await text(page, '#detail h2'), first);
    assert.equal(await page.locator('.row[aria-selected=true]').getAttribute('id'), await page.locator('#list').getAttribute('aria-activedescendant'));
    await page.keyboard.press('End');
    assert.ok(await page.locator('.row[aria-selected=true]').isVisible());
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2');
    await page.keyboard.press('Escape');
    await page.keyboard.press('3');
    assert.match(await count(page), /^\d+ findings$/);
    await page.context().close();
  },

  async 'WCAG AA in every view, light and dark, wide and narrow'(browser) {
    const seen = new Set();
    writeFileSync(join(work, 'broken.yaml'), 'a: [\n');
    const file = scan('gaps', 'examples/shop', join(work, 'broken.yaml'));
    for (const colorScheme of ['light', 'dark']) {
      for (const viewport of [{ width: 1360, height: 850 }, { width: 420, height: 800 }]) {
        const page = await open(browser, file, { colorScheme, viewport });
        for (const view of [0, 1, 2, 3, 4]) {
          await page.locator('#view-' + view).click();
          for (const id of await accessible(page, `${colorScheme}, ${viewport.width} wide, view ${view}`)) seen.add(id);
        }
        await shot(page, `gaps-${colorScheme}-${viewport.width}`);
        await page.locator('#view-0').click();
        await shot(page, `${colorScheme}-${viewport.width}`);
        await page.locator('#theme').click();
        await accessible(page, `${colorScheme}, switched over`);
        await page.context().close();
      }
    }
    return seen.size ? 'axe also says: ' + [...seen].join(', ') : 'axe says nothing at all';
  },

  async 'gaps are told, and no findings are not well'(browser) {
    const file = scan('onlygaps', join(work, 'broken.yaml'));
    const page = await open(browser, file);
    assert.match(await text(page, '.gapbar'), /1 gap: not seen, so not judged/);
    assert.match(await text(page, '#empty'), /But see the gaps/);
    await page.locator('#showgaps').click();
    assert.match(await text(page, '#detail'), /broken\.yaml:\d/);
    await quiet(page, file);
  },

  async 'hostile names are text'(browser) {
    const evil = ['</script><script>alert(1)</script>', '<img src=x onerror=alert(1)>', '"><svg onload=alert(1)>', 'javascript:alert(1)', '{{alert(1)}}', '${alert(1)}', '\u202eevil', '__proto__', 'constructor', '<!--', ']]>'];
    const docs = evil.map((name) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: name, annotations: { [name]: name } }, spec: { hostNetwork: true, containers: [{ name, image: name, securityContext: { privileged: true, capabilities: { add: [name] } }, env: [{ name, value: name }] }] } }));
    const source = join(work, 'evil.json');
    writeFileSync(source, docs.map((d) => JSON.stringify(d)).join('\n'));
    const file = scan('evil', '--all', source);
    const page = await open(browser, file);
    for (const view of [0, 1, 2, 3, 4]) {
      await page.locator('#view-' + view).click();
      for (let i = 0; i < 30; i++) await page.keyboard.press('ArrowDown');
    }
    await page.locator('#view-1').click();
    assert.ok((await text(page, '#rows')).includes('<img src=x onerror=alert(1)>'));
    assert.equal(await page.locator('img, svg, iframe, object, a:not(.skip)').count(), 0);
    assert.equal(await page.locator('script').count(), 2);
    assert.ok(!(await page.evaluate(() => document.body.innerText)).includes('\u202e'));
    await quiet(page, file);
  },

  async 'fifty thousand findings'(browser) {
    const docs = [];
    for (let i = 0; i < 3000; i++) {
      docs.push(`apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web-${i}, namespace: team-${i % 40}}\nspec:\n  selector: {matchLabels: {app: web-${i}}}\n  template:\n    metadata: {labels: {app: web-${i}}}\n    spec:\n      hostNetwork: ${i % 7 === 0}\n      containers:\n        - {name: app, image: "registry.example.com/web-${i}:latest", securityContext: {privileged: ${i % 5 === 0}}}\n        - {name: proxy, image: "registry.example.com/proxy:1.${i % 9}"}\n`);
    }
    const source = join(work, 'many.yaml');
    writeFileSync(source, docs.join('---\n'));
    const file = scan('many', '--all', source);
    const size = readFileSync(file).length;
    const page = await open(browser, file);
    const figures = await page.evaluate(() => ({
      paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
      ready: performance.getEntriesByName('ready')[0].startTime,
      total: JSON.parse(document.getElementById('data').textContent).findings.length,
    }));
    assert.ok(figures.total >= 50_000, `only ${figures.total} findings`);
    await page.locator('#view-2').click();
    assert.ok(await page.locator('.row').count() < 60, 'every row is in the document');
    await shot(page, 'fifty-thousand');
    const times = [];
    const filters = [
      () => page.locator('#text').fill('web-27 proxy'), () => page.locator('#text').fill('privileged'), () => page.locator('#text').fill(''),
      () => page.locator('.level.critical').click(), () => page.locator('.level.critical').click(),
      () => page.locator('#namespace').selectOption('=team-7'), () => page.locator('#namespace').selectOption(''), () => page.locator('#view-0').click(), () => page.locator('#view-1').click(),
    ];
    for (const filter of filters) {
      await page.evaluate(() => performance.clearMeasures());
      await filter();
      await page.waitForFunction(() => performance.getEntriesByName('filter').length > 0);
      times.push(await page.evaluate(() => Math.max(...performance.getEntriesByName('filter').map((m) => m.duration))));
    }
    await page.locator('#view-2').click();
    await page.locator('#list').focus();
    await page.keyboard.press('End');
    assert.ok(await page.locator('.row[aria-selected=true]').isVisible(), 'the last row is out of reach');
    const slowest = Math.max(...times);
    if (flags.limits) assert.ok(figures.paint < 2000 && slowest < 200, JSON.stringify({ figures, times }));
    await quiet(page, file);
    return `${figures.total} findings, ${(size / 1e6).toFixed(1)} MB: first paint ${Math.round(figures.paint)} ms, ready ${Math.round(figures.ready)} ms, filters ${times.map(Math.round).join(" ")} ms`;
  },
};

let failed = 0;
const browser = await chromium.launch({ executablePath: flags.chromium, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
console.log('Chromium ' + browser.version());
for (const [name, test] of Object.entries(tests)) {
  try {
    const said = await test(browser);
    console.log('ok   ' + name + (said ? ': ' + said : ''));
  } catch (e) {
    failed += 1;
    console.log('FAIL ' + name + '\n' + (e.stack || e));
  }
}
await browser.close();
rmSync(work, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
