// The form that fills in days: shows what would run, and asks Airflow's API to run it as the user who is logged in.
(() => {
  const form = document.getElementById("fill");
  const part = (id) => document.getElementById(id);
  const { api, ui } = form.dataset;
  let paused = form.dataset.paused === "true";
  const dayAfter = (day) => new Date(Date.parse(`${day}T00:00:00Z`) + 864e5).toISOString().slice(0, 10);
  const asked = () => Object.fromEntries(new FormData(form));
  const isRange = () => asked().way === "range";
  const post = async (path, body, method = "POST") => {
    const answer = await fetch(`${api}${path}`, {
      method, headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body),
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(reason(answer.status, told.detail));
    return told;
  };
  const reason = (status, detail) => {
    if (status === 401) return "You are not logged in any more. Log in to Airflow and load this page again.";
    if (status === 403) return "Your Airflow user may not do this. Ask an administrator, or hand them the command.";
    if (typeof detail === "string") return `Airflow refused it: ${detail}`;
    if (detail) return `Airflow refused it: ${JSON.stringify(detail)}`;
    return `Airflow answered ${status}. The log of its API server says why.`;
  };
  const backfill = ({ dag_id, start, end, reprocess_behavior }) => ({
    dag_id, from_date: `${start}T00:00:00Z`, to_date: `${end}T00:00:00Z`, reprocess_behavior, max_active_runs: 1,
  });
  const conf = ({ start, end }) => ({ start: `${start}T00:00:00Z`, end: `${dayAfter(end)}T00:00:00Z` });
  const isWhole = ({ start, end }) => start && end && start <= end;
  const command = (given) => {
    if (isRange()) return `airflow dags trigger ${given.dag_id} --conf '${JSON.stringify(conf(given), null, 1).replace(/\s+/g, " ").replace(/([{]) | ([}])/g, "$1$2")}'`;
    const again = given.reprocess_behavior === "none" ? "" : ` --reprocess-behavior ${given.reprocess_behavior}`;
    return `airflow backfill create --dag-id ${given.dag_id} --from-date ${given.start} --to-date ${given.end} --max-active-runs 1${again}`;
  };

  let turn = 0;
  const show = async () => {
    const given = asked(), mine = ++turn;
    part("daily-choices").hidden = isRange();
    part("answer").textContent = "";
    part("start").disabled = !isWhole(given);
    if (!isWhole(given)) {
      part("preview").textContent = "The first day must not be after the last day.";
      return;
    }
    part("command").textContent = command(given);
    const days = (Date.parse(given.end) - Date.parse(given.start)) / 864e5 + 1;
    if (isRange()) {
      part("preview").textContent = `One run over ${days.toLocaleString("en")} ${days === 1 ? "day" : "days"}.`;
      return;
    }
    part("preview").textContent = "Asking Airflow how many runs that would be.";
    try {
      const told = await post("/backfills/dry_run", backfill(given));
      if (mine === turn) part("preview").textContent = `Airflow would make ${told.total_entries.toLocaleString("en")} of ${days.toLocaleString("en")} runs.`;
    } catch (error) {
      if (mine === turn) part("preview").textContent = error.message;
    }
  };
  const whenDagChanges = async () => {
    try {
      const told = await (await fetch(`${api}/dags/${asked().dag_id}`)).json();
      paused = Boolean(told.is_paused);
      part("unpause-choice").hidden = !paused;
    } catch { /* as it was */ }
  };
  const link = (text, path) => {
    const made = document.createElement("a");
    Object.assign(made, { textContent: text, href: `${ui}${path}` });
    made.dataset.airflow = "";
    return made;
  };
  const start = async () => {
    const given = asked();
    if (!isWhole(given)) return;
    part("start").disabled = true;
    part("answer").className = "";
    part("answer").textContent = "Asking Airflow.";
    try {
      let made;
      if (isRange()) {
        const run = await post(`/dags/${given.dag_id}/dagRuns`, { logical_date: null, conf: conf(given) });
        made = link("See the run", `/dags/${given.dag_id}/runs/${encodeURIComponent(run.dag_run_id)}`);
      } else {
        await post("/backfills", backfill(given));
        made = link("See its runs", `/dags/${given.dag_id}/backfills`);
      }
      if (paused && given.unpause) await post(`/dags/${given.dag_id}`, { is_paused: false }, "PATCH");
      part("answer").className = "good";
      part("answer").replaceChildren("Started. ", made);
    } catch (error) {
      part("answer").className = "bad";
      part("answer").textContent = error.message;
      part("start").disabled = false;
    }
  };
  form.addEventListener("input", show);
  form.elements.dag_id.addEventListener("change", whenDagChanges);
  part("start").addEventListener("click", start);
  show();
})();
