'use strict';
// What plots are made of: numbers in words, units, axes, points, lines, legends. Nothing here touches the page, or knows what
// is plotted. Colours come in as `ink`; times are ns in the data, and shown in the unit that fits.

const kPaths = ['naive', 'engine'];
const kShapes = {
  naive: 'triangle',
  engine: 'circle'
};
const kDashes = {
  naive: [6, 4],
  engine: []
};
const kLogFrom = 20;  // values that span more are told apart on a logarithmic axis only

const number = (value, digits = 4) => String(Number(value.toPrecision(digits)));
const counted = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
const pairs = (xs, ys) => xs.map((x, i) => ({x, y: ys[i]}));
// Pieces of line in one dataset: a point without a height stands between two of them.
const pieces = (lines) => lines.flatMap(([from, to]) => [from, to, {x: to.x, y: null}]);

// The unit in which the largest of the times has digits before its point.
function unitOf(times) {
  const most = times.reduce((a, b) => Math.max(a, b), 0);
  const [name, ns] = most >= 1e9 ? ['s', 1e9] : most >= 1e6 ? ['ms', 1e6] : most >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  return {name, ns, text: (time) => `${number(time / ns)} ${name}`};
}

function spansDecades(values) {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return false;
  const least = positive.reduce((a, b) => Math.min(a, b)), most = positive.reduce((a, b) => Math.max(a, b));
  return most / least >= kLogFrom;
}

// The ends of a logarithmic axis: one, two or five times a power of ten, next to the least and the largest value.
function logEnds(values) {
  const positive = values.filter((value) => value > 0);
  const steps = (value) => [1, 2, 5, 10].map((times) => times * 10 ** Math.floor(Math.log10(value)));
  const least = positive.reduce((a, b) => Math.min(a, b)), most = positive.reduce((a, b) => Math.max(a, b));
  return {min: steps(least).filter((end) => end <= least).pop(), max: steps(most).find((end) => end >= most)};
}

// An axis for these values: logarithmic where they span decades.
function axisFor(ink, title, values, more = {}) {
  return axis(ink, title, spansDecades(values) ? {log: true, ...logEnds(values), ...more} : more);
}

// Of a logarithmic axis: powers of ten, and as many of their multiples as there is room for. `this` is the axis.
function logTick(value, index, ticks) {
  const decades = ticks.length > 1 ? Math.log10(ticks[ticks.length - 1].value / ticks[0].value) : 1;
  const room = (this.isHorizontal() ? this.width / 2.5 : this.height) / decades;  // a label is broader than high
  const leading = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
  const labelled = room < 40 ? [1] : room < 120 ? [1, 2, 5] : [1, 2, 3, 5, 7];
  if (!labelled.includes(leading)) return '';
  return value >= 1e5 || value < 1e-3 ? value.toExponential(0).replace('e+', 'e') : number(value);
}

function axis(ink, title, {log = false, fromZero = true, whole = false, ...more} = {}) {
  return {
    type: log ? 'logarithmic' : 'linear',
    ...(log ? {} : {beginAtZero: fromZero}),
    title: {display: true, text: title, color: ink.ink},
    grid: {color: log ? ({tick}) => tick?.label ? ink.grid : 'transparent' : ink.grid, borderColor: ink.line},
    ticks: {
      color: ink.muted,
      maxRotation: 0,
      autoSkipPadding: 14,
      autoSkip: !log,  // which ticks of a logarithmic axis are labelled, logTick says
      ...(whole ? {precision: 0} : {}),
      callback: log ? logTick : (value) => number(value)
    },
    ...more,
  };
}

// A piece of a line as it is drawn, dashes and all: the library's own sample is too short to tell them apart.
function sample({borderColor, borderWidth, borderDash}) {
  const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
  Object.assign(canvas, {width: 22, height: 6});
  Object.assign(context, {strokeStyle: borderColor, lineWidth: borderWidth});
  context.setLineDash(borderDash ?? []);
  context.beginPath();
  context.moveTo(0, 3);
  context.lineTo(22, 3);
  context.stroke();
  return canvas;
}

// The library's, lines with a sample; the blank makes room for it.
function legendItems(chart) {
  const items = Chart.defaults.plugins.legend.labels.generateLabels(chart);
  for (const item of items) {
    const set = chart.data.datasets[item.datasetIndex];
    if (set.pointStyle === 'line') Object.assign(item, {pointStyle: sample(set), text: `\u2002${item.text}`});
  }
  return items.filter((item) => !chart.data.datasets[item.datasetIndex].unnamed);
}

// A configuration out of datasets whose points are {x, y}; `say(point, dataset)` is what a tooltip reads.
function configuration(ink, datasets, x, y, say) {
  return {
    type: 'line',
    data: {datasets},
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: {mode: 'measured'},
      scales: {x, y},
      plugins: {
        legend: {
          position: 'bottom',
          labels: {
            color: ink.ink,
            usePointStyle: true,
            boxWidth: 8,
            boxHeight: 8,
            padding: 14,
            generateLabels: legendItems
          },
        },
        tooltip: {
          callbacks: {title: () => '', label: (item) => say(item.raw, item.dataset)},
        },
      },
    },
  };
}

function dots(ink, path, label, data, more = {}) {
  return {
    label,
    data,
    path,
    borderColor: ink[path],
    backgroundColor: ink[path],
    pointStyle: kShapes[path],
    radius: 3,
    hoverRadius: 6,
    borderWidth: 1.5,
    showLine: false,
    clip: 8,
    ...more
  };
}

// A line without points, which hovering passes over.
function line(label, data, colour, more = {}) {
  return {
    label,
    data,
    borderColor: colour,
    backgroundColor: colour,
    showLine: true,
    radius: 0,
    hoverRadius: 0,
    pointStyle: 'line',
    borderWidth: 2,
    silent: true,
    ...more
  };
}
