// The page of a run: which case's plots are shown, in which colours. Text of the record reaches it by textContent alone.

const report = JSON.parse(document.getElementById('data').textContent);
const drawn = new Map();  // of each figure its Chart
let current = 0;

function clear(figure) {
  drawn.get(figure.id)?.destroy();
  drawn.delete(figure.id);
  figure.querySelector('.plot').replaceChildren();
}

function show(figure, one, ink, paper) {
  clear(figure);
  const plot = one[figure.id];
  const made = plot.none ? {sentence: plot.none} : kCharts[figure.id](one, ink, report);
  drawn.set(figure.id, put(figure, made, paper));
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
