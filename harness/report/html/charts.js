// What each plot shows: functions from a case of the data block to a configuration of Chart.js and a note. Nothing here
// touches the page.

// The robust line over the steps it was fitted to; a straight line is a curve on a logarithmic axis: points enough for that.
function fitted({depth}, growth, unit) {
  const first = depth[0], last = depth[depth.length - 1], points = [];
  for (let i = 0; i <= 32; ++i) {
    const x = first + (last - first) * i / 32, y = (growth.step_ns_at_zero + growth.step_ns_per_token * x) / unit.ns;
    if (y > 0) points.push({x, y});
  }
  return points;
}

// "1.52 ms + 68.3 µs · n, grows as n^0.92"
function equation({step_ns_at_zero: zero, step_ns_per_token: slope, growth_exponent: power}) {
  const time = (ns) => {
    const unit = unitOf([ns]);
    return `${number(ns / unit.ns, 3)} ${unit.name}`;
  };
  const line = `${zero < 0 ? '−' : ''}${time(Math.abs(zero))} ${slope < 0 ? '−' : '+'} ${time(Math.abs(slope))} · n`;
  return power === null ? line : `${line}, grows as n^${power.toFixed(2)}`;
}

// A line across the plot at the length from which on the engine is ahead.
function breakEven(ink, one, x, ys) {
  const least = Math.min(...ys), most = Math.max(...ys);
  const label = `break-even: token ${one.growth.break_even_tokens}`;
  return line(label, [{x, y: least}, {x, y: most}], ink.third, {borderWidth: 1.5, borderDash: [1, 3]});
}

function paysSentence({withheld, break_even_tokens: token}) {
  if (withheld) return '';
  if (token === null) return ' The engine had not taken less time in all by the last token.';
  return ` The engine has taken less time in all from token ${token} on, its prefill included.`;
}

function stepsChart(one, ink) {
  const plot = one.steps, times = kPaths.flatMap((path) => plot[path].ns), unit = unitOf(times);
  const {growth, repetitions} = one, {count: all, ns: {length: shown}, depth} = plot.naive;
  const datasets = [], lines = [];
  for (const path of kPaths) {
    const curve = plot[path];
    datasets.push(dots(
        ink, path, path, pairs(curve.depth, curve.ns.map((ns) => ns / unit.ns)),
        {radius: curve.depth.length > 200 ? 2 : 3, borderWidth: 0, backgroundColor: ink[path] + '90'}));
    if (!growth.curve) continue;
    lines.push(line(
        `${path}: ${equation(growth[path])}`, fitted(curve, growth[path], unit), ink[path],
        {borderDash: kDashes[path]}));
  }
  const at = growth.before + growth.break_even_tokens - 2;  // the step that computes that token; the first has none
  if (growth.curve && growth.break_even_tokens !== null && at >= depth[0])
    lines.push(breakEven(ink, one, at, times.map((ns) => ns / unit.ns)));
  const say = (point, dataset) => `${dataset.path}: ${number(point.y)} ${unit.name} behind ${point.x} tokens`;
  const shownTimes = [...lines, ...datasets].flatMap((set) => set.data.map((point) => point.y));
  return {
    config: configuration(
        ink, [...lines, ...datasets],  // what comes first is on top
        axis(ink, 'tokens before it (n)', {fromZero: false, whole: true}),
        axisFor(ink, `time of the step, ${unit.name}`, shownTimes), say),
    note: `Each dot is a decode step, all rows together, the median of ${counted(repetitions, 'repetition')}; ` +
        (growth.curve ?
             'lines are robust fits (Theil and Sen) through all steps, the power is the slope of one through the logarithms.' :
             'so few steps make no curve, and no line is fitted.') +
        paysSentence(growth) + (shown < all ? ` ${shown} of ${all} steps are shown.` : ''),
  };
}

// What the curve is held against: the ratio of positions all along, and what FLOPs allow at the end.
function limits(ink, plot) {
  const sets = [];
  if (plot.positions)
    sets.push(line(
        'positions computed, naive / engine', pairs(plot.length, plot.positions), ink.muted,
        {borderWidth: 1.5, borderDash: [6, 4]}));
  if (plot.ceiling !== null) {
    const end = {x: plot.length[plot.length.length - 1], y: plot.ceiling, ceiling: true};
    sets.push(dots(
        ink, 'third', `FLOPs allow ${number(plot.ceiling, 3)}x`, [end],
        {pointStyle: 'rect', radius: 6, hoverRadius: 8}));
  }
  return sets;
}

const interval = ({low, high}) => low === null || low === undefined ? '' : ` [${number(low, 3)}, ${number(high, 3)}]`;

function speedupSays(plot, data, mark) {
  return (point) => {
    if (point.ceiling) return `FLOPs allow ${number(point.y, 3)}x at ${point.x} tokens`;
    if (point.end) {
      const {end} = point, ratio = `${number(end.ratio, 3)}x${end.verified ? '' : '?'}${interval(end)}`;
      return `${data.cases[end.case].id}: ${ratio} at ${end.length} tokens`;
    }
    const at = plot.length.indexOf(point.x);
    return `${number(point.y, 3)}x${mark}${interval({low: plot.low[at], high: plot.high[at]})} at ${point.x} tokens`;
  };
}

function speedupNote(one) {
  const {speedup: plot, growth, repetitions} = one;
  let note =
      'Time of naive over that of the engine, first token and prefill included, had both stopped there; the median of ' +
      `${counted(repetitions, 'pair')} of runs${plot.low.some((low) => low !== null) ? ', shaded its interval' : ''}.`;
  if (plot.positions) note += ' Dashes: what it would be if each position that is computed cost the same.';
  if (plot.ceiling !== null && growth.of_ceiling !== null)
    note +=
        ` Square: what the FLOPs of both paths allow, of which ${number(100 * growth.of_ceiling, 2)} % was reached.`;
  return note + paysSentence(growth) + (plot.verified ? '' : ' ?: not verified.');
}

function speedupChart(one, ink, data) {
  const plot = one.speedup, {growth} = one, mark = plot.verified ? '' : '?';
  const curve = pairs(plot.length, plot.ratio);
  const band = (ends) => pairs(plot.length, ends).filter((point) => point.y !== null);
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
    datasets.push(dots(
        ink, 'engine', 'ends of other cases', ends,
        {pointStyle: 'rectRot', radius: 5, hoverRadius: 8, backgroundColor: ink.surface}));
  }
  datasets.push(...limits(ink, plot));
  const lengths = datasets.flatMap((set) => set.data.map((point) => point.x));
  const ratios = datasets.flatMap((set) => set.data.map((point) => point.y)).concat(1);
  const ends = {least: Math.min(...lengths), most: Math.max(...lengths)};
  datasets.push(line(
      'equally fast', [{x: ends.least, y: 1}, {x: ends.most, y: 1}], ink.muted, {borderWidth: 1, borderDash: [2, 4]}));
  if (growth.break_even_tokens !== null)
    datasets.push(breakEven(ink, one, growth.before + growth.break_even_tokens, ratios));
  const config = configuration(
      ink, datasets, axisFor(ink, 'tokens of the text, prompt included', lengths, {fromZero: false, whole: true}),
      axisFor(ink, 'naive / engine', ratios), speedupSays(plot, data, mark));
  return {config, note: speedupNote(one)};
}

function gapsChart(one, ink) {
  const plot = one.gaps, times = kPaths.flatMap((path) => plot[path].ns), unit = unitOf(times);
  const datasets = kPaths.map((path) => {
    const points = pairs(plot[path].ns.map((ns) => ns / unit.ns), plot[path].share.map((share) => 100 * share));
    return dots(
        ink, path, `${path}, ${plot[path].count} gaps`, [{x: points[0].x, y: 0}, ...points],
        {showLine: true, stepped: 'before', radius: points.length > 60 ? 0 : 2, borderDash: kDashes[path]});
  });
  const say = (point, dataset) =>
      `${dataset.path}: ${number(point.y, 3)} % are at most ${number(point.x)} ${unit.name}`;
  return {
    config: configuration(
        ink, datasets, axisFor(ink, `gap, ${unit.name}`, times.map((ns) => ns / unit.ns), {fromZero: false}),
        axis(ink, 'share of all gaps, %', {max: 100}), say),
    note: `Every gap between two tokens of ${
              counted(one.repetitions, 'repetition')}, warm-up left out: a steep curve is an even pace, ` +
        'a long tail at the top are stalls.',
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
        {borderWidth: 1.5, borderDash: kDashes[path]}));
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
    config:
        configuration(ink, datasets, x, axisFor(ink, `whole run, ${unit.name}`, times.map((ns) => ns / unit.ns)), say),
    note:
        'Each dot is a whole run, from the call to the last token, both paths by turns. Hollow: the first call and warm-up, which no number ' +
        'above counts; lines are the medians of what counts. A trend or a jump here is the machine\'s.'
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
        'Dots: the median rate of each phase; under a slanted line reading memory is the limit, under the level one multiplying. ' +
        'FLOPs are the cost model\'s; bytes are the least that a forward reads: weights once, and the keys and values ' +
        'of the cache. Lines: this machine\'s peaks, measured in the same run.',
  };
}

const kLevelShapes = ['rect', 'triangle'], kLevelDashes = [[6, 3], [2, 3]];
const kFindingShapes = ['crossRot', 'star', 'rect', 'rectRot', 'triangle', 'cross'];

function errorNote({dtype, logits, worst}, exact) {
  const compared = logits ?
      `The largest difference at each position between the cache and full recompute, ${dtype}, as verification saw it in ` +
          'its longest sequence: of the logits, and behind them of keys and values and of the stages of a forward, over ' +
          'all layers. An even level is rounding, a rise would point to positions.' :
      '';
  const levels = worst.map(({level, name, ratio}) => `${level} ${name} ${number(ratio, 2)}`).join(', ');
  return compared + (levels ? ` Worst of each level over all scenarios, 1 would fail: ${levels}.` : '') +
      (exact > 0 ? ` ${exact} positions without any error are not on a logarithmic axis.` : '');
}

function errorChart(one, ink) {
  const {logits, findings} = one.error, datasets = [];
  let exact = 0;
  const draw = (colour, label, errors, more) => {
    const all = pairs(errors.positions, errors.max_abs), points = all.filter((point) => point.y > 0);
    exact += all.length - points.length;
    datasets.push(dots(
        ink, colour, label, points, {showLine: points.length > 1, radius: points.length > 60 ? 1.5 : 3, ...more}));
  };
  if (logits) draw('engine', `logits (L2), ${logits.scenario}`, logits, {});
  one.error.levels.forEach(
      (level, i) => draw(
          'muted', `${level.name} (${level.level})`, level, {pointStyle: kLevelShapes[i], borderDash: kLevelDashes[i]}));
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
    return {sentence: 'No error at any position: the logits are the same to the last bit.'};
  const say = (point, dataset) => point.finding ?
      `${point.finding.level} ${point.finding.name}: off by ${number(point.y, 3)} at position ${point.x}, ${
          point.finding.scenario}` :
      `${dataset.label.split(',')[0]}: off by ${number(point.y, 3)} at position ${point.x}`;
  return {
    config: configuration(
        ink, datasets, axis(ink, 'position', {fromZero: false, whole: true}),
        axis(
            ink, 'largest error', {log: true, ...logEnds(datasets.flatMap((set) => set.data.map((point) => point.y)))}),
        say),
    note: errorNote(one.error, exact),
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
