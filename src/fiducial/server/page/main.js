/** Puts the page together. */

import { Api } from "./api.js";
import { Asking } from "./asking.js";
import { Cutter } from "./cutting.js";
import { announce, byId, complain, make, short } from "./dom.js";
import { Downloads } from "./downloads.js";
import { Drawing } from "./drawing.js";
import { Editing } from "./editing.js";
import { Keyboard } from "./keyboard.js";
import { iouWith } from "./masks.js";
import { Panels } from "./panels.js";
import { Pictures } from "./pictures.js";
import { Store } from "./state.js";
import { flipPoint, removePoint } from "./targets.js";
import { ReplyDialog, Text } from "./text.js";
import { wireTheme } from "./theme.js";
import { View } from "./view.js";

const DIALECT = "qwen2.5-vl"; // what is shown first: it holds boxes, points and labels

const store = new Store();
const api = new Api(askForToken);
const cutter = new Cutter(store, api, () => store.tell());
const view = new View();
const drawing = new Drawing(byId("stage"), store, cutter, view);
view.onChange = () => {
  byId("fact-zoom").textContent = view.picture ? `${Math.round(view.scale * 100)} %` : "";
  drawing.later();
};
const editing = new Editing(store, view, drawing);
const text = new Text(store, api);
const reply = new ReplyDialog(store, api, text);
const asking = new Asking(store, api, cutter);
const downloads = new Downloads(store, api, cutter);
const pictures = new Pictures(store, api, (picture) => {
  view.open(picture);
  byId("instruction").value = picture.instruction;
  if (matchMedia("(pointer: fine)").matches) byId("instruction").focus(); // a telephone would put its keys over the picture
});

const actions = {
  select(id) {
    store.update({ selected: id });
    const box = store.target()?.box ?? cutter.of(store.target() ?? { kinds: [] })?.mask.box;
    if (box) view.reveal(box);
  },
  remove(id) {
    store.replace(id, null);
    announce("target deleted");
  },
  flip: (id, place) => store.replace(id, flipPoint(store.target(id), place)),
  removePoint: (id, place) => store.replace(id, removePoint(store.target(id), place)),
  retry: () => cutter.retry(),
  refine(name, on) {
    const { refinersKnown, refiners } = store.state;
    const wanted = new Set(refiners);
    if (on) wanted.add(name);
    else wanted.delete(name);
    store.update({ refiners: refinersKnown.map((one) => one.name).filter((one) => wanted.has(one)) });
  },
  step(which) {
    editing.cancel();
    const done = store[which]();
    announce(done ? `${which === "undo" ? "undone" : "done again"}` : `nothing to ${which}`);
    return true;
  },
  choose(tool) {
    store.update({ tool });
    if (store.state.picture) drawing.svg.focus({ preventScroll: true });
    return true;
  },
  toggle: (what) => store.update({ [what]: !store.state[what] }),
  pictures: () => pictures.choose(),
  reply: () => reply.open(),
  help: () => byId("help-dialog").showModal(),
  drawNow: () => drawing.draw(),
};
const panels = new Panels(store, cutter, actions);
new Keyboard(store, view, editing, actions);

for (const button of document.querySelectorAll("[data-tool]")) {
  button.addEventListener("click", () => actions.choose(button.dataset.tool));
}
const clicks = {
  undo: () => actions.step("undo"),
  redo: () => actions.step("redo"),
  masks: () => actions.toggle("masks"),
  grid: () => actions.toggle("grid"),
  "zoom-in": () => view.zoom(1.25),
  "zoom-out": () => view.zoom(0.8),
  "zoom-fit": () => view.fit(),
  reply: () => reply.open(),
  help: () => actions.help(),
  "problem-close": () => complain(""),
};
for (const [id, does] of Object.entries(clicks)) byId(id).addEventListener("click", does);
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close(""));
}
byId("recipe").addEventListener("change", (event) => useRecipe(event.target.value));
editing.onHover = ([x, y]) => {
  const { picture } = store.state;
  const inside = picture && x >= 0 && y >= 0 && x < picture.width && y < picture.height;
  byId("fact-pointer").textContent = inside ? `x ${x.toFixed(1)}  y ${y.toFixed(1)}` : "";
};

store.subscribe((state) => {
  cutter.follow();
  drawing.later();
  panels.draw();
  text.draw();
  asking.draw(state);
  downloads.draw();
  drawTools(state);
  drawFacts(state);
});

function drawTools({ tool, masks, grid, picture, busy }) {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  byId("stage").dataset.tool = tool;
  byId("stage").setAttribute("aria-busy", String(Boolean(busy) || !cutter.done));
  byId("masks").setAttribute("aria-pressed", String(masks));
  byId("grid").setAttribute("aria-pressed", String(grid));
  for (const button of document.querySelectorAll(".tools button")) button.disabled = !picture;
  byId("undo").disabled = !store.past.length;
  byId("redo").disabled = !store.future.length;
}

function drawFacts({ picture, targets, answer }) {
  byId("fact-name").textContent = picture ? `${picture.name}  ${picture.width} × ${picture.height}` : "";
  const step = performance.getEntriesByName("cut").at(-1);
  byId("fact-cut").textContent = step ? `cut in ${Math.round(step.duration)} ms` : "";
  const known = picture?.truth && (targets.length || answer);
  const masks = known ? targets.map((target) => cutter.of(target)?.mask).filter(Boolean) : [];
  byId("fact-truth").textContent = known ? `IoU with the truth ${short(iouWith(masks, picture.truth), 3)}` : "";
}

/** Ask the person for the server's key; null where there is none. */
function askForToken(again) {
  const dialog = byId("token-dialog");
  byId("token-said").textContent = again
    ? "That was not it. Whoever started the server has it."
    : "Whoever started it has it. It is kept until this page is closed.";
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? byId("token").value : null), { once: true });
  });
}

function useRecipe(name) {
  const recipe = store.state.recipes.find((one) => one.name === name);
  byId("recipe").value = name;
  byId("recipe").title = recipe.summary ?? "";
  const own = recipe.options.find((one) => one.name === "refine").default;
  store.update({ recipe: name, refinersKnown: recipe.refiners, refiners: own });
  if (recipe.dialects.length) text.choose(recipe.dialects[0]);
}

async function begin() {
  wireTheme();
  const recipes = await api.get("/v1/recipes");
  const dialects = await api.get("/v1/dialects");
  store.update({ recipes, dialects });
  byId("recipe").replaceChildren(...recipes.map(({ name }) => make("option", { value: name, text: name })));
  for (const select of [byId("dialect"), byId("reply-dialect")]) {
    select.replaceChildren(...dialects.map(({ name }) => make("option", { value: name, text: name })));
  }
  text.choose(DIALECT);
  useRecipe(recipes[0].name);
  await pictures.offer();
}

begin().catch((problem) => complain(problem.message));
