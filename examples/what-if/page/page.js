const $ = id => document.getElementById(id);
const pause = () => new Promise(resolve => setTimeout(resolve));
const number = value => value.toLocaleString("en");
const share = (part, of) => {
  const percent = of ? part * 100 / of : 0;
  if (part > 0 && percent < 0.1) return "< 0.1 %";
  if (part < of && percent > 99.9) return "> 99.9 %";
  return percent.toFixed(1) + " %";
};
const seconds = value => value >= 7200 ? (value / 3600).toFixed(1) + " h"
  : value >= 120 ? (value / 60).toFixed(1) + " min"
  : value >= 1 ? value.toFixed(1) + " s" : Math.round(value * 1000) + " ms";
const aTime = per => per === "hour" ? "an hour" : `a ${per}`;
const rateText = rate => `${rate.count} ${aTime(rate.per)}`;
const edges = (band, of) => band.spread === null ? [of(band.at_start)] : [of(band.spread), of(band.at_start)].sort((a, b) => a - b);
const range = (band, of, show = number) => [...new Set(edges(band, of).map(show))].join(" to ");

function fail(error) {
  $("error").textContent = error instanceof WebAssembly.RuntimeError
    ? "The replay stopped with an error of its own. Load the page anew, and please report it." : `${error.message ?? error}`;
  $("error").hidden = false;
}
addEventListener("error", event => fail(event.error ?? event.message));
addEventListener("unhandledrejection", event => fail(event.reason));

// The core: bytes go in by its buffer, and come out where it says.
let core;
const packed = $("wasm").textContent.trim();
async function start() {
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  core = (await WebAssembly.instantiate(bytes)).instance.exports;
}
// A view ends where the memory grows: it is made after the call that may do so.
function give(bytes) {
  const place = core.buffer(bytes.length);
  new Uint8Array(core.memory.buffer, place, bytes.length).set(bytes);
}
function ask(question) {
  give(new TextEncoder().encode(JSON.stringify(question)));
  const length = core.ask();
  const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(core.memory.buffer, core.answer(), length)));
  if (answer?.error !== undefined) throw new Error(answer.error);
  return answer;
}

// Elements.
function element(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "text", "title", "circle"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function fillTable(table, heads, rows) {
  const head = element("thead", {}, element("tr", {}, ...heads.map(text => element("th", {scope: "col"}, text))));
  const body = rows.map(([first, ...cells]) =>
    element("tr", {}, element("th", {scope: "row"}, first), ...cells.map(text => element("td", {}, text))));
  table.replaceChildren(head, element("tbody", {}, ...body));
}
const LEFT = 52, RIGHT = 12, TOP = 26, BOTTOM = 26;
function chart(holder, label, height, paint, top = TOP) {
  const width = Math.max(holder.clientWidth, 280);
  const svg = element("svg", {viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label});
  const inner = {width: width - LEFT - RIGHT, height: height - top - BOTTOM};
  svg.append(element("text", {x: 4, y: 14}, label));
  paint(svg, x => LEFT + x * inner.width, y => top + (1 - y) * inner.height, inner);
  holder.replaceChildren(svg);
  return svg;
}
const anchor = at => at > 0.9 ? "end" : at < 0.1 ? "start" : "middle";
function axis(svg, x, y, most, show) {
  for (const part of [0, 0.5, 1]) {
    svg.append(element("line", {x1: x(0), x2: x(1), y1: y(part), y2: y(part), stroke: "var(--line)"}),
      element("text", {x: x(0) - 6, y: y(part) + 4, "text-anchor": "end"}, show(most * part)));
  }
}
// Columns of parts on each other; a part is a list of heights and a colour.
function columns(holder, label, height, parts, most, marks = []) {
  return chart(holder, label, height, (svg, x, y, inner) => {
    axis(svg, x, y, most, value => value >= 10 || Number.isInteger(value) ? number(Math.round(value)) : value.toFixed(1));
    const count = parts[0].heights.length, wide = inner.width / count;
    for (let index = 0; index < count; index++) {
      let sum = 0;
      for (const {heights, colour} of parts) {
        if (heights[index] > 0) {
          const top = y(Math.min((sum + heights[index]) / most, 1));
          svg.append(element("rect", {x: x(index / count), width: Math.max(wide - 0.6, 0.6), y: top, height: y(Math.min(sum / most, 1)) - top, fill: colour}));
        }
        sum += heights[index];
      }
    }
    for (const {at, text} of marks) svg.append(element("text", {x: x(at), y: y(0) + 16, "text-anchor": anchor(at)}, text));
  });
}

// What is told of a limit. Each of these takes what the core says.
let told = {};
const limitNow = () => ({rate: {count: Number($("count").value), per: $("per").value}, burst: Number($("burst").value)});

function showHeadline(headline) {
  told.headline = headline;
  $("told").hidden = false;
  $("sentence").textContent = headline.sentence;
  $("span").textContent = `From ${headline.first} to ${headline.last} UTC.`;
  $("notes").replaceChildren(...headline.notes.map(note => element("li", {}, note)));
  $("rest").hidden = headline.read.requests === 0;
  if ($("rest").hidden) $("sentence").textContent = `None of ${number(headline.read.lines)} lines is a request.`;
  const {allowed, denied, step} = headline.time_line;
  const most = Math.max(1, ...allowed.map((count, index) => count + denied[index]));
  const worst = denied.indexOf(Math.max(...denied));
  const columnTime = seconds(step / 1e9);
  columns($("time"), `requests in each ${columnTime}: allowed (blue), denied (orange)`, 200,
    [{heights: allowed, colour: "var(--yes)"}, {heights: denied, colour: "var(--no)"}], most,
    [{at: 0, text: headline.first.slice(11, 19)}, {at: 1, text: headline.last.slice(11, 19)}]);
  $("time-told").textContent = denied[worst] > 0
    ? `At most ${number(most)} requests in ${columnTime}; most are denied ${seconds(worst * step / 1e9)} after the beginning: ${number(denied[worst])} of ${number(allowed[worst] + denied[worst])}.`
    : `At most ${number(most)} requests in ${columnTime}; none is denied.`;
  const needed = value => value === null ? "none" : number(value);
  fillTable($("hit"), ["client", "requests", "denied", "share", "first (UTC)", "longest wait", "needs a burst of", `or a rate, ${aTime(headline.limit.rate.per)}`],
    headline.hit.map(client => [client.key, number(client.requests), number(client.denied), share(client.denied, client.requests),
      client.first.slice(5, 19), seconds(client.longest_wait), needed(client.burst), needed(client.rate)]));
  const log = headline.sliding_log;
  $("sliding").textContent = log === null ? "For so many clients and such a burst a sliding log keeps too much: 8 bytes for each request of each client."
    : `Gcra, a token bucket, denies ${range(headline.denied, denied => denied.requests)} requests of ${range(headline.denied, denied => denied.clients)} clients. `
      + `A sliding log of ${number(log.max)} in ${seconds(log.window)}, the same burst and the same rate in the long run, denies ${range(log.denied, denied => denied.requests)} of ${range(log.denied, denied => denied.clients)}.`;
}

function showSweep(points) {
  told.sweep = points;
  const {limit, read, clients} = told.headline;
  const bursts = [...new Set(points.map(point => point.limit.burst))].sort((a, b) => a - b);
  const rates = [...new Map(points.map(point => [point.per_second, point.limit.rate])).entries()].sort((a, b) => a[0] - b[0]);
  const [low, high] = [Math.log(rates[0][0]), Math.log(Math.max(rates.at(-1)[0], rates[0][0] * 10))];
  const place = perSecond => (Math.log(perSecond) - low) / (high - low);
  const own = limit.rate.count / {second: 1, minute: 60, hour: 3600}[limit.rate.per];
  const colours = ["var(--third)", "var(--no)", "var(--yes)"], dashes = ["6 3", "", "2 3"];
  const at = (burst, perSecond) => points.findLast(point => point.limit.burst === burst && point.per_second <= perSecond);
  for (const [id, name, part, all] of [["requests", "requests denied", denied => denied.requests, read.requests], ["clients", "clients hit", denied => denied.clients, clients]]) {
    const most = Math.max(0.001, ...points.map(point => part(point.denied.at_start) / Math.max(all, 1)));
    chart($(`sweep-${id}`), `share of ${name}, by rate`, 230, (svg, x, y) => {
      axis(svg, x, y, most * 100, value => value.toFixed(most < 0.1 ? 1 : 0) + " %");
      let beyond = -1;
      for (const [perSecond, rate] of rates) {
        if (place(perSecond) < beyond || ![1, 10, 100, 1000].includes(rate.count)) continue;
        beyond = place(perSecond) + 0.12;
        svg.append(element("text", {x: x(place(perSecond)), y: y(0) + 16, "text-anchor": anchor(place(perSecond))}, `${rate.count}/${rate.per.slice(0, 3)}`));
      }
      if (place(own) >= 0 && place(own) <= 1) svg.append(element("line", {x1: x(place(own)), x2: x(place(own)), y1: y(0), y2: y(1), stroke: "var(--faint)", "stroke-dasharray": "4 4"}));
      bursts.forEach((burst, index) => {
        const line = rates.map(([perSecond]) => [x(place(perSecond)), y(part(at(burst, perSecond).denied.at_start) / Math.max(all, 1) / most)]);
        svg.append(element("path", {d: "M" + line.map(point => point.map(value => value.toFixed(1)).join(" ")).join("L"), fill: "none", stroke: colours[index], "stroke-width": 2, "stroke-dasharray": dashes[index]}));
        const legend = LEFT + Math.min(110, (x(1) - LEFT) / bursts.length) * index;
        svg.append(element("line", {x1: legend, x2: legend + 24, y1: 28, y2: 28, stroke: colours[index], "stroke-width": 2, "stroke-dasharray": dashes[index]}),
          element("text", {x: legend + 28, y: 32}, `burst ${number(burst)}`));
      });
    }, 44);
    const knee = rates.find(([perSecond]) => part(at(limit.burst, perSecond).denied.at_start) * 1000 <= all);
    $(`sweep-${id}-told`).textContent = knee ? `With a burst of ${number(limit.burst)}, at most one in a thousand ${id} from ${rateText(knee[1])} on. The broken line is the limit that was asked for.`
      : `With a burst of ${number(limit.burst)}, no rate spares all but one in a thousand ${id}.`;
    if (points[0].denied.spread !== null) $(`sweep-${id}-told`).textContent += " Here the requests of a whole second are all at its start; the numbers have both.";
  }
  fillTable($("sweep-table"), ["rate", ...bursts.map(burst => `burst ${number(burst)}: denied, hit`)],
    rates.map(([perSecond, rate]) => [rateText(rate), ...bursts.map(burst => {
      const {denied} = at(burst, perSecond);
      return `${range(denied, denied => denied.requests)}, ${range(denied, denied => denied.clients)}`;
    })]));
}

function showLeast(least) {
  told.least = least;
  const {limit, clients} = told.headline;
  const none = 2 ** 32;
  const rate = range(least.rate, rate => rate === null ? none : rate.count, count => count === none ? "no rate" : rateText({count, per: limit.rate.per}));
  const burst = range(least.burst, burst => burst ?? none, burst => burst === none ? "none" : number(burst));
  $("least").textContent = `The least that hits at most ${number(least.may_be_hit)} of ${number(clients)} clients: ${rate} with a burst of ${number(limit.burst)}, or a burst of ${burst} with ${rateText(limit.rate)}.`
    + (least.may_be_less ? " Requests have costs, so that a larger limit may deny more." : "");
}

function showTables(tables) {
  told.tables = tables;
  const grouped = String(tables.capacity).replace(/\B(?=(\d{3})+$)/g, "_");
  $("keys").textContent = `At most ${range(tables.most_in_use, keys => keys)} keys are in use at once: a capacity of ${number(tables.capacity)} is enough for as many again. With less room:`;
  fillTable($("full"), ["room for", "denied", "of those, wrongly", "keys in use that had to leave", "requests without an entry"],
    tables.full.map(full => [full.capacity, full.denied, full.wrongly, full.evicted, full.overflowed].map(number)));
  $("rust").textContent = `${told.headline.rust}.capacity(${grouped}).build()`;
  $("settings").textContent = `${told.headline.settings}\ncapacity = ${grouped}`;
}

// Asks the core piece by piece, so that the page stays awake; what is asked later goes first.
let turn = 0, sweeps = new Map();
async function answer() {
  const mine = ++turn;
  delete document.documentElement.dataset.ready;
  if (!$("ask").checkValidity()) return;
  const limit = limitNow();
  showHeadline(ask({ask: "headline", limit}));
  await pause();
  if (mine !== turn) return;
  showLeast(ask({ask: "least", limit}));
  const points = [];
  for (let burst = 0; burst < 3; burst++) {
    await pause();
    if (mine !== turn) return;
    const name = `${limit.burst} ${burst} ${limit.rate.per === "hour"}`;
    if (!sweeps.has(name)) sweeps.set(name, ask({ask: "sweep", limit, burst}));
    points.push(...sweeps.get(name));
  }
  showSweep(points);
  await pause();
  if (mine !== turn) return;
  showTables(ask({ask: "tables", limit}));
  document.documentElement.dataset.ready = mine;
}
let soon;
const answerSoon = () => { clearTimeout(soon); soon = setTimeout(() => { if (loaded) answer().catch(fail); }, 80); };

let loaded = false;
const MOST = 5_000_000;
async function open(files) {
  turn++;
  loaded = false;
  $("error").hidden = true;
  $("told").hidden = true;
  sweeps.clear();
  ask({ask: "open", key: $("by").value || $("field").value.trim(), most: MOST});
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  let read = 0, shown = 0;
  $("progress").hidden = false;
  for (const file of files) {
    const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer());
    let stream = file.stream().pipeThrough(new TransformStream({transform(chunk, controller) { read += chunk.length; controller.enqueue(chunk); }}));
    if (magic[0] === 0x1f && magic[1] === 0x8b) stream = stream.pipeThrough(new DecompressionStream("gzip"));
    for (let reader = stream.getReader(), piece; !(piece = await reader.read()).done;) {
      give(piece.value);
      const requests = core.push();
      if (performance.now() - shown < 100) continue;
      $("progress").value = read / bytes;
      $("status").textContent = `${number(requests)} requests`;
      await pause();
      shown = performance.now();
    }
    ask({ask: "end_of_file"});
  }
  $("status").textContent = "Putting them in order …";
  await pause();
  const {requests} = ask({ask: "close"});
  $("progress").hidden = true;
  $("status").textContent = `${number(requests)} requests of ${files.map(file => file.name).join(", ")}`;
  loaded = true;
  await answer();
}
async function madeUp() {
  $("error").hidden = true;
  sweeps.clear();
  ask({ask: "made_up", seed: 1});
  $("status").textContent = "Made-up traffic: a poller, an office behind one address, bursts, a crawler, sixty people, and a flood of made-up keys.";
  loaded = true;
  await answer();
}

// Forms and tabs.
const slideToCount = value => Math.max(1, Math.round(10 ** (value / 100)));
function setUpLimits() {
  const reopen = () => { if ($("files").files.length) open([...$("files").files]).catch(error => { $("progress").hidden = true; $("status").textContent = ""; fail(error); }); };
  $("ask").addEventListener("submit", event => event.preventDefault());
  $("files").addEventListener("change", reopen);
  $("by").addEventListener("change", () => { $("field-label").hidden = $("by").value !== ""; reopen(); });
  $("field").addEventListener("change", reopen);
  $("made-up").addEventListener("click", () => { $("files").value = ""; madeUp().catch(fail); });
  $("slide").addEventListener("input", () => { $("count").value = slideToCount($("slide").value); answerSoon(); });
  $("count").addEventListener("input", () => { $("slide").value = Math.round(Math.log10(Math.max(1, $("count").value)) * 100); answerSoon(); });
  for (const id of ["per", "burst"]) $(id).addEventListener("input", answerSoon);
}
function setUpTabs() {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = chosen => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    redraw();
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", event => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (step) { const next = tabs[(index + step + tabs.length) % tabs.length]; next.focus(); choose(next); }
    });
  });
}
// Pictures are as wide as there is room.
function redraw() {
  if (told.headline && !$("limits").hidden) { showHeadline(told.headline); if (told.sweep) showSweep(told.sweep); }
  if (core && !$("failures").hidden) { showDrawing(); playStorms(); }
}
addEventListener("resize", () => { clearTimeout(soon); soon = setTimeout(redraw, 100); });

async function main() {
  setUpTabs();
  if (packed) {
    await start();
    setUpLimits();
    setUpStorms();
    $("made-up").click();
    return;
  }
  // Made by the command: there is a report, and nothing to ask.
  const report = JSON.parse($("report").textContent);
  $("ask").hidden = true;
  $("tabs").hidden = true;
  showHeadline(report.headline);
  showSweep(report.sweep);
  showLeast(report.least);
  showTables(report.tables);
  document.documentElement.dataset.ready = 1;
}
