// Where worker-main is. The build rewrites the endings of imports, and this is none: a thread is started from a URL.

const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";

export const workerEntry = new URL(`./worker-main.${ending}`, import.meta.url);
