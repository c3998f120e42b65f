// Two threads: sends what is written, and looks once a second for what is new.
let last = 0;

for (const thread of document.querySelectorAll(".thread")) {
  const form = thread.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = form.text.value;
    form.reset();
    await fetch(`/threads/${thread.dataset.sender}`, { method: "POST", body: text });
    await look();
  });
}

async function look() {
  const answer = await fetch(`/threads?after=${last}`);
  for (const message of await answer.json()) {
    if (message.id > last) show(message); // two looks at once may see the same
    last = Math.max(last, message.id);
  }
}

function show({ sender, by_agent, text }) {
  const log = document.querySelector(`[data-sender="${sender}"] [role="log"]`);
  const item = document.createElement("li");
  item.className = by_agent ? "agent" : "person";
  for (const part of text.split(/(https?:\/\/\S+)/)) item.append(part.startsWith("http") ? link(part) : part);
  log.firstChild.append(item);
  log.scrollTop = log.scrollHeight;
}

function link(href) {
  const shown = Object.assign(document.createElement("a"), { href, target: "_blank", rel: "noreferrer" });
  shown.textContent = new URL(href).host + new URL(href).pathname;
  return shown;
}

async function keepLooking() {
  await look().catch(() => {}); // the app was restarted, perhaps: it will be there again
  setTimeout(keepLooking, 1000);
}
keepLooking();
