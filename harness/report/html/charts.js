'use strict';
// What each plot shows: functions from a case of the data block to a configuration of Chart.js and a note. Nothing here
// touches the page. Colours come in as `ink`; times are ns in the data, and shown in the unit that fits.

const kPaths = ['naive', 'engine'];
const kShapes = {
  naive: 'triangle',
  engine: 'circle'
};
const kLogFrom = 20;  // values that span more are told apart on a logarithmic axis only

const number = (value, digits = 4) => String(Number(value.toPrecision(digits)));
const pairs = (xs, ys) => xs.map((x, i) => ({x, y: ys[i]}));

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

// Of a logarithmic axis: powers of ten, and twice and five times them where there are few.
function logTick(value, index, ticks) {
  const span = ticks.length ? Math.log10(ticks[ticks.length - 1].value / ticks[0].value) : 0;
  const leading = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
  const labelled = span > 3 ? [1] : span > 1.2 ? [1, 2, 5] : [1, 2, 3, 5, 7];
  if (!labelled.includes(leading)) return '';
  return value >= 1e5 || value < 1e-3 ? value.toExponential(0).replace('e+', 'e') : number(value);
}

function axis(ink, title, {log = false, fromZero = true, whole = false, ...more} = {}) {
  return {
    type: log ? 'logarithmic' : 'linear',
    ...(log ? {} : {beginAtZero: fromZero}),
    title: {display: true, text: title, color: ink.ink},
    grid: {color: ink.grid, borderColor: ink.line},
    ticks: {
      color: ink.muted,
      maxRotation: 0,
      autoSkipPadding: 14,
      ...(whole ? {precision: 0} : {}),
      callback: log ? logTick : (value) => number(value)
    },
    ...more,
  };
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
        legend: {position: 'bottom', labels: {color: ink.ink, usePointStyle: true, boxWidth: 8, boxHeight: 8}},
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

// A straight line is a curve on a logarithmic axis: points enough for that.
function fitted({depth, slope, intercept}, unit) {
  const first = depth[0], last = depth[depth.length - 1], points = [];
  for (let i = 0; i <= 32; ++i) {
    const x = first + (last - first) * i / 32, y = (intercept + slope * x) / unit.ns;
    if (y > 0) points.push({x, y});
  }
  return points;
}

function stepsChart(one, ink) {
  const plot = one.steps, times = kPaths.flatMap((path) => plot[path].ns), unit = unitOf(times);
  const small = unitOf(kPaths.map((path) => Math.abs(plot[path].slope ?? 0)));
  const datasets = [], lines = [], {count: all, ns: {length: shown}} = plot.naive;
  for (const path of kPaths) {
    const curve = plot[path];
    datasets.push(dots(
        ink, path, path, pairs(curve.depth, curve.ns.map((ns) => ns / unit.ns)),
        {radius: curve.depth.length > 200 ? 2 : 3, borderWidth: 0, backgroundColor: ink[path] + 'a0'}));
    if (curve.slope === null) continue;
    const label = `${path}, fitted: ${number(curve.slope / small.ns, 3)} ${small.name} more a token`;
    lines.push(line(label, fitted(curve, unit), ink[path], {borderDash: path === 'naive' ? [6, 4] : []}));
  }
  const say = (point, dataset) => `${dataset.path}: ${number(point.y)} ${unit.name} behind ${point.x} tokens`;
  return {
    config: configuration(
        ink, [...lines, ...datasets],
        axis(ink, 'tokens before it', {fromZero: false, whole: true}),  // what comes first is on top
        axis(ink, `time of the step, ${unit.name}`, {log: spansDecades(times)}), say),
    note: 'Each step is the median over the repetitions; the lines are those of Theil and Sen.' +
        (shown < all ? ` ${shown} of ${all} steps are shown.` : ''),
  };
}

function speedupChart(one, ink, data) {
  const plot = one.speedup, mark = plot.verified ? '' : '?';
  const curve = pairs(plot.length, plot.ratio);
  const band = (limits) => pairs(plot.length, limits).filter((point) => point.y !== null);
  const datasets = [];
  const low = band(plot.low), high = band(plot.high);
  if (low.length > 1) {
    datasets.push(line('its interval', low, ink.band, {borderWidth: 1, fill: '+1', pointStyle: 'rect'}));
    datasets.push(line('', high, ink.band, {borderWidth: 1, unnamed: true}));
  }
  datasets.push(dots(
      ink, 'engine', `this case, run up to there${mark}`, curve, {showLine: true, radius: curve.length > 60 ? 0 : 2}));
  const others = data.groups[one.group].ends.filter((end) => data.cases[end.case] !== one);
  if (others.length > 0) {
    const ends = others.map((end) => ({x: end.length, y: end.ratio, end}));
    datasets.push(dots(ink, 'third', 'ends of other cases', ends, {pointStyle: 'rectRot', radius: 6, hoverRadius: 8}));
  }
  const lengths = datasets.flatMap((set) => set.data.map((point) => point.x));
  const ratios = datasets.flatMap((set) => set.data.map((point) => point.y));
  const ends = {least: Math.min(...lengths), most: Math.max(...lengths)};
  datasets.push(line(
      'equally fast', [{x: ends.least, y: 1}, {x: ends.most, y: 1}], ink.muted, {borderWidth: 1, borderDash: [2, 4]}));
  const interval = (of) =>
      of.low === null || of.low === undefined ? '' : ` [${number(of.low, 3)}, ${number(of.high, 3)}]`;
  const say = (point, dataset) => {
    const end = point.end;
    if (end) {
      const ratio = `${number(end.ratio, 3)}x${end.verified ? '' : '?'}${interval(end)}`;
      return `${data.cases[end.case].id}: ${ratio} at ${end.length} tokens`;
    }
    const at = plot.length.indexOf(point.x);
    return `${number(point.y, 3)}x${mark}${interval({low: plot.low[at], high: plot.high[at]})} at ${point.x} tokens`;
  };
  const config = configuration(
      ink, datasets, axis(ink, 'tokens of the text, prompt included', {log: spansDecades(lengths), fromZero: false}),
      axis(ink, 'naive / engine, whole run', {log: spansDecades(ratios)}), say);
  config.options.plugins.legend.labels.filter = (item, all) => !all.datasets[item.datasetIndex].unnamed;
  return {
    config,
    note: 'How much faster the engine would have been, had both stopped there: first token and prefill included.' +
        (plot.verified ? '' : ' ?: not verified.')
  };
}

function gapsChart(one, ink) {
  const plot = one.gaps, times = kPaths.flatMap((path) => plot[path].ns), unit = unitOf(times);
  const datasets = kPaths.map((path) => {
    const points = pairs(plot[path].ns.map((ns) => ns / unit.ns), plot[path].share.map((share) => 100 * share));
    return dots(ink, path, `${path}, ${plot[path].count} gaps`, [{x: points[0].x, y: 0}, ...points], {
      showLine: true,
      stepped: 'before',
      radius: points.length > 60 ? 0 : 2,
      borderDash: path === 'naive' ? [6, 3] : []
    });
  });
  const say = (point, dataset) =>
      `${dataset.path}: ${number(point.y, 3)} % are at most ${number(point.x)} ${unit.name}`;
  return {
    config: configuration(
        ink, datasets, axis(ink, `gap, ${unit.name}`, {log: spansDecades(times), fromZero: false}),
        axis(ink, 'share of all gaps, %', {max: 100}), say),
    note: 'All gaps of all repetitions, warm-up left out.',
  };
}

function runsChart(one, ink) {
  const plot = one.runs, times = kPaths.flatMap((path) => plot[path].runs.map((run) => run.e2e_ns)),
        unit = unitOf(times);
  const longest = kPaths.map((path) => plot[path].runs).reduce((a, b) => a.length >= b.length ? a : b);
  const name = (run) => run.kind === 'first call' ? run.kind :
      run.kind === 'warm-up'                      ? `warm-up ${run.number}` :
                                                    String(run.number);
  const datasets = [];
  for (const path of kPaths) {
    const {runs, median_ns: median} = plot[path], counted = (run) => run.kind === 'repetition';
    const points = runs.map((run, i) => ({x: i, y: run.e2e_ns / unit.ns, run}));
    datasets.push(dots(ink, path, path, points, {
      radius: 5,
      hoverRadius: 7,
      backgroundColor: points.map((point) => counted(point.run) ? ink[path] : ink.surface),
    }));
    const measured = points.filter((point) => counted(point.run));
    if (median === null || measured.length < 2) continue;
    datasets.push(line(
        `${path}, median ${unit.text(median)}`,
        [measured[0], measured[measured.length - 1]].map((point) => ({x: point.x, y: median / unit.ns})), ink[path],
        {borderWidth: 1.5, borderDash: path === 'naive' ? [6, 4] : []}));
  }
  const say = (point, dataset) => `${dataset.path}, ${name(point.run)}: ${number(point.y)} ${unit.name}, ` +
      `${point.run.order === 0 ? 'first' : 'second'} of its pair`;
  const x = axis(ink, 'repetition', {
    fromZero: false,
    min: -0.5,
    max: longest.length - 0.5,
    afterBuildTicks: (scale) => {
      scale.ticks = longest.map((_, value) => ({value}));
    }
  });
  x.ticks = {...x.ticks, autoSkip: true, callback: (value) => longest[value] ? name(longest[value]) : ''};
  return {
    config: configuration(ink, datasets, x, axis(ink, `whole run, ${unit.name}`, {log: spansDecades(times)}), say),
    note: 'Hollow: the first call and warm-up, which no number above counts.'
  };
}

const kReads = {
  in_cache: 'in cache',
  weights: 'as much as the weights',
  out_of_cache: 'out of cache'
};

// What memory at that rate allows, up to where multiplying is the limit.
function roof(read, most, from) {
  return [{x: from, y: from * read.bytes_per_s / 1e9}, {x: most / read.bytes_per_s, y: most / 1e9}];
}

function rooflineChart(one, ink) {
  const {points, reads, flops_per_s: most} = one.roofline;
  const slowest = Math.min(...reads.map((read) => read.bytes_per_s));
  const intensities = points.map((point) => point.intensity);
  const below = (value) => 10 ** Math.floor(Math.log10(value)), above = (value) => 10 ** Math.ceil(Math.log10(value));
  const from = below(Math.min(...intensities) / 1.5), to = above(1.5 * Math.max(most / slowest, ...intensities));
  const top = above(1.5 * most / 1e9);
  const ridge = most / Math.max(...reads.map((read) => read.bytes_per_s));
  const dashes = {in_cache: [2, 3], weights: [7, 3], out_of_cache: []};
  const engineFirst = [...points].sort((a, b) => a.path.localeCompare(b.path));  // smaller, and on top
  const datasets = engineFirst.map(
      (point) => dots(
          ink, point.path, `${point.path}, ${point.phase}`, [{x: point.intensity, y: point.flops_per_s / 1e9, point}], {
            pointStyle: point.phase === 'prefill' ? 'rectRot' : 'circle',
            radius: point.path === 'naive' ? 9 : 6,
            hoverRadius: 10
          }));
  for (const read of reads) {
    if (most / read.bytes_per_s <= from) continue;
    datasets.push(line(
        `reading ${kReads[read.name] ?? read.name}, ${number(read.bytes_per_s / 1e9, 3)} GB/s`, roof(read, most, from),
        ink.muted, {borderDash: dashes[read.name] ?? [], borderWidth: 1.5}));
  }
  datasets.push(line(
      `multiplying, ${number(most / 1e9, 3)} GFLOP/s`,
      [{x: Math.max(from, ridge), y: most / 1e9}, {x: to, y: most / 1e9}], ink.ink));
  const say = ({point}) => {
    const of = point.phase === 'prefill' ? 'multiplying' : 'reading';
    const share = point.share === null ? '' : `, ${number(100 * point.share, 3)} % of the peak in ${of}`;
    return `${point.path}, ${point.phase}: ${number(point.flops_per_s / 1e9)} GFLOP/s at ${
        number(point.intensity, 3)} FLOP/byte${share}`;
  };
  return {
    config: configuration(
        ink, datasets, axis(ink, 'FLOP a byte', {log: true, min: from, max: to}),
        axis(ink, 'GFLOP/s', {log: true, max: top}), say),
    note:
        'Dots: the median rate reached. FLOPs are the cost model\'s; bytes are the least that a forward reads: ' +
        'weights once, and the keys and values ' +
        'of the cache. Lines: this machine\'s measured peaks.',
  };
}

const kFindingShapes = ['crossRot', 'star', 'rect', 'rectRot', 'triangle', 'cross'];

function errorChart(one, ink) {
  const {logits, findings} = one.error, datasets = [];
  let exact = 0;
  if (logits) {
    const all = pairs(logits.positions, logits.max_abs), points = all.filter((point) => point.y > 0);
    exact = all.length - points.length;
    datasets.push(dots(
        ink, 'engine', `logits (L2), ${logits.scenario}`, points,
        {showLine: points.length > 1, radius: points.length > 60 ? 1.5 : 3}));
  }
  const levels = [...new Set(findings.map((finding) => finding.level))].sort();
  levels.forEach((level, i) => {
    const points = findings.filter((finding) => finding.level === level && finding.error > 0)
                       .map((finding) => ({x: finding.position, y: finding.error, finding}));
    if (points.length === 0) return;
    datasets.push(dots(
        ink, 'bad', `failed: ${level}, ${points[0].finding.name}`, points,
        {pointStyle: kFindingShapes[i % kFindingShapes.length], radius: 6, hoverRadius: 8}));
  });
  if (datasets.every((set) => set.data.length === 0))
    return {sentence: 'No error at any position: the values are the same to the last bit.'};
  const say = (point, dataset) => point.finding ?
      `${point.finding.level} ${point.finding.name}: off by ${number(point.y, 3)} at position ${point.x}, ${
          point.finding.scenario}` :
      `logits: off by ${number(point.y, 3)} at position ${point.x}`;
  return {
    config: configuration(
        ink, datasets, axis(ink, 'position', {fromZero: false, whole: true}), axis(ink, 'largest error', {log: true}),
        say),
    note: (logits ? 'The largest difference of a cached run\'s logits from recomputation. ' : '') +
        (exact > 0 ? `${exact} positions without any error are not on a logarithmic axis.` : ''),
  };
}

const kCharts = {
  steps: stepsChart,
  speedup: speedupChart,
  gaps: gapsChart,
  error: errorChart,
  roofline: rooflineChart,
  runs: runsChart
};
