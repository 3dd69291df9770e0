// The pane beside the list: a finding, a group of findings, an item of a
// framework, a gap.

const pane = document.getElementById('detail');

function show(...children) {
  pane.replaceChildren(...children.flat().filter(Boolean));
  pane.scrollTop = 0;
}

const heading = (text) => el('h2', { tabindex: '-1' }, text);
const facts = (pairs) => el('dl', {}, ...pairs.filter(([, v]) => v).flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]));

// excerpt writes the path of a piece of evidence as YAML would nest it. A path
// that cannot be taken apart for certain stands as it is.
function excerpt(path, value) {
  const steps = path.match(/[^.[\]]+(\[[^\]]*\])?|\[[^\]]*\]/g) || [];
  if (!steps.length || steps.join('.').replaceAll('.[', '[') !== path) return path + ' = ' + value;
  return steps.map((step, i) => '  '.repeat(i) + step + ':' + (i === steps.length - 1 ? ' ' + value : '')).join('\n');
}

// evidenceOf shows what was seen; what decided comes first, at the finding's place.
function evidenceOf(row) {
  const out = [];
  for (let i = 0; i < row[EVIDENCE].length; i += 2) {
    const at = i === 0 && row[LINE] ? '# ' + placeOf(row) + '\n' : '';
    out.push(el('pre', { tabindex: '0', 'aria-label': 'Evidence' }, at + excerpt(strings[row[EVIDENCE][i]], strings[row[EVIDENCE][i + 1]])));
  }
  return out;
}

const whyOf = (c) => c.why ? [el('h3', {}, 'Why it matters'), el('p', { class: 'why' }, c.why)] : [];
const fixOf = (c) => c.fix ? [el('h3', {}, 'Fix'), el('pre', { class: 'fix', tabindex: '0', 'aria-label': 'Fix' }, c.fix)] : [];

// patchOf shows what merlon fix would change in the file of a finding.
const patched = new Map(patches);
function patchOf(row) {
  const lines = row[FILE] && patched.get(row[FILE]);
  if (!lines) return [];
  const kind = (line) => ({ '+': 'new', '-': 'old', '@': 'at' })[line[0]];
  return [
    el('h3', {}, 'What merlon fix would change in this file'),
    el('pre', { class: 'diff', tabindex: '0', 'aria-label': 'Changes' }, ...lines.map((line) => el('span', { class: kind(line) || false }, line + '\n'))),
  ];
}

// answers tells which items a control answers: by its own word, and by that of
// the frameworks of the report.
const answers = new Map(controls.map((c) => [c.id, { ...c.maps }]));
for (const f of frameworks) {
  for (const item of f.items) {
    for (const id of item.controls || []) {
      const maps = answers.get(id);
      if (maps && !(maps[f.name] || []).includes(item.id)) maps[f.name] = [...(maps[f.name] || []), item.id];
    }
  }
}

function mapsOf(c) {
  const maps = answers.get(c.id), names = Object.keys(maps).sort();
  if (!names.length) return [];
  return [el('h3', {}, 'Frameworks'), el('p', { class: 'chips' }, ...names.map((name) =>
    el('button', { type: 'button', class: 'chip', onclick: () => openFramework(name, maps[name][0]) }, name + ' ' + maps[name].join(', '))))];
}

function showFinding(row, back) {
  const c = controls[row[CONTROL]], w = row[WAIVER] || [], also = row[ALSO] || [];
  show(
    back && el('button', { type: 'button', class: 'back', onclick: back }, '← back'),
    heading(c.title),
    el('p', {}, levelBadge(row), ' ', el('code', {}, c.id)),
    row[UNKNOWN] ? el('p', { class: 'warn' }, 'This could not be judged. That is not a pass.') : null,
    el('p', { class: 'message' }, strings[row[MESSAGE]]),
    facts([
      ['Subject', subjectOf(row)],
      ['Where', placeOf(row)],
      ['Source', row[RENDERED] && strings[row[RENDERED]]],
      ['Count', row[COUNT] > 1 && row[COUNT] + ' times'],
      ['Also', also.map((l) => place(l[0], l[1], l[2])).join(', ')],
      ['Waived', statusOf(row) === 1 && 'until ' + strings[w[2]] + (w[0] ? ' by ' + strings[w[0]] : '') + ': ' + strings[w[1]] + ' (' + strings[w[3]] + ')'],
      ['Known', statusOf(row) === 2 && 'from the baseline'],
      ['Id', row[ID]],
    ]),
    row[EVIDENCE].length ? el('h3', {}, 'What was seen') : null,
    evidenceOf(row), whyOf(c), fixOf(c), patchOf(row), mapsOf(c),
    el('p', { class: 'hint' }, 'merlon explain ' + c.id + ' teaches the attack, the fix and its price.'),
  );
}

// few is how many findings a group lists beside its fix; the list has them all.
const few = 100;

function listOf(rows, text, back) {
  return [
    el('ul', { class: 'findings' }, ...rows.slice(0, few).map((row) => el('li', {},
      el('button', { type: 'button', onclick: () => { showFinding(row, back); pane.querySelector('h2').focus(); } }, ...text(row))))),
    rows.length > few ? el('p', {}, '… and ' + plural(rows.length - few, 'more')) : null,
  ];
}

function showControl(g) {
  const c = controls[g.first[CONTROL]];
  show(
    heading(c.title),
    el('p', {}, levelBadge(g.first), ' ', el('code', {}, c.id), ' · ' + plural(g.rows.length, 'finding') + ' in ' + plural(g.others, 'object')),
    whyOf(c), fixOf(c),
    el('h3', {}, 'Where'),
    el('p', {}, el('button', { type: 'button', onclick: () => openControls([c.id]) }, 'Show these findings in the list')),
    listOf(g.rows, (row) => [el('b', {}, subjectOf(row)), el('span', {}, placeOf(row))], () => showControl(g)),
    mapsOf(c),
  );
}

function showWorkload(g) {
  const rows = [...g.rows].sort((a, b) => levelOf(b) - levelOf(a));
  show(
    heading(g.name),
    el('p', {}, ...levelCounts(g.counts)),
    listOf(rows, (row) => [levelBadge(row), el('b', {}, controls[row[CONTROL]].title), el('span', {}, placeOf(row))], () => showWorkload(g)),
  );
}

const levelCounts = (counts) => [4, 3, 2, 1].filter((l) => counts[l]).map((l) => badge(levels[l], counts[l] + ' ' + levels[l]));

function showItem(item, framework) {
  const known = (item.controls || []).map((id) => ({ id, n: findings.filter((row) => controls[row[CONTROL]].id === id && statusOf(row) === 0).length }));
  show(
    heading(item.id + ' ' + item.title),
    el('p', {}, badge(item.verdict, item.verdict.replaceAll('-', ' ')), ' ', framework.title, item.section ? ' · ' + item.section : ''),
    item.why ? el('p', { class: 'message' }, item.why) : null,
    framework.view === 'coverage' ? el('p', { class: 'hint' }, 'An attack is never passed: whoever attacks is not bound to what controls look at.') : null,
    el('h3', {}, known.length ? 'Controls that look at it' : 'No control looks at it'),
    known.length ? el('ul', { class: 'findings' }, ...known.map((k) => el('li', {},
      k.n ? el('button', { type: 'button', onclick: () => openControls([k.id]) }, el('code', {}, k.id), el('span', {}, plural(k.n, 'open finding')))
        : el('span', { class: 'quiet' }, el('code', {}, k.id), el('span', {}, ' no open finding'))))) : null,
  );
}

function showGap(gap) {
  show(
    heading('Not seen, so not judged'),
    el('p', { class: 'message' }, strings[gap[5]]),
    facts([['Kind', strings[gap[0]]], ['Where', place(gap[1], gap[2], gap[3])], ['Subject', strings[gap[4]]]]),
    el('p', { class: 'hint' }, 'Nothing in this report speaks of it. Items of frameworks that rest on it are unknown.'),
  );
}
