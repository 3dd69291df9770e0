// The report as internal/sink/html/data.go writes it, and what is asked of it.

const report = JSON.parse(document.getElementById('data').textContent);
const { strings, controls, subjects, findings, gaps, frameworks, patches } = report;
const levels = ['none', 'low', 'medium', 'high', 'critical'];

// The places of a row.
const ID = 0, CONTROL = 1, UNKNOWN = 2, SUBJECT = 3, FILE = 4, LINE = 5, COLUMN = 6, MESSAGE = 7, EVIDENCE = 8, COUNT = 9, STATUS = 10, WAIVER = 11, ALSO = 12, RENDERED = 13;
const KIND = 0, NAMESPACE = 1, NAME = 2, CONTAINER = 3;

const statusOf = (row) => row[STATUS] || 0;
const levelOf = (row) => controls[row[CONTROL]].level;

function place(file, line, column) {
  if (!file) return '(no file)';
  return strings[file] + (line ? ':' + line + (column ? ':' + column : '') : '');
}

const placeOf = (row) => place(row[FILE], row[LINE], row[COLUMN]);

// workload is the subject without its container, as text.
function workload(subject) {
  const s = subjects[subject];
  return strings[s[KIND]] + ' ' + (s[NAMESPACE] ? strings[s[NAMESPACE]] + '/' : '') + strings[s[NAME]];
}

function subjectOf(row) {
  const s = subjects[row[SUBJECT]];
  return workload(row[SUBJECT]) + (s[CONTAINER] ? ' container ' + strings[s[CONTAINER]] : '');
}

// hits marks which of some texts hold a word. A text that many findings share is
// looked at once, which makes searching fifty thousand of them quick.
const lower = new Map();
function hits(name, list, text, word) {
  if (!lower.has(name)) lower.set(name, list.map((x) => text(x).toLowerCase()));
  const out = new Uint8Array(list.length);
  lower.get(name).forEach((t, i) => { if (t.includes(word)) out[i] = 1; });
  return out;
}

// search returns a test of rows for the words of a query, all of which must
// stand somewhere in the finding.
function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const tests = words.map((word) => {
    const inControl = hits('controls', controls, (c) => c.id + ' ' + c.title, word);
    const inSubject = hits('subjects', subjects, (s) => s.map((x) => strings[x]).join(' '), word);
    const inString = hits('strings', strings, (s) => s, word);
    return (row) => inControl[row[CONTROL]] || inSubject[row[SUBJECT]] || inString[row[FILE]] || inString[row[MESSAGE]] || row[RENDERED] && inString[row[RENDERED]] ||
      row[EVIDENCE].some((x) => inString[x]) || row[ID].startsWith(word);
  });
  if (!tests.length) return () => true;
  return (row) => tests.every((test) => test(row));
}

// filtered returns the rows that the filters let through, in the report's order.
// What controls and subjects decide is decided once for each, not for each row.
function filtered(state) {
  const matches = search(state.text);
  const status = state.status === '' ? -1 : Number(state.status);
  const control = controls.map((c) => (!state.levels.size || state.levels.has(levels[c.level])) && (!state.controls.size || state.controls.has(c.id)));
  const subject = subjects.map((s) => (state.namespace === '' || strings[s[NAMESPACE]] === state.namespace.slice(1)) && (state.kind === '' || strings[s[KIND]] === state.kind));
  return findings.filter((row) => control[row[CONTROL]] && subject[row[SUBJECT]] && (status < 0 || statusOf(row) === status) && matches(row));
}

// Owners are subjects without their container; owner tells that of a subject.
const owners = [], owner = new Int32Array(subjects.length);
{
  const known = new Map();
  subjects.forEach((s, i) => {
    const text = workload(i);
    if (!known.has(text)) { known.set(text, owners.length); owners.push(text); }
    owner[i] = known.get(text);
  });
}

// groups gathers rows by a number, and counts how many others each touches.
// others are numbers below some size, so that marks in an array count them.
function groups(rows, keyOf, otherOf, size) {
  const by = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    let g = by.get(key);
    if (!g) by.set(key, g = { first: row, rows: [], counts: [0, 0, 0, 0, 0], others: 0 });
    g.rows.push(row);
    g.counts[levelOf(row)] += 1;
  }
  const seen = new Int32Array(size);
  let mark = 0;
  for (const g of by.values()) {
    mark += 1;
    for (const row of g.rows) {
      const other = otherOf(row);
      if (seen[other] !== mark) { seen[other] = mark; g.others += 1; }
    }
  }
  return [...by.values()];
}

const before = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// byControl: what to mend first. One change of a template mends many workloads,
// so that within a level the mistake that touches most of them comes first.
function byControl(rows) {
  return groups(rows, (row) => 2 * row[CONTROL] + row[UNKNOWN], (row) => owner[row[SUBJECT]], owners.length).sort((a, b) =>
    levelOf(b.first) - levelOf(a.first) || a.first[UNKNOWN] - b.first[UNKNOWN] || b.others - a.others || b.rows.length - a.rows.length ||
    before(controls[a.first[CONTROL]].id, controls[b.first[CONTROL]].id));
}

function byWorkload(rows) {
  const list = groups(rows, (row) => owner[row[SUBJECT]], (row) => row[CONTROL], controls.length);
  for (const g of list) g.name = owners[owner[g.first[SUBJECT]]];
  return list.sort((a, b) => {
    for (let level = 4; level > 0; level--) {
      if (a.counts[level] !== b.counts[level]) return b.counts[level] - a.counts[level];
    }
    return before(a.name, b.name);
  });
}

// values lists the distinct texts that a function gives for rows, in order.
const values = (of) => [...new Set(findings.map(of))].sort();

const plural = (n, what) => n.toLocaleString('en') + ' ' + what + (n === 1 ? '' : 's');
