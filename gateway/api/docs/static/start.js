// Where requests need a key, the document needs one too. The browser keeps it for this tab only, and sends it to this gateway only.
const KEPT = "serving-gateway key";
const openapi = new URL("../openapi.json", document.currentScript.src).href;
const form = document.getElementById("key");

function withKey(request) {
  const key = sessionStorage.getItem(KEPT);
  const names = Object.keys(request.headers).map((name) => name.toLowerCase());
  // A key that was given to the button Authorize goes first.
  if (key && !names.includes("authorization") && !names.includes("x-api-key")) {
    request.headers["X-API-Key"] = key;
  }
  return request;
}

function askForKey(refusal) {
  form.querySelector("output").textContent = refusal;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, form.elements.key.value.trim());
    location.reload();
  });
}

async function show() {
  const answer = await fetch(openapi, withKey({ headers: {} }));
  if (answer.status === 401 || answer.status === 403 || answer.status === 400) {
    askForKey((await answer.json()).message);
    return;
  }
  SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#page",
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    filter: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: withKey,
  });
}

show();
