// What the script of Ably's SDK has left in the window, as the module that Chat's imports.
export const { ErrorInfo, Realtime, Rest } = globalThis.Ably;
