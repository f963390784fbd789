// The one error class of the suite. A code is an interface: docs/errors.md lists each with what to do about it, and
// a test compares that list with the source. Errors for bugs stay plain `Error`s; codes are for the world.

/** A failure that the world caused, told apart by `code` (`E_…`, see docs/errors.md). `cause` is kept. */
export class LaresError extends Error {
  override readonly name = 'LaresError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The errno name (`ENOENT`) of a failed system call, or '' for anything else. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** What a person should read of an error: its message, with the causes that say more. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : explain(error.cause);
  return cause === '' || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
