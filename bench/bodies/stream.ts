// What both ends of bench:bodies agree on.
export const PIECE = Buffer.alloc(128 * 1024, "0123456789abcdef");
/** The receiving end stops for so long half-way: an endless sender would fill hundreds of MiB meanwhile. */
export const STALL_MS = 1_000;
