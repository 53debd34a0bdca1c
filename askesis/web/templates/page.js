"use strict";
// Charts are Plotly's own traces and layouts in which colours are names of the style sheet.
const charts = JSON.parse(document.getElementById("charts").textContent);
const axes = JSON.parse(document.getElementById("axes").textContent);
const chosen = {};  // what each switch stands at
const AXIS = {round: "round", tokens: "tokens generated", seconds: "seconds in stages"};
const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

function paint(name) {  // "@c0:0.16" as a colour
  const [word, alpha] = name.slice(1).split(":");
  const value = css(word);
  if (!alpha || !value.startsWith("#")) return value;
  const full = value.length === 4 ? value.replace(/[^#]/g, "$&$&") : value;
  const [r, g, b] = [1, 3, 5].map(i => parseInt(full.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

function painted(value) {
  if (typeof value === "string") return /^@[a-z]+[0-9]?(:[0-9.]+)?$/.test(value) ? paint(value) : value;
  if (Array.isArray(value)) return value.map(painted);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v)]));
  }
  return value;
}

function merged(under, over) {
  const found = {...under};
  for (const [k, v] of Object.entries(over)) {
    found[k] = v && under[k] && typeof v === "object" && !Array.isArray(v) ? merged(under[k], v) : v;
  }
  return found;
}

// Where round x lies on another axis, straight between the rounds whose place is known.
function placed(x, axis) {
  if (axis === "round" || x === null || x === undefined) return x;
  const at = axes.round, to = axes[axis];
  let i = at.findIndex(r => r >= x);
  if (i < 0) return to.at(-1);
  if (i === 0) return to[0];
  return to[i - 1] + (to[i] - to[i - 1]) * (x - at[i - 1]) / (at[i] - at[i - 1]);
}

function contents(chart) {
  const view = chart.views ? chart.views[chosen[chart.switch]] : chart;
  if (!view) return {traces: [], layout: {annotations: [{text: "not measured", showarrow: false}]}};
  const axis = chart.rounds ? chosen.x || "round" : "round";
  if (axis === "round") return view;
  const traces = view.traces.map(t => ({...t, x: t.x.map(x => placed(x, axis)),
    hovertemplate: t.hovertemplate && t.hovertemplate.replace(/^round %/, AXIS[axis] + " %")}));
  const moved = what => (what || []).map(s => ({...s, ...("x0" in s ? {x0: placed(s.x0, axis), x1: placed(s.x1, axis)} : {x: placed(s.x, axis)})}));
  return {traces, layout: {...view.layout, shapes: moved(view.layout.shapes),
    annotations: moved(view.layout.annotations),
    xaxis: {...view.layout.xaxis, title: {text: AXIS[axis]}}}};
}

function layout(chart, view) {
  const axis = {gridcolor: "@line", zerolinecolor: "@line", linecolor: "@line", automargin: true, tickfont: {size: 11}};
  const under = {margin: {l: 8, r: 10, t: 12, b: 8}, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: {color: "@soft", size: 12, family: "system-ui, sans-serif"},
    legend: {orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left"}, hovermode: "closest", barmode: "stack", bargap: 0.3,
    hoverlabel: {bgcolor: "@card", bordercolor: "@line", font: {color: "@ink"}},
    xaxis: {...axis, nticks: 6}, yaxis: {...axis, nticks: 6}};
  const whole = chart.rounds && (chosen.x || "round") === "round";
  if (whole && axes.round.at(-1) <= 12) under.xaxis.dtick = 1;
  return painted(merged(under, view.layout));
}

function draw(place) {
  const chart = charts[Number(place.dataset.chart)];
  const view = contents(chart);
  Plotly.react(place, painted(view.traces), layout(chart, view), {displayModeBar: false, responsive: true});
  place.dataset.drawn = "1";
}

const places = [...document.querySelectorAll("[data-chart]")];
const again = () => places.filter(p => p.dataset.drawn).forEach(draw);

async function unpack() {
  try {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  } catch (error) {
    places.forEach(p => { p.textContent = "This browser cannot unpack the charts; the tables have the figures."; });
    return;
  }
  const seen = new IntersectionObserver(entries => entries.forEach(e => {
    if (e.isIntersecting) { seen.unobserve(e.target); draw(e.target); }
  }), {rootMargin: "300px"});
  places.forEach(p => seen.observe(p));
  document.querySelectorAll("details").forEach(d => d.addEventListener("toggle",
    () => d.querySelectorAll("[data-drawn]").forEach(p => Plotly.Plots.resize(p))));
}

// Switches: groups of buttons of which one is pressed.
document.querySelectorAll("[data-switch]").forEach(group => {
  const name = group.dataset.switch;
  const buttons = [...group.querySelectorAll("button")];
  const press = button => {
    chosen[name] = button.value;
    document.querySelectorAll(`[data-switch="${name}"] button`).forEach(
      b => b.setAttribute("aria-pressed", String(b.value === button.value)));
    document.querySelectorAll(`[data-shown-by="${name}"]`).forEach(
      part => { part.hidden = part.dataset.value !== button.value; });
  };
  buttons.forEach(b => b.addEventListener("click", () => { press(b); if (window.Plotly) again(); }));
  if (!(name in chosen) && buttons.length) press(buttons[0]);
});

// Light, dark, or as the system has it.
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
const named = () => { theme.textContent = isDark() ? "light" : "dark"; };
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  named();
  if (window.Plotly) again();
});
system.addEventListener("change", () => { named(); if (window.Plotly) again(); });
named();

// On a phone the many small charts begin folded.
if (innerWidth < 700) document.querySelectorAll("[data-fold]").forEach(d => { d.open = false; });

// A link into something folded opens it.
function unfold() {
  const goal = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!goal) return;
  for (let part = goal; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  goal.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
unpack();
