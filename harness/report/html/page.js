// The page: which case's plots are shown, in which colours. Text of the record reaches it by textContent alone.

const report = JSON.parse(document.getElementById('data').textContent);
const drawn = new Map();  // of each figure its Chart
let current = 0;

function colours() {
  const style = getComputedStyle(document.documentElement), ink = {};
  for (const name of ['surface', 'ink', 'muted', 'line', 'grid', 'naive', 'engine', 'third', 'bad'])
    ink[name] = style.getPropertyValue(`--${name}`).trim();
  ink.band = ink.engine + '30';
  return ink;
}

// What hovering finds: the nearest point that was measured. Lines that were fitted or stand for a limit are none.
Chart.Interaction.modes.measured = (chart, event) => {
  const at = Chart.helpers.getRelativePosition(event, chart);
  let nearest = null;
  for (const meta of chart.getSortedVisibleDatasetMetas()) {
    if (chart.data.datasets[meta.index].silent) continue;
    meta.data.forEach((element, index) => {
      const distance = (element.x - at.x) ** 2 + (element.y - at.y) ** 2;
      if (!nearest || distance < nearest.distance) nearest = {distance, element, datasetIndex: meta.index, index};
    });
  }
  return nearest ? [nearest] : [];
};

// Says on the canvas how much of the data is inside the plot: what was asked for and what is seen can be told apart.
const counter = {
  id: 'counter',
  afterDraw(chart) {
    const {left, right, top, bottom} = chart.chartArea;
    const inside = ({x, y}) => x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1;
    let points = 0, seen = 0;
    chart.data.datasets.forEach((set, i) => {
      const meta = chart.getDatasetMeta(i);
      points += set.data.length;
      seen += meta.data.filter(inside).length;
    });
    chart.canvas.dataset.points = String(points);
    chart.canvas.dataset.drawn = `${seen} points`;
  },
};

function clear(figure) {
  drawn.get(figure.id)?.destroy();
  drawn.delete(figure.id);
  figure.querySelector('.plot').replaceChildren();
}

// Of a plot on paper, in pixels: it is scaled to its column, whose width nobody knows while it is drawn.
const kPaper = {
  width: 520,
  height: 280
};

function show(figure, one, ink, paper) {
  clear(figure);
  const note = figure.querySelector('.note'), plot = one[figure.id];
  const made = plot.none ? {sentence: plot.none} : kCharts[figure.id](one, ink, report);
  note.textContent = made.sentence ?? made.note;
  if (made.sentence) return;
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${figure.querySelector('figcaption').textContent}. ${made.note}`);
  figure.querySelector('.plot').append(canvas);
  if (paper) {
    Object.assign(canvas, kPaper);
    Object.assign(made.config.options, {responsive: false, devicePixelRatio: 3});
  }
  drawn.set(figure.id, new Chart(canvas, {...made.config, plugins: [counter]}));
}

function draw() {
  const one = report.cases[current], ink = colours(), paper = matchMedia('print').matches;
  document.getElementById('shown-case').textContent = `${one.id}, ${one.label}: ${one.verdict}`;
  for (const figure of document.querySelectorAll('#plots figure')) show(figure, one, ink, paper);
}

function offerCases() {
  const select = document.getElementById('case');
  report.cases.forEach((one, i) => {
    const option = document.createElement('option');
    option.value = String(i);
    option.textContent = `${one.id}  (${one.label}, ${one.verdict})`;
    select.append(option);
  });
  select.addEventListener('change', () => {
    current = Number(select.value);
    draw();
  });
  document.getElementById('choice').hidden = report.cases.length < 2;
}

if (report.cases.length === 0) {
  document.getElementById('shown-case').textContent = 'No case ran: there is nothing to draw.';
  document.querySelector('.figures').remove();
} else {
  offerCases();
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  // Paper is light, whatever the window is.
  matchMedia('print').addEventListener('change', draw);
}
