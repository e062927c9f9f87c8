// How a plot gets onto a page: in the colours of the page's style, with what hovering finds, on a screen or on paper.

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

// Says on the canvas how much of the data is inside the plot: what was asked for and what is seen can be told apart. A point
// without a height is a gap in a line.
const counter = {
  id: 'counter',
  afterDraw(chart) {
    const {left, right, top, bottom} = chart.chartArea;
    const inside = ({x, y}) => x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1;
    let points = 0, seen = 0;
    chart.data.datasets.forEach((set, i) => {
      const meta = chart.getDatasetMeta(i);
      points += set.data.filter(({y}) => y !== null).length;
      seen += meta.data.filter((element) => !element.skip && inside(element)).length;
    });
    chart.canvas.dataset.points = String(points);
    chart.canvas.dataset.drawn = `${seen} points`;
  },
};

// Of a plot on paper, in pixels: it is scaled to its column, whose width nobody knows while it is drawn.
const kPaper = {
  width: 520,
  height: 280
};

// Draws what `made` says into a figure: {config, note}, or {sentence} where there is nothing to draw. Returns the Chart, or null.
function put(figure, made, paper) {
  figure.querySelector('.note').textContent = made.sentence ?? made.note;
  if (made.sentence) return null;
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${figure.querySelector('figcaption').textContent}. ${made.note}`);
  figure.querySelector('.plot').append(canvas);
  if (paper) {
    Object.assign(canvas, kPaper);
    Object.assign(made.config.options, {responsive: false, devicePixelRatio: 3});
  }
  return new Chart(canvas, {...made.config, plugins: [counter]});
}
