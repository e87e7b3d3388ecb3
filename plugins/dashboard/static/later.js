// Fetches the parts of a page that take longer than the page: <div data-later="address">what to say meanwhile</div>.
document.querySelectorAll("[data-later]").forEach(async (part) => {
  try {
    const answer = await fetch(part.dataset.later, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const told = new DOMParser().parseFromString(await answer.text(), "text/html");
    part.replaceChildren(...told.body.children);
  } catch (error) {
    part.textContent = `This part could not be fetched (${error.message}). Load the page again.`;
  }
  part.setAttribute("aria-busy", "false");
});
