// The page of a history: a plot for each series, in the order of the figures. Text of the history reaches it by textContent and
// the canvas alone.

const trend = JSON.parse(document.getElementById('data').textContent);
let drawn = [];

// Where a stretch begins and ends: half a run before its first point and behind its last one.
const levels = (series, unit) => pieces(
    series.stretches.map(({from, to, ns}) => [{x: from - 0.5, y: ns / unit.ns}, {x: to + 0.5, y: ns / unit.ns}]));

function spreads(series, unit) {
  const known = series.points.map((point, x) => ({...point, x})).filter(({low, high}) => low !== null && high !== null);
  return pieces(known.map(({x, low, high}) => [{x, y: low / unit.ns}, {x, y: high / unit.ns}]));
}

function stepLines(series, least, most) {
  return pieces(series.steps.map((at) => [{x: at - 0.5, y: least}, {x: at - 0.5, y: most}]));
}

// The release's level across the plot, and its runs.
function releaseSets(ink, {release, points}, unit) {
  if (!release || release.ns === null) return [];
  const y = release.ns / unit.ns, runs = release.points.map((x) => ({x, y: points[x].ns / unit.ns}));
  return [
    dots(ink, 'third', `release ${release.tag}`, runs, {pointStyle: 'rect', radius: 6, hoverRadius: 8}),
    line(
        `level of ${release.tag}`, [{x: -0.5, y}, {x: points.length - 0.5, y}], ink.third,
        {borderWidth: 1.5, borderDash: [1, 3]}),
  ];
}

// Runs are as far apart as their order is: a tick is named by the commit that ran.
function runAxis(ink, points) {
  const made = axis(ink, 'commit of the run, the oldest first', {whole: true, min: -0.5, max: points.length - 0.5});
  made.ticks.callback = (value) => Number.isInteger(value) && points[value] ? points[value].commit : '';
  return made;
}

function seriesChart(series, ink) {
  const {points} = series, unit = unitOf(points.map(({ns}) => ns));
  const heights = points.flatMap(({ns, low, high}) => [ns, low ?? ns, high ?? ns]).map((ns) => ns / unit.ns);
  const least = heights.reduce((a, b) => Math.min(a, b)), most = heights.reduce((a, b) => Math.max(a, b));
  const datasets = [
    ...releaseSets(ink, series, unit),
    dots(ink, series.path, 'run', points.map(({ns}, x) => ({x, y: ns / unit.ns}))),
    line('level between steps', levels(series, unit), ink.ink),
    line('interval', spreads(series, unit), ink[series.path] + '90', {borderWidth: 1}),
  ];
  if (series.steps.length > 0)
    datasets.push(line('step', stepLines(series, least, most), ink.bad, {borderWidth: 1.5, borderDash: [6, 4]}));
  const say = ({x, y}) => {
    const {commit, started, release} = points[x];
    return `${number(y)} ${unit.name}, commit ${commit}, ${started}${release === null ? '' : `, release ${release}`}`;
  };
  return {
    config: configuration(
        ink, datasets, runAxis(ink, points), axisFor(ink, `${series.metric}, ${unit.name}`, heights, {fromZero: false}), say),
    note: `${counted(points.length, 'run')}, ${counted(series.steps.length, 'step')}.`,
  };
}

function draw() {
  const ink = colours(), paper = matchMedia('print').matches;
  for (const chart of drawn) chart.destroy();
  drawn = trend.series.map((series, i) => {
    const figure = document.getElementById(`series-${i}`);
    figure.querySelector('.plot').replaceChildren();
    return put(figure, seriesChart(series, ink), paper);
  });
}

draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
matchMedia('print').addEventListener('change', draw);
