// Which attempts are shown: of one kind, of one round, with a text in them.
const find = document.getElementById("find");
if (find) {
  const articles = [...document.querySelectorAll(".said > article")];
  const words = articles.map(a => [...a.children].filter(c => !c.matches(".tree"))
    .map(c => c.textContent).join(" ").toLowerCase());
  const rounds = document.getElementById("round");
  const buttons = [...document.querySelectorAll("#filters button")];
  const tally = document.getElementById("tally");
  const more = document.getElementById("more");
  let kind = "", most = 12;
  const filter = () => {
    const wanted = find.value.trim().toLowerCase();
    let fitting = 0, shown = 0;
    articles.forEach((a, i) => {
      const fits = (!kind || a.dataset.kind.split(" ").includes(kind))
        && (!rounds.value || a.dataset.round === rounds.value)
        && (!wanted || words[i].includes(wanted));
      fitting += fits;
      a.hidden = !fits || shown >= most;
      shown += !a.hidden;
    });
    more.hidden = shown === fitting;
    tally.textContent = shown ? `${shown} of ${fitting}` : "None of the attempts shown here is of that kind.";
  };
  buttons.forEach(b => b.addEventListener("click", () => {
    kind = b.dataset.kind;
    most = 12;
    buttons.forEach(o => o.setAttribute("aria-pressed", String(o === b)));
    filter();
  }));
  more.addEventListener("click", () => { most += 24; filter(); });
  rounds.addEventListener("change", filter);
  find.addEventListener("input", filter);
  filter();
}

// Samples of one round.
const samples = document.getElementById("origin-round");
if (samples) {
  const choose = () => document.querySelectorAll(".origin").forEach(o => { o.hidden = o.dataset.round !== samples.value; });
  samples.addEventListener("change", choose);
  choose();
}
