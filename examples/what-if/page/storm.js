// An upstream whose failures are drawn.
const LENGTH = 60;
const WEATHERS = {
  "Outage": second => second >= 15 && second < 35 ? 100 : 0,
  "Half fails": second => second >= 15 && second < 40 ? 50 : 0,
  "Flapping": second => second >= 10 && Math.floor(second / 5) % 2 ? 100 : 0,
  "Well": () => 0,
};
let failing = Array.from({length: LENGTH}, (_, second) => WEATHERS["Outage"](second));
let second = 15;

function showDrawing() {
  columns($("drawing"), "attempts of 100 that fail, in each second", 150, [{heights: failing, colour: "var(--no)"}], 100,
    [{at: 0, text: "0 s"}, {at: (second + 0.5) / LENGTH, text: second > 4 && second < 56 ? "▲" : ""}, {at: 1, text: `${LENGTH} s`}]);
  const text = `Second ${second}: ${failing[second]} % fail.`;
  $("drawing").setAttribute("aria-valuenow", failing[second]);
  $("drawing").setAttribute("aria-valuetext", text);
  $("drawing-told").textContent = text;
}

function playStorms() {
  if (!$("storm").checkValidity()) return;
  const value = id => Number($(id).value);
  const plain = {failing, calls: value("calls"), bears: value("bears"), retries: value("retries"), budget: null, breaker: null};
  const breaker = {failures: value("failures-percent"), open: value("open")};
  const storms = [
    ["Retries alone", plain],
    ["With a budget", {...plain, budget: value("budget")}],
    ["With a budget and a breaker", {...plain, budget: value("budget"), breaker}],
  ].map(([name, storm]) => [name, ask({ask: "storm", storm, seed: 1})]);
  const attempts = storms.flatMap(([, played]) => played.seconds.slice(0, LENGTH).map(second => second.attempts + second.spared));
  const most = Math.max(1, ...attempts);
  const figures = storms.map(([name, {seconds, sum, opened}]) => {
    const holder = element("div", {class: "chart"});
    const shown = seconds.slice(0, LENGTH);
    const text = `${number(sum.attempts)} attempts for ${number(sum.calls)} calls; ${number(sum.succeeded)} calls succeed (${share(sum.succeeded, sum.calls)}), ${number(sum.given_up)} are given up.`
      + (opened.length ? ` The breaker opens ${opened.length === 1 ? "once" : `${opened.length} times`}, first at ${(opened[0] / 1000).toFixed(1)} s; it spares the upstream ${number(sum.spared)} attempts, of which ${number(sum.spared_good)} would have succeeded.` : "");
    const figure = element("figure", {}, element("h2", {}, name), holder, element("figcaption", {}, text));
    return {figure, draw: () => columns(holder, "attempts a second: answered (blue), failed (orange), spared (violet)", 150, [
      {heights: shown.map(second => second.attempts - second.failed), colour: "var(--yes)"},
      {heights: shown.map(second => second.failed), colour: "var(--no)"},
      {heights: shown.map(second => second.spared), colour: "var(--third)"},
    ], most, [{at: 0, text: "0 s"}, {at: 1, text: `${LENGTH} s`}])};
  });
  $("storms").replaceChildren(...figures.map(({figure}) => figure));
  figures.forEach(({draw}) => draw());
  fillTable($("storm-table"), ["", ...storms.map(([name]) => name)], [
    ["calls", "calls"], ["succeeded", "succeeded"], ["given up", "given_up"], ["attempts at the upstream", "attempts"], ["of those, failed", "failed"],
    ["attempts that the breaker spared", "spared"], ["of those, good ones", "spared_good"], ["retries beyond the budget", "unbudgeted"],
  ].map(([text, of]) => [text, ...storms.map(([, {sum}]) => number(sum[of]))]));
}

function setUpStorms() {
  const play = () => { showDrawing(); playStorms(); };
  $("weathers").append(...Object.entries(WEATHERS).map(([name, weather]) => {
    const button = element("button", {type: "button"}, name);
    button.addEventListener("click", () => { failing = failing.map((_, second) => weather(second)); play(); });
    return button;
  }));
  $("storm").addEventListener("submit", event => event.preventDefault());
  $("storm").addEventListener("input", play);
  const drawing = $("drawing");
  const draw = event => {
    const {left, top, width, height} = drawing.getBoundingClientRect();
    const [x, y] = [(event.clientX - left - LEFT) / (width - LEFT - RIGHT), (event.clientY - top - TOP) / (height - TOP - BOTTOM)];
    second = Math.min(LENGTH - 1, Math.max(0, Math.floor(x * LENGTH)));
    failing[second] = Math.min(100, Math.max(0, Math.round((1 - y) * 20) * 5));
    play();
  };
  drawing.addEventListener("pointerdown", event => { drawing.setPointerCapture(event.pointerId); draw(event); });
  drawing.addEventListener("pointermove", event => { if (event.buttons & 1) draw(event); });
  drawing.addEventListener("keydown", event => {
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 10], ArrowDown: [0, -10], PageUp: [0, 100], PageDown: [0, -100]}[event.key];
    if (!steps) return;
    event.preventDefault();
    second = (second + steps[0] + LENGTH) % LENGTH;
    failing[second] = Math.min(100, Math.max(0, failing[second] + steps[1]));
    play();
  });
}
main().catch(fail);
