// The page of a comparison: a plot for each time, in the order of the figures; a row in it for each case. Text of the document
// reaches it by the canvas alone.

const comparison = JSON.parse(document.getElementById('data').textContent);
let drawn = [];

// Each verdict by its shape, and by a colour.
const kVerdicts = {
  REGRESSED: {shape: 'triangle', colour: 'bad'},
  IMPROVED: {shape: 'rect', colour: 'engine'},
  EQUIVALENT: {shape: 'circle', colour: 'engine'},
  INCONCLUSIVE: {shape: 'crossRot', colour: 'naive'},
  INCOMPARABLE: {shape: 'cross', colour: 'naive'},
  'not judged': {shape: 'star', colour: 'engine'},
};
const kBelow = 0.3;  // how far under its row a control stands

const intervals = (ratios) => pieces(
    ratios.filter(({low}) => low !== null).map(({low, high, y}) => [{x: low, y}, {x: high, y}]));

const margins = (rows) =>
    pieces(rows.filter(({margin}) => margin !== null).map(({margin, y}) => [{x: 1 / (1 + margin), y}, {x: 1 + margin, y}]));

function rowAxis(ink, rows) {
  const made = axis(ink, '', {fromZero: false, min: -0.5, max: rows.length - 0.5, reverse: true});
  made.title.display = false;
  made.ticks = {
    ...made.ticks,
    stepSize: 1,
    autoSkip: false,
    callback: (value) => rows[value] ? rows[value].label : '',
  };
  made.afterBuildTicks = (scale) => {
    scale.ticks = rows.map((_, value) => ({value}));
  };
  return made;
}

// A little more than what is shown, and the same on both sides of 1.
function ratioAxis(ink, values) {
  const most = values.reduce((most, value) => Math.max(most, Math.abs(value - 1)), 0.01) * 1.1, step = most < 0.1 ? 0.01 : 0.05;
  const far = step * Math.ceil(most / step);
  const title = 'candidate / base: to the right of 1 is slower';
  return axis(ink, title, {fromZero: false, min: Math.max(0, 1 - far), max: 1 + far});
}

function metricChart({rows: all}, ink) {
  const rows = all.map((row, y) => ({...row, y}));
  const controls = rows.filter(({control}) => control).map(({control, label, y}) => ({...control, label, y: y + kBelow}));
  const datasets = [];
  for (const [verdict, {shape, colour}] of Object.entries(kVerdicts)) {
    const points = rows.filter((row) => row.verdict === verdict).map((row) => ({x: row.ratio, y: row.y, row}));
    if (points.length > 0)
      datasets.push(dots(ink, colour, verdict, points, {pointStyle: shape, radius: 6, hoverRadius: 8, borderWidth: 2}));
  }
  if (controls.length > 0) {
    const points = controls.map((control) => ({x: control.ratio, y: control.y, row: {...control, verdict: 'control'}}));
    datasets.push(dots(ink, 'muted', 'control', points, {pointStyle: 'rectRot', radius: 4, backgroundColor: ink.surface}));
    datasets.push(line('', intervals(controls), ink.muted, {borderWidth: 1, unnamed: true}));
  }
  datasets.push(line('interval', intervals(rows), ink.ink));
  datasets.push(line('as fast', [{x: 1, y: -0.5}, {x: 1, y: rows.length - 0.5}], ink.muted, {borderWidth: 1, borderDash: [2, 4]}));
  const judged = rows.some(({margin}) => margin !== null);
  if (judged)
    datasets.push(line('within ±δ', margins(rows), ink.band, {borderWidth: 16}));
  const values = [...rows, ...controls].flatMap(
      ({ratio, low, high, margin}) => [ratio, low ?? ratio, high ?? ratio, 1 + (margin ?? 0), 1 / (1 + (margin ?? 0))]);
  const say = ({row: {label, verdict, ratio, low, high}}) =>
      `${label}: ${verdict}, ${number(ratio)}${low === null ? '' : ` [${number(low)}, ${number(high)}]`}`;
  return {
    config: configuration(ink, datasets, ratioAxis(ink, values), rowAxis(ink, rows), say),
    note: 'Each mark is the ratio of a case, the line its interval' +
        (judged ? '; differences inside the band are too small to count.' : '.'),
  };
}

function draw() {
  const ink = colours(), paper = matchMedia('print').matches;
  for (const chart of drawn) chart.destroy();
  drawn = comparison.metrics.map((metric, i) => {
    const figure = document.getElementById(`metric-${i}`);
    figure.querySelector('.plot').replaceChildren();
    return put(figure, metricChart(metric, ink), paper);
  });
}

draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
matchMedia('print').addEventListener('change', draw);
