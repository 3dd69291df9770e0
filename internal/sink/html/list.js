// Elements, and the list: only the rows in sight are in the document.

// el makes an element. Texts become text nodes, never markup.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) e.setAttribute(key, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

const badge = (name, text) => el('span', { class: 'badge ' + name }, text || name);
const levelBadge = (row) => row[UNKNOWN] ? badge('unknown', levels[levelOf(row)] + '?') : badge(levels[levelOf(row)]);

class List {
  constructor(box, rows, rowHeight) {
    this.box = box;
    this.rows = rows;
    this.height = rowHeight;
    this.items = [];
    this.active = -1;
    this.onselect = () => {};
    this.onenter = () => {};
    this.render = () => [];
    this.box.addEventListener('scroll', () => this.draw(), { passive: true });
    this.box.addEventListener('keydown', (e) => this.key(e));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // set shows other items, and goes to the first or keeps to one of them.
  set(items, render, keep) {
    this.items = items;
    this.render = render;
    this.active = items.length ? Math.max(0, keep ? items.findIndex(keep) : 0) : -1;
    this.rows.style.height = items.length * this.height + 'px';
    this.reveal();
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / this.height) + 8);
    const shown = [];
    for (let i = first; i < last; i++) {
      const row = el('div', {
        class: 'row', role: 'option', id: 'row-' + i, 'aria-selected': String(i === this.active),
        'aria-setsize': this.items.length, 'aria-posinset': i + 1, onclick: () => this.select(i),
      }, ...this.render(this.items[i]));
      row.style.top = i * this.height + 'px';
      row.style.height = this.height + 'px';
      shown.push(row);
    }
    this.rows.replaceChildren(...shown);
    if (this.active >= first && this.active < last) this.box.setAttribute('aria-activedescendant', 'row-' + this.active);
    else this.box.removeAttribute('aria-activedescendant');
  }

  reveal() {
    const top = this.active * this.height;
    if (this.active < 0) this.box.scrollTop = 0;
    else if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + this.height - this.box.clientHeight;
  }

  select(i) {
    if (!this.items.length) return;
    this.active = Math.min(this.items.length - 1, Math.max(0, i));
    this.reveal();
    this.draw();
    this.onselect(this.items[this.active]);
  }

  key(e) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key in steps) this.select(this.active + steps[e.key]);
    else if (e.key === 'Enter') this.onenter();
    else return;
    e.preventDefault();
  }
}
