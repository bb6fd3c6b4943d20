/// The script of every page: what is pointed at, and zoom. Without it everything is there to be read.
enum PageScript {
  /// What the page allows to run. A test says which it is when the script changes.
  static let hash = "sha256-Z31BlEjd9qsLD1i8b+ebqed/U2hFoC9RLCASQwRnfhc="

  /// The script.
  static let markup = Markup(own: source)

  /// It asks nothing of a network and writes nothing but text into the page.
  private static let source: StaticString = #"""
    'use strict';
    (() => {
      const root = document.documentElement, tip = document.getElementById('tip');
      const layers = ['mapped', 'faults', 'maps', 'ages', 'unmaps', 'assumed'];
      const layerNames = ['host pages mapped', 'faults', 'mapped, relaxed, made young', 'aged or tested', 'unmapped, write-protected, split',
        'operations assumed'];
      const kinds = ['translation fault', 'permission fault', 'access flag fault', 'map of a page', 'map of a block', 'relax_perms',
        'mkyoung', 'test_clear_young: young', 'test_clear_young: old', 'wrprotect', 'split', 'unmap'];
      const bases = ['recorded', 'derived', 'assumed', 'modelled'];
      root.classList.add('live');

      // Numbers as the page writes them.
      const trim = (value, digits) => String(Number(value.toFixed(digits)));
      const grouped = value => trim(value, value < 100 ? 2 : 0).replace(/\B(?=(\d{3})+$)/g, ',');
      const bytes = value => {
        const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
        let unit = 0;
        while (value >= 1024 && unit < 4) { value /= 1024; unit++; }
        return trim(value, 1) + ' ' + units[unit];
      };
      const duration = (value, unit) => unit === 'ticks' ? grouped(value) + ' ticks'
        : value < 1e3 ? trim(value, 0) + ' ns' : value < 1e6 ? trim(value / 1e3, 1) + ' us'
        : value < 1e9 ? trim(value / 1e6, 2) + ' ms' : trim(value / 1e9, 4) + ' s';
      const written = {
        count: grouped, bytes, rate: value => grouped(value) + '/s', share: value => trim(value * 100, 2) + ' %',
        duration: value => duration(value, 'ns'),
      };
      const hex = value => '0x' + value.toString(16);

      // What is packed: base64 of zlib of numbers of seven bits a byte.
      async function unpack(element) {
        const packed = Uint8Array.from(atob(element.textContent.trim()), letter => letter.charCodeAt(0));
        const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
        const plain = new Uint8Array(await new Response(stream).arrayBuffer());
        const numbers = [];
        let value = 0, weight = 1;
        for (const byte of plain) {
          value += (byte & 127) * weight;
          if (byte & 128) { weight *= 128; } else { numbers.push(value); value = 0; weight = 1; }
        }
        return numbers;
      }

      // What a plot shows at a place: lines of text, nothing where there is none.
      function seriesReader(element) {
        const values = JSON.parse(element.textContent);
        return time => {
          const moments = values.t;
          if (!moments.length || time < moments[0] || time >= moments[moments.length - 1]) { return []; }
          let low = 0, high = moments.length - 1;
          while (high - low > 1) {
            const middle = (low + high) >> 1;
            if (moments[middle] <= time) { low = middle; } else { high = middle; }
          }
          return values.v.filter(series => series[2][low] != null)
            .map(series => series[0] + ': ' + written[series[1]](series[2][low]));
        };
      }

      function mapReader(element, start) {
        const { columns, interval, rowHeight, rowBytes } = element.dataset;
        const begin = element.dataset.start - start, width = Number(columns);
        const rows = element.dataset.bases.split(' ').map(base => base || null);
        const filled = rows.filter(base => base).length;
        let cells = null;
        unpack(element).then(numbers => {
          for (let row = 0; row < filled; row++) {
            for (let column = 0, sum = 0; column < width; column++) {
              const at = row * width + column, twice = numbers[at];
              sum += twice & 1 ? -(twice + 1) / 2 : twice / 2;
              numbers[at] = sum;
            }
          }
          cells = numbers;
        });
        return (time, y) => {
          const place = Math.floor(y / rowHeight), column = Math.floor((time - begin) / interval);
          const base = rows[place];
          if (!base || column < 0 || column >= width) { return []; }
          const lines = [rowBytes + ' at ' + base];
          if (!cells) { return lines.concat('(not unpacked yet)'); }
          const row = rows.slice(0, place).filter(other => other).length;
          layers.forEach((layer, number) => {
            const count = cells[(number * filled + row) * width + column];
            if (count) { lines.push(layerNames[number] + ': ' + grouped(count)); }
          });
          return lines;
        };
      }

      function regionReader(element, start) {
        const { columns, interval, rowHeight, pages, pagesPerRow, base, pageBytes } = element.dataset;
        const begin = element.dataset.start - start, marks = [];
        let isThere = false;
        unpack(element).then(numbers => {
          for (let at = 0, column = 0; at + 4 < numbers.length; at += 5) {
            column += numbers[at];
            (marks[column] = marks[column] || []).push(numbers.slice(at + 1, at + 5));
          }
          isThere = true;
        });
        return (time, y) => {
          const column = Math.floor((time - begin) / interval);
          const first = Math.floor(y / rowHeight) * pagesPerRow, end = first + Number(pagesPerRow);
          if (column < 0 || column >= columns || first < 0 || first >= pages) { return []; }
          const lines = ['page ' + first + ' at ' + hex(Number(base) + first * pageBytes)];
          if (!isThere) { return lines.concat('(not unpacked yet)'); }
          for (const [page, count, what, times] of marks[column] || []) {
            if (page < end && page + Math.max(count, 1) > first) {
              lines.push(kinds[what >> 2] + (count > 1 ? ' of ' + count + ' pages' : '') + (times > 1 ? ', ' + grouped(times) + ' times' : '')
                + ' (' + bases[what & 3] + ')');
            }
          }
          return lines;
        };
      }

      // All plots of one recording over one time show the same part of it.
      class Group {
        constructor() { this.plots = []; this.from = 0; this.to = 1; }
        get isWhole() { return this.from === 0 && this.to === 1; }
        show(from, to) {
          const width = Math.min(Math.max(to - from, 1e-6), 1);
          from = Math.min(Math.max(from, 0), 1 - width);
          [this.from, this.to] = [from, from + width];
          for (const plot of this.plots) { plot.draw(); }
        }
        scale(factor, around) {
          const width = (this.to - this.from) * factor;
          this.show(around - (around - this.from) * factor, around - (around - this.from) * factor + width);
        }
      }

      const svg = (name, attributes, parent) => {
        const element = document.createElementNS('http://www.w3.org/2000/svg', name);
        for (const key in attributes) { element.setAttribute(key, attributes[key]); }
        if (parent) { parent.append(element); }
        return element;
      };

      class Plot {
        constructor(figure, group) {
          this.figure = figure;
          this.group = group;
          this.frame = figure.querySelector('svg.frame');
          this.data = this.frame.querySelector('svg.data');
          this.height = Number(this.data.getAttribute('height'));
          this.start = Number(figure.dataset.start);
          this.span = Number(figure.dataset.span);
          this.unit = figure.dataset.unit;
          this.axis = this.frame.querySelector('g.x');
          this.ticks = [...this.axis.querySelectorAll('g')];
          this.moving = [...this.frame.querySelectorAll('[data-x]')];
          this.cross = svg('line', { class: 'cross', y2: this.height }, this.frame);
          this.choice = svg('rect', { class: 'choice', height: this.height, width: 0 }, this.frame);
          this.button = document.createElement('button');
          this.button.type = 'button';
          this.button.textContent = 'Show all';
          this.button.hidden = true;
          this.button.addEventListener('click', () => group.show(0, 1));
          figure.querySelector('figcaption').append(' ', this.button);
          // A title inside of an SVG would cover what is pointed at.
          const title = this.frame.querySelector('title'), text = this.frame.querySelector('desc');
          this.frame.setAttribute('aria-label', title.textContent);
          this.frame.removeAttribute('aria-labelledby');
          this.frame.setAttribute('aria-describedby', text.id);
          title.remove();
          this.frame.tabIndex = 0;
          this.listen();
          group.plots.push(this);
        }

        // The values are read when somebody first asks.
        get reader() {
          if (!this.known) {
            const find = name => this.figure.querySelector('script.' + name);
            const [values, cells, marks] = [find('values'), find('cells'), find('marks')];
            this.known = values ? seriesReader(values) : cells ? mapReader(cells, this.start)
              : marks ? regionReader(marks, this.start) : () => [];
          }
          return this.known;
        }

        share(event) {
          const box = this.frame.getBoundingClientRect();
          return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
        }

        // The place in all of the time, of a share of what is seen.
        place(share) { return this.group.from + share * (this.group.to - this.group.from); }

        listen() {
          let begin = null;
          const frame = this.frame;
          frame.addEventListener('pointerdown', event => {
            if (event.button || event.pointerType === 'touch' || event.target.closest('a')) { return; }
            begin = this.share(event);
            frame.setPointerCapture(event.pointerId);
          });
          frame.addEventListener('pointermove', event => {
            const share = this.share(event);
            if (begin !== null) {
              this.choice.setAttribute('x', Math.min(begin, share) * 100 + '%');
              this.choice.setAttribute('width', Math.abs(share - begin) * 100 + '%');
            }
            this.point(share, event);
          });
          frame.addEventListener('pointerup', event => {
            if (begin === null) { return this.point(this.share(event), event); }
            const end = this.share(event), first = Math.min(begin, end), last = Math.max(begin, end);
            begin = null;
            this.choice.setAttribute('width', 0);
            if ((last - first) * frame.getBoundingClientRect().width > 5) { this.group.show(this.place(first), this.place(last)); }
          });
          frame.addEventListener('pointercancel', () => { begin = null; this.choice.setAttribute('width', 0); });
          frame.addEventListener('pointerleave', () => this.leave());
          frame.addEventListener('keydown', event => {
            const { from, to } = this.group, middle = (from + to) / 2, step = (to - from) / 4;
            const moves = {
              '+': () => this.group.scale(0.5, middle), '=': () => this.group.scale(0.5, middle),
              '-': () => this.group.scale(2, middle), ArrowLeft: () => this.group.show(from - step, to - step),
              ArrowRight: () => this.group.show(from + step, to + step), 0: () => this.group.show(0, 1),
            };
            if (moves[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { moves[event.key](); event.preventDefault(); }
          });
        }

        point(share, event) {
          const y = event.clientY - this.frame.getBoundingClientRect().top;
          if (y > this.height) { return this.leave(); }
          const time = this.place(share) * this.span;
          this.cross.setAttribute('x1', share * 100 + '%');
          this.cross.setAttribute('x2', share * 100 + '%');
          this.cross.classList.add('on');
          const found = this.reader(time, y);
          const lines = ['+' + duration(time, this.unit)].concat(found.length ? found : 'nothing');
          tip.replaceChildren(...lines.slice(0, 14).map(line => {
            const row = document.createElement('div');
            row.textContent = line;
            return row;
          }));
          tip.hidden = false;
          const width = tip.offsetWidth, height = tip.offsetHeight;
          const left = event.clientX + 14 + width < innerWidth ? event.clientX + 14 : Math.max(event.clientX - 14 - width, 4);
          const top = event.clientY + 14 + height < innerHeight ? event.clientY + 14 : Math.max(event.clientY - 14 - height, 4);
          tip.style.left = left + 'px';
          tip.style.top = top + 'px';
        }

        leave() {
          this.cross.classList.remove('on');
          tip.hidden = true;
        }

        draw() {
          const { from, to, isWhole } = this.group, width = to - from;
          this.button.hidden = isWhole;
          this.data.setAttribute('viewBox', from * 1000 + ' 0 ' + width * 1000 + ' ' + this.height);
          for (const element of this.moving) {
            const place = (element.dataset.x / 1e5 - from) / width;
            element.style.display = place >= 0 && place <= 1 ? '' : 'none';
            for (const part of element.children) {
              const names = { line: ['x1', 'x2'], circle: ['cx'], text: ['x'] }[part.localName] || [];
              for (const name of names) { part.setAttribute(name, place * 100 + '%'); }
            }
          }
          this.axis.querySelectorAll('g').forEach(tick => tick.remove());
          this.axis.prepend(...(isWhole ? this.ticks : this.zoomedTicks(from * this.span, to * this.span)));
        }

        zoomedTicks(from, to) {
          let step = 10 ** Math.ceil(Math.log10((to - from) / 10));
          for (const part of [5, 2]) { if ((to - from) / (step / part) <= 10) { step /= part; break; } }
          const ticks = [];
          for (let number = Math.ceil(from / step); number * step <= to; number++) {
            const x = (number * step - from) / (to - from) * 100 + '%';
            const tick = svg('g', { class: ticks.length % 2 ? 'odd' : '' });
            svg('line', { x1: x, x2: x, y2: this.height + 4 }, tick);
            svg('text', { x, y: this.height + 16 }, tick).textContent = duration(number * step, this.unit);
            ticks.push(tick);
          }
          return ticks;
        }
      }

      const groups = new Map();
      for (const figure of document.querySelectorAll('figure.plot')) {
        const part = figure.closest('article');
        const key = (part ? part.id : '') + ' ' + figure.dataset.start + ' ' + figure.dataset.span;
        if (!groups.has(key)) { groups.set(key, new Group()); }
        new Plot(figure, groups.get(key));
      }
      addEventListener('keydown', event => {
        if (event.key !== 'Escape') { return; }
        tip.hidden = true;
        for (const group of groups.values()) { if (!group.isWhole) { group.show(0, 1); } }
      });
    })();
    """#
}
