// What the page does: views, filters, keys.

const $ = (id) => document.getElementById(id);
const state = { view: 0, text: '', status: '0', levels: new Set(), controls: new Set(), namespace: '', kind: '', framework: 0, verdict: '' };
const list = new List($('list'), $('rows'), 56);

const two = (badges, title, small, end) => [badges, el('span', { class: 'what' }, el('b', {}, title), el('small', {}, small)), el('span', { class: 'end' }, end || '')];

// The views: what they list, how a row looks, and what the detail shows.
const views = [{
  name: 'Mend first', items: () => byControl(filtered(state)), count: (n, rows) => plural(n, 'mistake') + ', ' + plural(rows, 'finding'),
  row: (g) => two(levelBadge(g.first), controls[g.first[CONTROL]].title, controls[g.first[CONTROL]].id, plural(g.others, 'object')),
  detail: showControl, size: (g) => g.rows.length,
}, {
  name: 'By workload', items: () => byWorkload(filtered(state)), count: (n, rows) => plural(n, 'object') + ', ' + plural(rows, 'finding'),
  row: (g) => two(badge(levels[4 - [4, 3, 2, 1].findIndex((l) => g.counts[l])] || 'low'), g.name, plural(g.others, 'mistake'), g.rows.length.toLocaleString('en')),
  detail: showWorkload, size: (g) => g.rows.length,
}, {
  name: 'All findings', items: () => filtered(state), count: (n) => plural(n, 'finding'),
  row: (r) => two(levelBadge(r), controls[r[CONTROL]].title, subjectOf(r) + ' · ' + placeOf(r), ['', 'waived', 'known'][statusOf(r)]),
  detail: (r) => showFinding(r), size: () => 1,
}, {
  name: 'Frameworks', items: frameworkItems, count: (n) => plural(n, 'item'),
  row: (i) => two(badge(i.verdict, i.verdict.replaceAll('-', ' ')), i.id + ' ' + i.title, i.section || '', i.findings ? plural(i.findings, 'finding') : ''),
  detail: (i) => showItem(i, frameworks[state.framework]), size: () => 0,
}, {
  name: 'Gaps', items: () => gaps.filter((g) => matchesText([0, 1, 4, 5].map((i) => strings[g[i]]).join(' '))), count: (n) => plural(n, 'gap'),
  row: (g) => two(badge('gap'), strings[g[5]] || strings[g[0]], place(g[1], g[2], g[3]), strings[g[0]]),
  detail: showGap, size: () => 0,
}];

const matchesText = (text) => state.text.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));

function frameworkItems() {
  const f = frameworks[state.framework];
  return f ? f.items.filter((i) => (!state.verdict || i.verdict === state.verdict) && matchesText([i.id, i.title, i.section, ...(i.controls || [])].join(' '))) : [];
}

// update shows what the filters let through. keep says which item to stay at.
function update(keep) {
  performance.mark('filter-start');
  const view = views[state.view], items = view.items();
  list.set(items, view.row, keep);
  $('count').value = view.count(items.length, items.reduce((n, x) => n + view.size(x), 0));
  $('empty').hidden = items.length > 0;
  $('empty').textContent = items.length ? '' : emptyText();
  note();
  if (list.active >= 0) view.detail(items[list.active]);
  else show(heading('Nothing selected'));
  performance.measure('filter', 'filter-start');
}

function emptyText() {
  if (state.view === 4) return gaps.length ? 'No gap matches.' : 'No gaps: everything that was named could be read.';
  if (state.view === 3) return frameworks.length ? 'No item matches.' : 'No framework was asked for.';
  return findings.length ? 'Nothing matches these filters.' : 'No findings.' + (gaps.length ? ' But see the gaps.' : '');
}

// note tells how the chosen framework stands, above its items.
function note() {
  const f = state.view === 3 && frameworks[state.framework];
  $('note').hidden = !f;
  if (!f) return;
  const totals = Object.entries(f.totals).filter(([, n]) => n).map(([v, n]) => badge(v, n + ' ' + v.replaceAll('-', ' ')));
  $('note').replaceChildren(el('b', {}, f.title), ' ', ...totals, f.view === 'coverage' ? ' A list of attacks: guarded means looked at and nothing found. Never a pass.' : '');
}

function go(view, keep) {
  state.view = view;
  [...$('views').children].forEach((tab, i) => {
    tab.setAttribute('aria-selected', String(i === view));
    tab.tabIndex = i === view ? 0 : -1;
  });
  $('panel').setAttribute('aria-labelledby', 'view-' + view);
  document.body.dataset.view = view;
  update(keep);
}

function openControls(ids) {
  state.controls = new Set(ids);
  $('control').value = ids.length === 1 ? ids[0] : '';
  go(2);
  list.box.focus();
}

function openFramework(name, item) {
  const i = frameworks.findIndex((f) => f.name === name);
  if (i < 0) return;
  state.framework = i;
  $('framework').value = i;
  state.text = $('text').value = '';
  state.verdict = $('verdict').value = '';
  go(3, (x) => x.id === item);
}

function options(select, any, texts, valueOf) {
  select.replaceChildren(el('option', { value: '' }, any), ...texts.map((t) => el('option', { value: valueOf ? valueOf(t) : t }, t || '(none)')));
}

function fill() {
  options($('control'), 'all', values((row) => controls[row[CONTROL]].id));
  options($('namespace'), 'all', values((row) => strings[subjects[row[SUBJECT]][NAMESPACE]]), (t) => '=' + t);
  options($('kind'), 'all', values((row) => strings[subjects[row[SUBJECT]][KIND]]));
  $('framework').replaceChildren(...frameworks.map((f, i) => el('option', { value: i }, f.name)));
  options($('verdict'), 'all', ['fail', 'pass', 'guarded', 'unknown', 'manual', 'not-applicable', 'not-assessed']);
  $('views').replaceChildren(...views.map((v, i) => el('button', {
    type: 'button', role: 'tab', id: 'view-' + i, 'aria-controls': 'panel', onclick: () => go(i),
  }, v.name + (i === 4 && gaps.length ? ' (' + gaps.length + ')' : ''))));
  if (gaps.length) $('view-4').classList.add('alarm');
}

function listen() {
  let waiting = 0;
  $('text').addEventListener('input', () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => { state.text = $('text').value.trim(); update(); });
  });
  for (const id of ['status', 'namespace', 'kind', 'verdict', 'framework']) {
    $(id).addEventListener('change', () => { state[id] = id === 'framework' ? Number($(id).value) : $(id).value; update(); });
  }
  $('control').addEventListener('change', () => { state.controls = new Set($('control').value ? [$('control').value] : []); update(); });
  for (const button of document.querySelectorAll('.level')) {
    button.addEventListener('click', () => {
      const level = button.dataset.level, on = !state.levels.has(level);
      if (on) state.levels.add(level); else state.levels.delete(level);
      button.setAttribute('aria-pressed', String(on));
      if (state.view > 2) go(0); else update();
    });
  }
  $('filters').addEventListener('reset', (e) => {
    e.preventDefault();
    Object.assign(state, { text: '', status: '0', levels: new Set(), controls: new Set(), namespace: '', kind: '', verdict: '' });
    for (const id of ['text', 'control', 'namespace', 'kind', 'verdict']) $(id).value = '';
    $('status').value = '0';
    for (const button of document.querySelectorAll('.level')) button.setAttribute('aria-pressed', 'false');
    update();
  });
  $('filters').addEventListener('submit', (e) => e.preventDefault());
  $('showgaps')?.addEventListener('click', () => { go(4); list.box.focus(); });
  list.onselect = (item) => views[state.view].detail(item);
  list.onenter = () => pane.querySelector('h2')?.focus();
  $('theme').addEventListener('click', () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
  });
  document.addEventListener('keydown', keys);
}

function keys(e) {
  const typing = e.target.matches('input, select, textarea');
  if (e.key === 'Escape') {
    if (e.target === $('text') && $('text').value) { $('text').value = state.text = ''; update(); }
    list.box.focus();
  } else if (typing || e.ctrlKey || e.metaKey || e.altKey) {
    return;
  } else if (e.key === '/') {
    $('text').focus();
    $('text').select();
  } else if (e.key >= '1' && e.key <= String(views.length)) {
    go(Number(e.key) - 1);
  } else if (e.target.matches('[role=tab]') && (e.key === 'ArrowRight' || e.key === 'ArrowLeft')) {
    go((state.view + (e.key === 'ArrowRight' ? 1 : views.length - 1)) % views.length);
    $('view-' + state.view).focus();
  } else {
    return;
  }
  e.preventDefault();
}

fill();
listen();
go(0);
performance.mark('ready');
