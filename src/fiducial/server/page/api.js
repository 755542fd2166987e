/** The server's HTTP interface. */

const MAX_WAITS = 5;
const UNKNOWN_IMAGE = "urn:fiducial:problem:unknown-image";

/** What the server says when it cannot do what was asked (RFC 9457). */
export class Problem extends Error {
  constructor(status, detail, type) {
    super(detail);
    this.status = status;
    this.type = type;
  }
}

/**
 * Asks the server.
 *
 * @param askForToken is called where the server wants one, and gives it, or null where the person has none
 */
export class Api {
  constructor(askForToken) {
    this.askForToken = askForToken;
    this.token = ""; // kept for as long as the page is open, and nowhere else
  }

  get = async (path) => (await this.call("GET", path)).json();
  bytes = async (path) => (await this.call("GET", path)).blob();
  post = async (path, values, signal) => (await this.call("POST", path, { values, signal })).json();

  /** Send a picture; returns its digest and size. */
  async send(blob, name) {
    const form = new FormData();
    form.append("image", blob, name);
    return (await this.call("POST", "/v1/images", { form })).json();
  }

  /**
   * Ask something about a picture by its digest; one that the server no longer keeps is sent again.
   *
   * @returns the response
   */
  async about(picture, path, values, signal) {
    const body = { ...values, image: { digest: picture.digest } };
    try {
      return await this.call("POST", path, { values: body, signal });
    } catch (problem) {
      if (problem.type !== UNKNOWN_IMAGE) throw problem;
      await this.send(picture.blob, picture.name);
      return this.call("POST", path, { values: body, signal });
    }
  }

  async call(method, path, { values, form, signal } = {}) {
    for (let waits = 0; ; waits++) {
      const headers = values ? { "Content-Type": "application/json" } : {};
      if (this.token) headers.Authorization = `Bearer ${this.token}`;
      let response;
      try {
        response = await fetch(path, { method, headers, body: values ? JSON.stringify(values) : form, signal });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Problem(0, "the server does not answer: is it still running?");
      }
      if (response.ok) return response;
      if (response.status === 429 && waits < MAX_WAITS) {
        await rest(Number(response.headers.get("Retry-After")) || 1);
        continue;
      }
      const problem = await readProblem(response);
      if (response.status !== 401) throw problem;
      const token = await this.askForToken(this.token !== "");
      if (token === null) throw problem;
      this.token = token;
    }
  }
}

const rest = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function readProblem(response) {
  try {
    const { detail, title, type } = await response.json();
    return new Problem(response.status, String(detail ?? title), type);
  } catch {
    return new Problem(response.status, `the server answered ${response.status}`);
  }
}
