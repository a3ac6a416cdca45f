// The last minute of traffic, one bar a second: to the app behind, to the provider in front.

const spark = document.getElementById('spark');
const rateApp = document.getElementById('rate-app');
const rateRedeemed = document.getElementById('rate-redeemed');
const SVG = 'http://www.w3.org/2000/svg';
const SECONDS = 60;
const [WIDTH, HEIGHT] = [240, 64];
const STEP = WIDTH / SECONDS;

const bars = Array.from({ length: SECONDS }, (_, i) => ['app', 'redeemed'].map((kind) => bar(kind, i)));
let ticks = [];

export function showTicks(list) {
  ticks = list.slice(-SECONDS);
  draw();
}

export function showTick(tick) {
  ticks = [...ticks.filter(({ second }) => second !== tick.second), tick].slice(-SECONDS);
  draw();
}

function draw() {
  const highest = Math.max(4, ...ticks.map(({ app, redeemed }) => Math.max(app, redeemed)));
  bars.forEach((pair, i) => {
    const tick = ticks[ticks.length - SECONDS + i];
    size(pair[0], (tick?.app ?? 0) / highest);
    size(pair[1], (tick?.redeemed ?? 0) / highest);
  });
  const last = ticks.at(-1);
  rateApp.textContent = last?.app ?? 0;
  rateRedeemed.textContent = last?.redeemed ?? 0;
}

function bar(kind, i) {
  const rect = document.createElementNS(SVG, 'rect');
  rect.setAttribute('class', `spark-${kind}`);
  rect.setAttribute('x', i * STEP + 0.5);
  rect.setAttribute('width', STEP - 1);
  spark.append(rect);
  return rect;
}

function size(rect, share) {
  const height = share > 0 ? Math.max(3, share * (HEIGHT - 2)) : 0;
  rect.setAttribute('height', height);
  rect.setAttribute('y', HEIGHT - height);
}
