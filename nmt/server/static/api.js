// Requests to the server. A failure says in one sentence what is wrong, and when to try again.

export class Failure extends Error {
  constructor(message, { status = 0, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, retryAfter });
  }
}

export const key = { value: "" };

const AWAY = 3; // seconds after which a server that does not answer is asked again

export async function get(path) {
  return answer(path, {});
}

export async function post(path, values, signal) {
  const body = JSON.stringify(key.value ? { ...values, api_key: key.value } : values);
  return answer(path, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
}

export async function upload(path, values, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  if (key.value) body.append("api_key", key.value);
  return answer(path, { method: "POST", body, signal });
}

async function answer(path, options) {
  let response, values;
  try {
    response = await fetch(path, { ...options, credentials: "omit", cache: "no-store" });
    values = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (response) throw new Failure(`The server answered with status ${response.status}, and no JSON.`, response);
    throw new Failure(`The server does not answer; asking again in ${AWAY} s.`, { retryAfter: AWAY });
  }
  if (response.ok) return values;
  const seconds = Number(response.headers.get("Retry-After"));
  throw new Failure(values.error ?? `The server answered with status ${response.status}.`, {
    status: response.status,
    retryAfter: seconds > 0 ? seconds : null,
  });
}
